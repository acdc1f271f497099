"""Neural models and where they run. Knows nothing of documents."""
