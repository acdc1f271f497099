-- document(path) → version → content(sha256) → pages, elements, chunks → vectors.
-- Identical content is read and embedded once; a rename moves one row; a new version is a pointer flip.

CREATE TABLE embedder (
    id INTEGER PRIMARY KEY,
    identity TEXT NOT NULL UNIQUE,      -- name, revision, precision, pooling
    dimension INTEGER NOT NULL
);

CREATE TABLE user (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
);
INSERT INTO user (id, name) VALUES (1, 'local');

CREATE TABLE collection (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    embedder_id INTEGER NOT NULL REFERENCES embedder,
    created_at REAL NOT NULL,           -- all times: seconds since 1970, UTC
    trimmed_seq INTEGER NOT NULL DEFAULT 0  -- changes up to this one are gone from index_change
);

CREATE TABLE folder (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    collection_id INTEGER NOT NULL REFERENCES collection ON DELETE CASCADE,
    path TEXT NOT NULL,                 -- absolute
    hidden INTEGER NOT NULL DEFAULT 0,  -- 1: names that begin with a dot are read too
    scanned_at REAL,
    UNIQUE (collection_id, path)
);

-- What a file's bytes came to. `recipe` names the reader and the chunking that made it.
CREATE TABLE content (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    sha256 TEXT NOT NULL,
    recipe TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('building', 'ready', 'archived')),  -- archived: on its way out; pages stay while cited
    title TEXT,
    pages_total INTEGER NOT NULL DEFAULT 0,
    pages_indexed INTEGER NOT NULL DEFAULT 0,
    characters INTEGER NOT NULL DEFAULT 0,
    chunks INTEGER NOT NULL DEFAULT 0,
    omissions TEXT NOT NULL DEFAULT '[]',   -- JSON: [{"what", "reason"}]
    UNIQUE (sha256, recipe)
);

CREATE TABLE page (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    content_id INTEGER NOT NULL REFERENCES content ON DELETE CASCADE,
    ordinal INTEGER NOT NULL,           -- 0, 1, … in reading order
    number INTEGER,                     -- counts from 1 where the format has pages
    part TEXT,                          -- sheet, attachment, member of an archive
    text TEXT NOT NULL,
    width REAL,                         -- points
    height REAL,
    metadata TEXT,                      -- JSON: what another program noted with it (LlamaIndex: the node)
    lines BLOB,                         -- zlib of little-endian rows: uint32 start, end; float32 left, top, right, bottom
    UNIQUE (content_id, ordinal)
);

CREATE TABLE element (
    page_id INTEGER NOT NULL REFERENCES page ON DELETE CASCADE,
    ordinal INTEGER NOT NULL,
    kind TEXT NOT NULL,
    start INTEGER NOT NULL,             -- characters of page.text
    "end" INTEGER NOT NULL,
    level INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (page_id, ordinal)
) WITHOUT ROWID;

CREATE TABLE chunk (
    id INTEGER PRIMARY KEY AUTOINCREMENT,   -- never reused: caches are keyed by it
    content_id INTEGER NOT NULL REFERENCES content ON DELETE CASCADE,
    ordinal INTEGER NOT NULL,
    heading TEXT NOT NULL,              -- "Benefits › Dental"
    text TEXT NOT NULL,
    tokens INTEGER NOT NULL,            -- of the text, by the embedder's tokenizer
    spans TEXT NOT NULL,                -- JSON: [[page id, start, end], …] in characters of page.text
    UNIQUE (content_id, ordinal)
);

CREATE TABLE vector (
    chunk_id INTEGER NOT NULL REFERENCES chunk ON DELETE CASCADE,
    embedder_id INTEGER NOT NULL REFERENCES embedder,
    data BLOB NOT NULL,                 -- float16, little-endian, length 1
    PRIMARY KEY (chunk_id, embedder_id)
) WITHOUT ROWID;

