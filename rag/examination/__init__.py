"""The doctor's examinations, one file a subject. Each yields findings, starts no engine, and takes a second or two."""
