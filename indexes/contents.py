"""What files' bytes came to: pages, elements and chunks, kept once for identical bytes."""

from __future__ import annotations

import json
import sqlite3
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from indexes.database import Database
from indexes.lexical import delete_everywhere
from indexes.records import ChunkRecord, PageRecord

_LINE = struct.Struct("<IIffff")
_DISCARD_BATCH = 500


@dataclass(frozen=True)
class Content:
    id: int
    state: str  # building | ready | archived


@dataclass(frozen=True)
class StoredPage:
    id: int
    content_id: int
    number: int | None
    part: str | None
    text: str
    width: float | None
    height: float | None
    lines: tuple[tuple[int, int, float, float, float, float], ...]


@dataclass(frozen=True)
class StoredElement:
    kind: str
    text: str
    page: int | None
    part: str | None


class ContentStore:
    """Contents are built in batches while nothing refers to them, and found by (sha256, recipe) once ready."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, sha256: str, recipe: str) -> Content | None:
        with self._database.read() as connection:
            row = connection.execute(
                "SELECT id, state FROM content WHERE sha256 = ? AND recipe = ?", (sha256, recipe)
            ).fetchone()
        return Content(row["id"], row["state"]) if row else None

    def begin(self, sha256: str, recipe: str) -> int:
        """Start building a content and return its id; what a killed run left of it is discarded first."""
        left = self.find(sha256, recipe)
        if left:
            self.discard(left.id)
        with self._database.write() as connection:
            cursor = connection.execute(
                "INSERT INTO content (sha256, recipe, state) VALUES (?, ?, 'building')", (sha256, recipe)
            )
            return _row_id(cursor)

    def add_pages(self, content_id: int, first_ordinal: int, pages: Sequence[PageRecord]) -> list[int]:
        """Store `pages` with ordinals from `first_ordinal` and return their ids."""
        with self._database.write() as connection:
            return [_add_page(connection, content_id, first_ordinal + i, page) for i, page in enumerate(pages)]

    def add_chunks(
        self, content_id: int, first_ordinal: int, chunks: Sequence[ChunkRecord], page_ids: Sequence[int]
    ) -> None:
        """Store `chunks`; their spans' page ordinals are looked up in `page_ids`."""
        rows = [
            (
                content_id,
                first_ordinal + i,
                chunk.heading,
                chunk.text,
                chunk.tokens,
                json.dumps([[page_ids[ordinal], start, end] for ordinal, start, end in chunk.spans]),
            )
            for i, chunk in enumerate(chunks)
        ]
        with self._database.write() as connection:
            connection.executemany(
                "INSERT INTO chunk (content_id, ordinal, heading, text, tokens, spans) VALUES (?, ?, ?, ?, ?, ?)", rows
            )

    def finish(
        self, content_id: int, *, title: str | None, pages_total: int, omissions: Sequence[tuple[str, str]]
    ) -> None:
        """Mark the content as ready, with its totals; `omissions` are (what, reason)."""
        with self._database.write() as connection:
            connection.execute(
                """UPDATE content SET state = 'ready', title = :title, pages_total = :pages_total,
                       omissions = :omissions,
                       pages_indexed = (SELECT count(*) FROM page WHERE content_id = :id AND trim(text) <> ''),
                       characters = (SELECT coalesce(sum(length(text)), 0) FROM page WHERE content_id = :id),
                       chunks = (SELECT count(*) FROM chunk WHERE content_id = :id)
                   WHERE id = :id""",
                {
                    "id": content_id,
                    "title": title,
                    "pages_total": pages_total,
                    "omissions": json.dumps([{"what": what, "reason": reason} for what, reason in omissions]),
                },
            )

    def omissions(self, content_id: int) -> list[tuple[str, str]]:
        """(what, reason) of everything in the file that was found and not read."""
        with self._database.read() as connection:
            row = connection.execute("SELECT omissions FROM content WHERE id = ?", (content_id,)).fetchone()
        return [(item["what"], item["reason"]) for item in json.loads(row["omissions"])]

    def page(self, page_id: int) -> StoredPage | None:
        with self._database.read() as connection:
            row = connection.execute("SELECT * FROM page WHERE id = ?", (page_id,)).fetchone()
        return _stored_page(row) if row else None

    def elements(self, content_id: int) -> list[StoredElement]:
        """Every element of the content, in reading order."""
        with self._database.read() as connection:
            rows = connection.execute(
                """SELECT kind, substr(text, start + 1, "end" - start) AS text, number, part
                   FROM page JOIN element ON element.page_id = page.id
                   WHERE content_id = ? ORDER BY page.ordinal, element.ordinal""",
                (content_id,),
            ).fetchall()
        return [StoredElement(row["kind"], row["text"], row["number"], row["part"]) for row in rows]

    def discard(self, content_id: int) -> None:
        """Remove a content that no document refers to, in small batches; pages that a citation shows are archived."""
        while self._discard_chunks(content_id):
            pass
        with self._database.write() as connection:
            (cited,) = connection.execute(
                "SELECT count(*) FROM citation WHERE content_id = ?", (content_id,)
            ).fetchone()
            connection.execute(
                "DELETE FROM version WHERE content_id = ? AND id NOT IN "
                "(SELECT version_id FROM document WHERE version_id IS NOT NULL)",
                (content_id,),
            )
            if cited:
                # The recipe is freed, so that the same bytes can come back as a new content.
                connection.execute(
                    "UPDATE content SET state = 'archived', recipe = recipe || ' #' || id WHERE id = ?", (content_id,)
                )
        if not cited:
            self._discard_pages(content_id)

    def collect_garbage(self) -> int:
        """Discard contents that no document shows any more; returns how many. Only the ingest pipeline may call it,
        while it builds nothing: a content is without a document until it is published."""
        with self._database.read() as connection:
            rows = connection.execute(
                """SELECT id FROM content WHERE id NOT IN
                       (SELECT content_id FROM version JOIN document ON document.version_id = version.id)
                   AND (state <> 'archived' OR id NOT IN (SELECT content_id FROM citation))"""
            ).fetchall()
        for row in rows:
            self.discard(row["id"])
        return len(rows)

    def _discard_chunks(self, content_id: int) -> bool:
        """Remove one batch of chunks with their lexical entries (vectors go by cascade); false when none is left."""
        with self._database.write() as connection:
            rows = connection.execute(
                "SELECT id, heading, text FROM chunk WHERE content_id = ? LIMIT ?", (content_id, _DISCARD_BATCH)
            ).fetchall()
            delete_everywhere(connection, rows)
            connection.executemany("DELETE FROM chunk WHERE id = ?", [(row["id"],) for row in rows])
        return bool(rows)

    def _discard_pages(self, content_id: int) -> None:
        deleted = 1
        while deleted:
            with self._database.write() as connection:
                deleted = connection.execute(
                    "DELETE FROM page WHERE id IN (SELECT id FROM page WHERE content_id = ? LIMIT ?)",
                    (content_id, _DISCARD_BATCH),
                ).rowcount
        with self._database.write() as connection:
            connection.execute("DELETE FROM content WHERE id = ?", (content_id,))