-- How many chunks of a content have a vector; counted where vectors are stored, since counting rows is slow.
CREATE TABLE embedding (
    content_id INTEGER NOT NULL REFERENCES content ON DELETE CASCADE,
    embedder_id INTEGER NOT NULL REFERENCES embedder,
    chunks INTEGER NOT NULL,
    PRIMARY KEY (content_id, embedder_id)
) WITHOUT ROWID;

CREATE TABLE document (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    folder_id INTEGER NOT NULL REFERENCES folder ON DELETE CASCADE,
    path TEXT NOT NULL,                 -- relative to its folder, with /
    size_bytes INTEGER NOT NULL,        -- as last seen on the disk
    mtime_ns INTEGER NOT NULL,
    sha256 TEXT,                        -- of the bytes that `state` speaks of
    recipe TEXT,
    state TEXT NOT NULL CHECK (state IN ('pending', 'indexed', 'partial', 'skipped', 'failed', 'quarantined')),
    reason TEXT,
    version_id INTEGER REFERENCES version,  -- the searchable one
    UNIQUE (folder_id, path)
);
CREATE INDEX document_state ON document (folder_id, state);
CREATE INDEX document_version ON document (version_id);

CREATE TABLE version (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    document_id INTEGER NOT NULL REFERENCES document ON DELETE CASCADE,
    number INTEGER NOT NULL,            -- 1, 2, … of its document
    content_id INTEGER REFERENCES content ON DELETE SET NULL,  -- NULL: discarded; the number is never given again
    created_at REAL NOT NULL,
    UNIQUE (document_id, number)
);
CREATE INDEX version_content ON version (content_id);

-- What the vector caches have to follow; `seq` is their generation.
CREATE TABLE index_change (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    collection_id INTEGER NOT NULL REFERENCES collection ON DELETE CASCADE,
    operation TEXT NOT NULL CHECK (operation IN ('add', 'remove')),
    content_id INTEGER NOT NULL,
    chunk_first INTEGER NOT NULL,
    chunk_last INTEGER NOT NULL
);
CREATE INDEX index_change_collection ON index_change (collection_id, seq);

CREATE TABLE conversation (
    id TEXT PRIMARY KEY,                -- random
    user_id INTEGER NOT NULL REFERENCES user,
    collection_id INTEGER NOT NULL REFERENCES collection ON DELETE CASCADE,
    title TEXT NOT NULL DEFAULT '',
    updated_at REAL NOT NULL
);

CREATE TABLE turn (
    id TEXT PRIMARY KEY,                -- random
    user_id INTEGER NOT NULL REFERENCES user,
    collection_id INTEGER NOT NULL REFERENCES collection ON DELETE CASCADE,
    conversation_id TEXT REFERENCES conversation ON DELETE CASCADE,
    created_at REAL NOT NULL,
    question TEXT NOT NULL,
    answer TEXT NOT NULL                -- JSON: rag.events.Answer
);
CREATE INDEX turn_conversation ON turn (conversation_id, created_at);

-- Keeps its content's pages alive, whatever becomes of the file.
CREATE TABLE citation (
    id TEXT PRIMARY KEY,                -- random
    turn_id TEXT NOT NULL REFERENCES turn ON DELETE CASCADE,
    n INTEGER NOT NULL,
    document_id INTEGER NOT NULL,       -- may be gone
    file TEXT NOT NULL,
    version INTEGER NOT NULL,
    content_id INTEGER NOT NULL REFERENCES content,
    page_id INTEGER NOT NULL REFERENCES page,
    chunk_id INTEGER NOT NULL,          -- may be gone
    start INTEGER NOT NULL,             -- characters of page.text
    "end" INTEGER NOT NULL,
    quote TEXT NOT NULL,
    verified INTEGER NOT NULL
);
CREATE INDEX citation_content ON citation (content_id);
CREATE INDEX citation_page ON citation (page_id);
CREATE INDEX citation_turn ON citation (turn_id);
