"""Vectors in the database (float16), and the log of changes that the dense index follows."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter

import numpy as np
from numpy.typing import NDArray

from indexes.database import Database
from indexes.dense import Ids, Vectors
from indexes.live import LIVE_CONTENTS, is_live

_LOAD_BATCH = 4096
_CHANGES_BATCH = 1000


@dataclass(frozen=True)
class Unembedded:
    """A chunk that has no vector yet; `text` is what is embedded: headings made from content, then the text."""

    chunk_id: int
    content_id: int
    text: str
    tokens: int


@dataclass(frozen=True)
class Changes:
    """What a dense index has to do to reach `generation`: forget the ids `removed`, then take in (`ids`, `vectors`)."""

    generation: int
    removed: Ids
    ids: Ids
    vectors: Vectors


class VectorTable:
    """The vectors of one collection's embedder, and what its dense index has to follow."""

    def __init__(self, database: Database, collection_id: int, embedder_id: int, dimension: int) -> None:
        self._database = database
        self._scope = {"collection": collection_id, "embedder": embedder_id}
        self.dimension = dimension

    def enqueue(self, connection: sqlite3.Connection, content_id: int, priority: int) -> None:
        """Within the caller's transaction: have the chunks of the content embedded that have no vector yet, those of
        a lower `priority` number first."""
        connection.execute(
            """INSERT INTO embed_job (content_id, embedder_id, priority, enqueued_at)
               SELECT content.id, :embedder, :priority, :now FROM content LEFT JOIN embedding
                   ON embedding.content_id = content.id AND embedding.embedder_id = :embedder
               WHERE content.id = :content AND content.chunks > coalesce(embedding.chunks, 0)
               ON CONFLICT DO UPDATE SET priority = min(priority, excluded.priority)""",
            {**self._scope, "content": content_id, "priority": priority, "now": time.time()},
        )

    def unembedded(self, limit: int, priority: int) -> list[Unembedded]:
        """Up to `limit` chunks of live documents that wait for a vector with that priority, the oldest first."""
        with self._database.read() as connection:
            # CROSS JOIN: in the order of the queue, up to the limit, instead of all of it and sorted then.
            rows = connection.execute(
                f"""SELECT chunk.id, chunk.content_id, content.title, chunk.heading, chunk.text, chunk.tokens
                    FROM embed_job CROSS JOIN content ON content.id = embed_job.content_id
                    CROSS JOIN chunk ON chunk.content_id = content.id
                    WHERE embed_job.embedder_id = :embedder AND priority = :priority AND {is_live("content.id")}
                        AND NOT EXISTS (SELECT 1 FROM vector WHERE chunk_id = chunk.id AND embedder_id = :embedder)
                    ORDER BY embed_job.enqueued_at LIMIT :limit""",
                {**self._scope, "limit": limit, "priority": priority},
            ).fetchall()
        return [
            Unembedded(
                row["id"], row["content_id"], embedded_text(row["title"], row["heading"], row["text"]), row["tokens"]
            )
            for row in rows
        ]

    def first_priority(self) -> int | None:
        """The lowest priority number of the contents that wait for vectors; None when none does."""
        with self._database.read() as connection:
            (priority,) = connection.execute(
                f"""SELECT min(priority) FROM embed_job WHERE embedder_id = :embedder
                    AND {is_live("embed_job.content_id")}""",
                self._scope,
            ).fetchone()
        return priority if priority is None else int(priority)

    def backlog(self, folder_id: int) -> tuple[int, float | None]:
        """(chunks without a vector, when the oldest of them were stored) of the folder's documents."""
        with self._database.read() as connection:
            row = connection.execute(
                """SELECT coalesce(sum(content.chunks - coalesce(embedding.chunks, 0)), 0), min(enqueued_at)
                   FROM embed_job CROSS JOIN content ON content.id = embed_job.content_id
                   LEFT JOIN embedding ON embedding.content_id = content.id AND embedding.embedder_id = :embedder
                   WHERE embed_job.embedder_id = :embedder AND EXISTS (SELECT 1 FROM version CROSS JOIN document
                       ON document.version_id = version.id WHERE version.content_id = content.id
                       AND document.folder_id = :folder)""",
                {**self._scope, "folder": folder_id},
            ).fetchone()
        return row[0], row[1]

    def embedded(self, content_id: int) -> int:
        """How many of the content's chunks have a vector."""
        with self._database.read() as connection:
            row = connection.execute(
                "SELECT chunks FROM embedding WHERE content_id = :content AND embedder_id = :embedder",
                {**self._scope, "content": content_id},
            ).fetchone()
        return row[0] if row else 0

    def counts(self) -> tuple[int, int]:
        """(chunks with a vector, chunks) of the live documents."""
        with self._database.read() as connection:
            row = connection.execute(
                f"""SELECT coalesce(sum(embedding.chunks), 0), coalesce(sum(content.chunks), 0)
                    FROM content LEFT JOIN embedding ON embedding.content_id = content.id AND embedder_id = :embedder
                    WHERE content.id IN ({LIVE_CONTENTS})""",
                self._scope,
            ).fetchone()
        return row[0], row[1]

    def put(self, chunks: Sequence[Unembedded], vectors: NDArray[np.float32]) -> None:
        """Store one vector for each chunk, and log the change for contents that are still live. A chunk that has one
        already keeps it; a chunk that was discarded meanwhile is left out."""
        half = vectors.astype("<f2")
        data = {chunk.chunk_id: half[i].tobytes() for i, chunk in enumerate(chunks)}
        with self._database.write() as connection:
            for content_id, group in groupby(sorted(chunks, key=_place), key=attrgetter("content_id")):
                self._put_content(connection, content_id, {chunk.chunk_id: data[chunk.chunk_id] for chunk in group})

    def of_chunks(self, chunk_ids: Sequence[int]) -> tuple[Ids, Vectors]:
        """The vectors of those of `chunk_ids` that have one: (ids (n,) ascending, vectors (n, dimension))."""
        with self._database.read() as connection:
            return self._load(connection, "SELECT value FROM json_each(:ids)", {"ids": json.dumps(list(chunk_ids))})

    def log_added(self, connection: sqlite3.Connection, content_id: int, first: int = 0, last: int = 2**62) -> None:
        """Within the caller's transaction: the dense index must take in the content's chunks `first` to `last`. Noted
        only while a document of the collection shows the content."""
        connection.execute(
            f"""INSERT INTO index_change (collection_id, operation, content_id, chunk_first, chunk_last)
                SELECT :collection, 'add', :content, :first, :last WHERE {is_live(":content")}""",
            {**self._scope, "content": content_id, "first": first, "last": last},
        )

    def log_removed(self, connection: sqlite3.Connection, content_id: int) -> None:
        """Within the caller's transaction: the dense index must drop every chunk of the content. One change for each
        run of ids, since the chunks may be gone from the database when the index catches up."""
        rows = connection.execute("SELECT id FROM chunk WHERE content_id = ? ORDER BY id", (content_id,)).fetchall()
        connection.executemany(
            """INSERT INTO index_change (collection_id, operation, content_id, chunk_first, chunk_last)
               VALUES (?, 'remove', ?, ?, ?)""",
            [(self._scope["collection"], content_id, *run) for run in _runs([row["id"] for row in rows])],
        )

    def generation(self) -> int:
        """The newest change's number; 0 when there was none."""
        with self._database.read() as connection:
            return self._generation(connection)

    def changes_after(self, seq: int) -> Changes | None:
        """The oldest changes above `seq`, up to 1,000 of the log's, as they come out in the end; None when the log no
        longer reaches back to `seq`, or not yet that far (an older database was put in place)."""
        with self._database.read() as connection:
            scope = {**self._scope, "seq": seq}
            newest = self._generation(connection)
            if seq == newest:
                nothing = np.empty(0, dtype=np.int64)
                return Changes(newest, nothing, nothing, np.empty((0, self.dimension), dtype=np.float32))
            if not self._trimmed_to(connection) <= seq < newest:
                return None
            (scope["last"],) = connection.execute(
                f"""SELECT max(seq) FROM (SELECT seq FROM index_change WHERE collection_id = :collection AND seq > :seq
                    ORDER BY seq LIMIT {_CHANGES_BATCH})""",
                scope,
            ).fetchone()
            removed = connection.execute(
                """SELECT chunk_first, chunk_last FROM index_change
                   WHERE collection_id = :collection AND seq > :seq AND seq <= :last AND operation = 'remove'""",
                scope,
            ).fetchall()
            # A content's removal covers all of its chunks: what was added before it is void.
            ids, vectors = self._load(
                connection,
                """WITH window AS (SELECT * FROM index_change
                       WHERE collection_id = :collection AND seq > :seq AND seq <= :last),
                   gone AS (SELECT content_id, max(seq) AS seq FROM window
                       WHERE operation = 'remove' GROUP BY content_id)
                   SELECT chunk.id FROM window AS added LEFT JOIN gone ON gone.content_id = added.content_id
                   JOIN chunk ON chunk.content_id = added.content_id
                       AND chunk.id BETWEEN added.chunk_first AND added.chunk_last
                   WHERE added.operation = 'add' AND added.seq > coalesce(gone.seq, 0)""",
                scope,
            )
        runs = [np.arange(first, last + 1, dtype=np.int64) for first, last in removed]
        return Changes(scope["last"], np.concatenate([np.empty(0, dtype=np.int64), *runs]), ids, vectors)

    def load_all(self) -> Iterator[tuple[Ids, Vectors]]:
        """Every vector of the live documents, in batches, by chunk id."""
        last = 0
        while True:
            with self._database.read() as connection:
                ids, vectors = self._load(
                    connection,
                    f"""SELECT id FROM chunk WHERE id > :last AND content_id IN ({LIVE_CONTENTS})
                        AND EXISTS (SELECT 1 FROM vector WHERE chunk_id = id AND embedder_id = :embedder)
                        ORDER BY id LIMIT {_LOAD_BATCH}""",
                    {**self._scope, "last": last},
                )
            if not len(ids):
                return
            last = int(ids[-1])
            yield ids, vectors

    def sync(self) -> None:
        """As `Database.sync`."""
        self._database.sync()

    def trim_changes(self, seq: int) -> None:
        """Forget changes up to and including `seq`, which a saved cache holds."""
        with self._database.write() as connection:
            connection.execute(
                "DELETE FROM index_change WHERE collection_id = :collection AND seq <= :seq",
                {**self._scope, "seq": seq},
            )
            connection.execute(
                "UPDATE collection SET trimmed_seq = max(trimmed_seq, :seq) WHERE id = :collection",
                {**self._scope, "seq": seq},
            )

    def _put_content(self, connection: sqlite3.Connection, content_id: int, data: dict[int, bytes]) -> None:
        added = connection.executemany(
            "INSERT OR IGNORE INTO vector (chunk_id, embedder_id, data) SELECT id, ?, ? FROM chunk WHERE id = ?",
            [(self._scope["embedder"], blob, chunk_id) for chunk_id, blob in data.items()],
        ).rowcount
        connection.execute(
            """INSERT INTO embedding (content_id, embedder_id, chunks) SELECT id, ?, ? FROM content
                   WHERE id = ? AND state <> 'archived'
               ON CONFLICT DO UPDATE SET chunks = chunks + excluded.chunks""",
            (self._scope["embedder"], added, content_id),
        )
        connection.execute(
            """DELETE FROM embed_job WHERE content_id = :content AND embedder_id = :embedder
                   AND (SELECT chunks FROM content WHERE id = :content) <= (SELECT chunks FROM embedding
                       WHERE content_id = :content AND embedder_id = :embedder)""",
            {**self._scope, "content": content_id},
        )
        self.log_added(connection, content_id, min(data), max(data))

    def _generation(self, connection: sqlite3.Connection) -> int:
        row = connection.execute(
            "SELECT max(seq) FROM index_change WHERE collection_id = :collection", self._scope
        ).fetchone()
        return max(int(row[0] or 0), self._trimmed_to(connection))

    def _trimmed_to(self, connection: sqlite3.Connection) -> int:
        """A cache older than this generation cannot catch up by the log."""
        row = connection.execute("SELECT trimmed_seq FROM collection WHERE id = :collection", self._scope).fetchone()
        return int(row[0]) if row else 0

    def _load(
        self, connection: sqlite3.Connection, wanted: str, values: Mapping[str, int | str]
    ) -> tuple[Ids, Vectors]:
        """The vectors of the chunk ids that the subquery `wanted` gives, those without one left out, by id."""
        rows = connection.execute(
            f"""SELECT chunk_id, data FROM vector WHERE chunk_id IN ({wanted}) AND embedder_id = :embedder
                ORDER BY chunk_id""",
            {**self._scope, **values},
        ).fetchall()
        ids = np.array([row["chunk_id"] for row in rows], dtype=np.int64)
        data = np.frombuffer(b"".join(row["data"] for row in rows), dtype="<f2")
        return ids, data.reshape(len(rows), self.dimension).astype(np.float32)


def embedded_text(title: str | None, heading: str, text: str) -> str:
    """What the embedder reads of a chunk: title › headings, then the text; all of it made from content, so that the
    vector survives a rename."""
    parts = [part for part in (title or "", heading) if part]
    if title and (heading == title or heading.startswith(f"{title} ›")):
        parts = [heading]
    return f"{' › '.join(parts)}\n{text}" if parts else text


def _place(chunk: Unembedded) -> tuple[int, int]:
    return chunk.content_id, chunk.chunk_id


def _runs(ids: Sequence[int]) -> list[tuple[int, int]]:
    """Ascending ids as (first, last) of each run without a gap."""
    runs: list[tuple[int, int]] = []
    for i in ids:
        if runs and runs[-1][1] == i - 1:
            runs[-1] = (runs[-1][0], i)
        else:
            runs.append((i, i))
    return runs
