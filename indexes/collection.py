"""One collection as its users see it: documents in, chunks found."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from indexes.contents import ContentStore
from indexes.database import Database
from indexes.dense_cache import DenseCache
from indexes.documents import DocumentStore
from indexes.index_device import CPU, IndexDevice
from indexes.lexical import LexicalIndex
from indexes.records import StoredChunk
from indexes.vectors import VectorTable


class Collection:
    """The parts of one collection, wired together: `documents`, `contents`, `lexical`, `vectors`, `dense`."""

    def __init__(
        self,
        database: Database,
        *,
        collection_id: int,
        name: str,
        embedder_id: int,
        embedder: str,
        dimension: int,
        cache_folder: Path,
        device: IndexDevice = CPU,
    ) -> None:
        self.database = database
        self.id = collection_id
        self.name = name
        self.embedder = embedder
        self.contents = ContentStore(database)
        self.lexical = LexicalIndex(database, collection_id)
        self.vectors = VectorTable(database, collection_id, embedder_id, dimension)
        self.documents = DocumentStore(database, collection_id, self.lexical, self.vectors)
        self.dense = DenseCache(cache_folder, self.vectors, embedder, device)

    @property
    def paused(self) -> bool:
        """Whether its files wait, until somebody has them read again."""
        with self.database.read() as connection:
            row = connection.execute("SELECT paused FROM collection WHERE id = ?", (self.id,)).fetchone()
        return bool(row and row["paused"])

    def pause(self, paused: bool) -> None:
        with self.database.write() as connection:
            connection.execute("UPDATE collection SET paused = ? WHERE id = ?", (int(paused), self.id))

    def chunks(self, chunk_ids: Sequence[int]) -> dict[int, StoredChunk]:
        """Those of `chunk_ids` that a live document of this collection holds, by id. A content that several documents
        share is given to the first of them by path."""
        with self.database.read() as connection:
            # CROSS JOIN: in this order, from the few chunks; SQLite would begin with all documents of the folders.
            rows = connection.execute(
                """SELECT chunk.id, chunk.content_id, chunk.ordinal, chunk.heading, chunk.text, chunk.spans,
                       content.title, document.id AS document_id, document.path, version.number AS version
                   FROM chunk CROSS JOIN content ON content.id = chunk.content_id
                   CROSS JOIN version ON version.content_id = content.id
                   CROSS JOIN document ON document.version_id = version.id
                   CROSS JOIN folder ON folder.id = document.folder_id
                   WHERE folder.collection_id = ? AND chunk.id IN (SELECT value FROM json_each(?))
                   ORDER BY document.path DESC, document.id DESC""",
                (self.id, json.dumps([int(i) for i in chunk_ids])),
            ).fetchall()
            pages = _pages(connection, rows)
        return {row["id"]: _stored_chunk(row, pages) for row in rows}

    def chunks_of_documents(self, document_ids: Sequence[int]) -> dict[int, list[int]]:
        """The chunk ids of each document that this collection shows, in reading order."""
        found: dict[int, list[int]] = {document_id: [] for document_id in document_ids}
        with self.database.read() as connection:
            rows = connection.execute(
                """SELECT document.id, chunk.id FROM document CROSS JOIN version ON version.id = document.version_id
                   CROSS JOIN folder ON folder.id = document.folder_id
                   CROSS JOIN chunk ON chunk.content_id = version.content_id
                   WHERE folder.collection_id = ? AND document.id IN (SELECT value FROM json_each(?))
                   ORDER BY chunk.ordinal""",
                (self.id, json.dumps(list(document_ids))),
            ).fetchall()
        for document_id, chunk_id in rows:
            found[document_id].append(chunk_id)
        return found


def _pages(connection: sqlite3.Connection, rows: Sequence[sqlite3.Row]) -> dict[int, tuple[int | None, str | None]]:
    """(number, part) of every page that the rows' spans name."""
    ids = sorted({span[0] for row in rows for span in json.loads(row["spans"])})
    found = connection.execute(
        "SELECT id, number, part FROM page WHERE id IN (SELECT value FROM json_each(?))", (json.dumps(ids),)
    ).fetchall()
    return {row["id"]: (row["number"], row["part"]) for row in found}


def _stored_chunk(row: sqlite3.Row, pages: dict[int, tuple[int | None, str | None]]) -> StoredChunk:
    spans = tuple((page, start, end) for page, start, end in json.loads(row["spans"]))
    first, last = pages[spans[0][0]], pages[spans[-1][0]]
    return StoredChunk(
        chunk_id=row["id"],
        content_id=row["content_id"],
        ordinal=row["ordinal"],
        document_id=row["document_id"],
        file=row["path"],
        version=row["version"],
        title=row["title"] or "",
        heading=row["heading"],
        text=row["text"],
        spans=spans,
        part=first[1],
        page=first[0],
        page_end=last[0],
    )
