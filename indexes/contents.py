"""What files' bytes came to: pages, elements and chunks, kept once for identical bytes."""

from __future__ import annotations

import json
import sqlite3
import struct
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from indexes.database import Database
from indexes.lexical import delete_everywhere
from indexes.records import ChunkRecord, PageRecord

# Rows a transaction, so that none lasts longer than some 20 ms.
_ELEMENT_BATCH, _DISCARD_BATCH = 5000, 200
_SHOWN = """EXISTS (SELECT 1 FROM version CROSS JOIN document ON document.version_id = version.id
    WHERE version.content_id = content.id)"""
_CITED = "EXISTS (SELECT 1 FROM citation WHERE content_id = content.id)"
_DISCARD_ELEMENTS = f"""DELETE FROM element WHERE (page_id, ordinal) IN (SELECT page_id, element.ordinal FROM element
    JOIN page ON page.id = page_id JOIN content ON content.id = content_id
    WHERE content_id = ? AND state = 'archived' LIMIT {_ELEMENT_BATCH})"""
# A citation can be made at any time, so every batch asks again.
_DISCARD_PAGES = f"""DELETE FROM page WHERE id IN (SELECT page.id FROM page JOIN content ON content.id = content_id
    WHERE content_id = ? AND state = 'archived' AND NOT {_CITED} LIMIT {_DISCARD_BATCH})"""
_LINE = struct.Struct("<IIffff")


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
    metadata: str | None


