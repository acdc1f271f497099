"""Storage: the SQLite truth and the indexes derived from it. Knows nothing of models; it receives vectors."""
