"""Files to chunks. Knows nothing of the web or of the language model."""