def _add_page(connection: sqlite3.Connection, content_id: int, ordinal: int, page: PageRecord) -> int:
    lines = zlib.compress(b"".join(_LINE.pack(*line) for line in page.lines)) if page.lines else None
    cursor = connection.execute(
        "INSERT INTO page (content_id, ordinal, number, part, text, width, height, lines) VALUES (?,?,?,?,?,?,?,?)",
        (content_id, ordinal, page.number, page.part, page.text, page.width, page.height, lines),
    )
    page_id = _row_id(cursor)
    connection.executemany(
        'INSERT INTO element (page_id, ordinal, kind, start, "end", level) VALUES (?, ?, ?, ?, ?, ?)',
        [(page_id, i, *element) for i, element in enumerate(page.elements)],
    )
    return page_id


def _stored_page(row: sqlite3.Row) -> StoredPage:
    packed = zlib.decompress(row["lines"]) if row["lines"] else b""
    return StoredPage(
        id=row["id"],
        content_id=row["content_id"],
        number=row["number"],
        part=row["part"],
        text=row["text"],
        width=row["width"],
        height=row["height"],
        lines=tuple(_LINE.iter_unpack(packed)),
    )


def _row_id(cursor: sqlite3.Cursor) -> int:
    assert cursor.lastrowid is not None
    return cursor.lastrowid