@dataclass(frozen=True)
class StoredElement:
    """`confidence` (0–1) where the text was recognised in a picture of the page."""

    kind: str
    text: str
    page: int | None
    part: str | None
    confidence: float | None = None


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
        packed = [_packed(page.lines) for page in pages]  # what takes long is done before the lock is taken
        with self._database.write() as connection:
            page_ids = [
                _add_page(connection, content_id, first_ordinal + i, page, packed[i]) for i, page in enumerate(pages)
            ]
            # In one transaction with the pages: a page that is there is there with all its elements.
            connection.executemany(
                """INSERT INTO element (page_id, ordinal, kind, start, "end", level, header_end)
                   VALUES (?, ?, ?, ?, ?, ?, ?)""",
                [
                    (page_id, i, *element)
                    for page_id, page in zip(page_ids, pages, strict=True)
                    for i, element in enumerate(page.elements)
                ],
            )
        return page_ids

    def add_chunks(
        self, content_id: int, first_ordinal: int, chunks: Sequence[ChunkRecord], page_ids: Sequence[int]
    ) -> list[int]:
        """Store `chunks` and return their ids; their spans' page ordinals are looked up in `page_ids`."""
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
        statement = "INSERT INTO chunk (content_id, ordinal, heading, text, tokens, spans) VALUES (?, ?, ?, ?, ?, ?)"
        with self._database.write() as connection:
            return [_row_id(connection.execute(statement, row)) for row in rows]

    def finish(
        self, content_id: int, *, title: str | None, pages_total: int, omissions: Sequence[tuple[str, str]]
    ) -> None:
        """Mark the content as ready, with its totals; `omissions` are (what, reason)."""
        with self._database.write() as connection:
            connection.execute(
                """UPDATE content SET state = 'ready', title = :title, pages_total = :pages_total,
                       omissions = :omissions,
                       pages_indexed = (SELECT count(*) FROM page
                           WHERE content_id = :id AND trim(text, char(9, 10, 11, 12, 13, 32, 160)) <> ''),
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
        return [(item["what"], item["reason"]) for item in json.loads(row["omissions"])] if row else []

    def built(self, content_id: int) -> tuple[list[int], int]:
        """What is there of a content that is being built: (ids of its pages in order, number of its chunks)."""
        with self._database.read() as connection:
            pages = connection.execute("SELECT id FROM page WHERE content_id = ? ORDER BY ordinal", (content_id,))
            page_ids = [row["id"] for row in pages]
            (chunks,) = connection.execute("SELECT count(*) FROM chunk WHERE content_id = ?", (content_id,)).fetchone()
        return page_ids, chunks

    def page_text(self, page_id: int) -> tuple[str, list[tuple[str, int, int, int, int]]]:
        """A page's text, and its elements as (kind, start, end, level, header_end)."""
        with self._database.read() as connection:
            (text,) = connection.execute("SELECT text FROM page WHERE id = ?", (page_id,)).fetchone()
            rows = connection.execute(
                'SELECT kind, start, "end", level, header_end FROM element WHERE page_id = ? ORDER BY ordinal',
                (page_id,),
            ).fetchall()
        return text, [tuple(row) for row in rows]

    def page(self, page_id: int) -> StoredPage | None:
        with self._database.read() as connection:
            row = connection.execute("SELECT * FROM page WHERE id = ?", (page_id,)).fetchone()
        return _stored_page(row) if row else None

    def pages(self, content_id: int) -> list[StoredPage]:
        """Every page of the content, in reading order."""
        with self._database.read() as connection:
            rows = connection.execute("SELECT * FROM page WHERE content_id = ? ORDER BY ordinal", (content_id,))
            return [_stored_page(row) for row in rows]

    def elements(self, content_id: int) -> list[StoredElement]:
        """Every element of the content, in reading order."""
        with self._database.read() as connection:
            pages = connection.execute(
                "SELECT id, number, part, text, confidence FROM page WHERE content_id = ?", (content_id,)
            )
            by_id = {page["id"]: page for page in pages}
            rows = connection.execute(
                """SELECT page_id, kind, start, "end" FROM page JOIN element ON element.page_id = page.id
                   WHERE content_id = ? ORDER BY page.ordinal, element.ordinal""",
                (content_id,),
            ).fetchall()
        # Sliced here: SQLite would count the characters from the start of the page for every element.
        return [
            StoredElement(
                row["kind"],
                page["text"][row["start"] : row["end"]],
                page["number"],
                page["part"],
                page["confidence"],
            )
            for row in rows
            for page in (by_id[row["page_id"]],)
        ]

    def discard(self, content_id: int) -> None:
        """Remove a content, in small batches; its pages' text stays if a citation shows one. Nothing happens while a
        document shows the content. A discard that was killed is finished by the next `collect_garbage`."""
        with self._database.write() as connection:
            # First of all it becomes impossible to find: half of a content must not be published again. The recipe is
            # freed, so that the same bytes can come back as a new content.
            connection.execute(
                f"""UPDATE content SET state = 'archived', recipe = recipe || ' #' || id
                    WHERE id = :id AND state <> 'archived' AND NOT {_SHOWN}""",
                {"id": content_id},
            )
            for table in ("embed_job", "embedding"):
                connection.execute(
                    f"""DELETE FROM {table} WHERE content_id IN
                        (SELECT id FROM content WHERE id = ? AND state = 'archived')""",
                    (content_id,),
                )
        while self._discard_chunks(content_id):
            pass
        for statement in (_DISCARD_ELEMENTS, _DISCARD_PAGES):
            while self._execute(statement, content_id):
                pass
        self._execute(f"DELETE FROM content WHERE id = ? AND state = 'archived' AND NOT {_CITED}", content_id)

    def collect_garbage(self, stop: Callable[[], bool] = lambda: False) -> bool:
        """Discard contents that no document shows any more; false when `stop` said to leave off. Only the ingest
        pipeline may call it, while it builds nothing: a content is without a document until it is published. What was
        half built is kept while files wait to be read, since one of them may go on with it."""
        with self._database.read() as connection:
            rows = connection.execute(
                f"""SELECT id FROM content WHERE NOT {_SHOWN} AND NOT (state = 'archived' AND {_CITED}
                    AND NOT EXISTS (SELECT 1 FROM chunk WHERE content_id = content.id))
                    AND NOT (state = 'building' AND EXISTS (SELECT 1 FROM read_job))"""
            ).fetchall()
        for row in rows:
            if stop():
                return False
            self.discard(row["id"])
        return True

    def _execute(self, statement: str, content_id: int) -> int:
        with self._database.write() as connection:
            return connection.execute(statement, (content_id,)).rowcount

    def _discard_chunks(self, content_id: int) -> bool:
        """Remove one batch of an archived content's chunks with their lexical entries (vectors go by cascade); false
        when none is left."""
        with self._database.write() as connection:
            rows = connection.execute(
                """SELECT chunk.id, heading, text FROM chunk JOIN content ON content.id = content_id
                   WHERE content_id = ? AND state = 'archived' LIMIT ?""",
                (content_id, _DISCARD_BATCH),
            ).fetchall()
            delete_everywhere(connection, rows)
            connection.executemany("DELETE FROM chunk WHERE id = ?", [(row["id"],) for row in rows])
        return len(rows) == _DISCARD_BATCH


def _packed(lines: Sequence[tuple[int, int, float, float, float, float]]) -> bytes | None:
    return zlib.compress(b"".join(_LINE.pack(*line) for line in lines)) if lines else None


def _add_page(
    connection: sqlite3.Connection, content_id: int, ordinal: int, page: PageRecord, lines: bytes | None
) -> int:
    cursor = connection.execute(
        """INSERT INTO page (content_id, ordinal, number, part, text, width, height, metadata, lines, confidence)
           VALUES (:content, :ordinal, :number, :part, :text, :width, :height, :metadata, :lines, :confidence)""",
        {
            "content": content_id,
            "ordinal": ordinal,
            "number": page.number,
            "part": page.part,
            "text": page.text,
            "width": page.width,
            "height": page.height,
            "metadata": page.metadata,
            "lines": lines,
            "confidence": page.confidence,
        },
    )
    return _row_id(cursor)


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
        metadata=row["metadata"],
    )


def _row_id(cursor: sqlite3.Cursor) -> int:
    assert cursor.lastrowid is not None
    return cursor.lastrowid
