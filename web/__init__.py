"""The page and the HTTP API: renders the events of `rag/`, decides nothing."""
