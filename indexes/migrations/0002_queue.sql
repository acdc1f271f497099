-- What is to be done, beside what is there: one transaction changes both, so that neither can be ahead of the other.

-- Files that have to be read. The row goes in the transaction that publishes or rejects its document.
CREATE TABLE read_job (
    document_id INTEGER PRIMARY KEY REFERENCES document ON DELETE CASCADE,
    priority INTEGER NOT NULL,          -- 0: somebody waits for it (just saved, or asked for); 1: found by a scan
    size_bytes INTEGER NOT NULL,        -- among equals the smaller first
    enqueued_at REAL NOT NULL,
    not_before REAL NOT NULL DEFAULT 0, -- waits after a transient fault
    attempts INTEGER NOT NULL DEFAULT 0,    -- begun and not ended so far
    fault TEXT,                         -- why the last one did not end
    claimed_by TEXT,                    -- a run of the ingest process
    again INTEGER NOT NULL DEFAULT 0,   -- asked for while it was being read: that reading does not end it
    heartbeat_at REAL
);
CREATE INDEX read_job_order ON read_job (priority, size_bytes);

-- Contents whose chunks have to be embedded. The row goes with the last chunk's vector.
CREATE TABLE embed_job (
    content_id INTEGER NOT NULL REFERENCES content ON DELETE CASCADE,
    embedder_id INTEGER NOT NULL REFERENCES embedder,
    priority INTEGER NOT NULL,
    enqueued_at REAL NOT NULL,
    PRIMARY KEY (content_id, embedder_id)
) WITHOUT ROWID;
CREATE INDEX embed_job_order ON embed_job (embedder_id, priority, enqueued_at);

ALTER TABLE folder ADD COLUMN rules TEXT NOT NULL DEFAULT '[]';  -- JSON: gitignore lines given with the folder
ALTER TABLE folder ADD COLUMN excluded INTEGER NOT NULL DEFAULT 0;  -- files that the last full scan left out by rules
ALTER TABLE folder ADD COLUMN device TEXT;                      -- which disk and directory was scanned: "device:inode"
ALTER TABLE collection ADD COLUMN paused INTEGER NOT NULL DEFAULT 0;
ALTER TABLE element ADD COLUMN header_end INTEGER NOT NULL DEFAULT 0;   -- as ingest.elements.Element
ALTER TABLE page ADD COLUMN confidence REAL;                    -- 0–1, of recognised text; NULL: it was not recognised

INSERT INTO read_job (document_id, priority, size_bytes, enqueued_at)
    SELECT id, 1, size_bytes, (julianday('now') - 2440587.5) * 86400.0 FROM document WHERE state = 'pending';
INSERT OR IGNORE INTO embed_job (content_id, embedder_id, priority, enqueued_at)
    SELECT content.id, collection.embedder_id, 1, (julianday('now') - 2440587.5) * 86400.0
    FROM collection JOIN folder ON folder.collection_id = collection.id JOIN document ON document.folder_id = folder.id
    JOIN version ON version.id = document.version_id JOIN content ON content.id = version.content_id
    LEFT JOIN embedding ON embedding.content_id = content.id AND embedding.embedder_id = collection.embedder_id
    WHERE content.chunks > coalesce(embedding.chunks, 0);
