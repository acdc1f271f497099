"""The files that wait to be read, in the database beside what was read: no crash can part the two."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from indexes.database import Database
from indexes.records import Backlog, ReadJob

WANTED, SCANNED = 0, 1
"""Priorities: a file that somebody waits for (just saved, or asked for), and one that a scan came upon."""
LEASE_S = 120.0
_DUE = f"""SELECT document.id, document.folder_id, priority, attempts FROM read_job
    CROSS JOIN document ON document.id = read_job.document_id
    CROSS JOIN folder ON folder.id = document.folder_id
    CROSS JOIN collection ON collection.id = folder.collection_id
    WHERE folder_id IN (SELECT value FROM json_each(:folders)) AND NOT paused
        AND (not_before <= :now OR not_before > :now + 3600)  -- later than any wait: the clock was set back
        AND priority <= :priority
        AND (claimed_by IS NULL OR (claimed_by <> :run AND heartbeat_at < :now - {LEASE_S}))
    ORDER BY priority, read_job.size_bytes LIMIT 1"""


def enqueue(connection: sqlite3.Connection, document_ids: Iterable[int], priority: int, now: float) -> None:
    """Within the caller's transaction: have the documents read. One that waits already takes the better priority, and
    waits no longer after a fault; one that is being read now is read once more afterwards."""
    connection.executemany(
        """INSERT INTO read_job (document_id, priority, size_bytes, enqueued_at)
           SELECT id, ?, size_bytes, ? FROM document WHERE id = ?
           ON CONFLICT DO UPDATE SET priority = min(priority, excluded.priority), not_before = 0,
               again = claimed_by IS NOT NULL""",
        [(priority, now, document_id) for document_id in document_ids],
    )


def finish(connection: sqlite3.Connection, document_id: int) -> None:
    """Within the transaction that publishes or rejects the document: it was read. A request that came in meanwhile
    stays."""
    connection.execute("DELETE FROM read_job WHERE document_id = ? AND NOT again", (document_id,))
    connection.execute(
        "UPDATE read_job SET claimed_by = NULL, again = 0, attempts = 0 WHERE document_id = ?", (document_id,)
    )


class ReadQueue:
    """One run of the ingest process at the queue, `run` by name. Thread-safe. Whoever claims a job ends it: by
    `DocumentStore.publish` or `reject`, or gives it back."""

    def __init__(self, database: Database, run: str, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._run = run
        self._clock = clock

    def adopt(self) -> None:
        """Free what earlier runs had claimed. For a process that knows that no other one works on this database."""
        with self._database.write() as connection:
            connection.execute(
                "UPDATE read_job SET claimed_by = NULL WHERE claimed_by IS NOT NULL AND claimed_by <> ?", (self._run,)
            )

    def claim(self, folder_ids: Sequence[int], priority: int = SCANNED) -> ReadJob | None:
        """The next document of these folders, of that priority or a better one, that is due and whose collection is not
        paused; None when there is none.
        What another run claimed counts as free when that run has shown no sign of life for `LEASE_S`."""
        values = self._values(folder_ids, priority)
        with self._database.read() as connection:  # looks before it locks
            if connection.execute(_DUE, values).fetchone() is None:
                return None
        with self._database.write() as connection:
            row = connection.execute(_DUE, values).fetchone()
            if row is None:
                return None
            connection.execute(
                """UPDATE read_job SET claimed_by = :run, heartbeat_at = :now, again = 0, attempts = attempts + 1
                   WHERE document_id = :document""",
                {**values, "document": row["id"]},
            )
        return ReadJob(row["id"], row["folder_id"], row["priority"], row["attempts"] + 1)

    def heartbeat(self, in_hand: Mapping[int, bool]) -> None:
        """This run is alive, and at these documents; those for which it holds true have come a page further, so that
        earlier attempts no longer count. What else it has claimed is free again: giving that back had failed."""
        values = {"now": self._clock(), "run": self._run, "in_hand": json.dumps(list(in_hand))}
        further = [(document_id, self._run) for document_id, is_further in in_hand.items() if is_further]
        with self._database.write() as connection:
            connection.execute("UPDATE read_job SET heartbeat_at = :now WHERE claimed_by = :run", values)
            connection.execute(
                """UPDATE read_job SET claimed_by = NULL
                   WHERE claimed_by = :run AND document_id NOT IN (SELECT value FROM json_each(:in_hand))""",
                values,
            )
            connection.executemany("UPDATE read_job SET attempts = 1 WHERE document_id = ? AND claimed_by = ?", further)

    def is_due(self, folder_ids: Sequence[int], priority: int = SCANNED) -> bool:
        """Whether `claim` would give one."""
        with self._database.read() as connection:
            return connection.execute(_DUE, self._values(folder_ids, priority)).fetchone() is not None

    def _values(self, folder_ids: Sequence[int], priority: int) -> dict[str, object]:
        folders = json.dumps(list(folder_ids))
        return {"folders": folders, "priority": priority, "now": self._clock(), "run": self._run}

    def release(self, document_id: int) -> None:
        """Give a job back that was not ended for reasons that are not the file's: the attempt does not count."""
        with self._database.write() as connection:
            connection.execute(
                """UPDATE read_job SET claimed_by = NULL, attempts = max(0, attempts - 1)
                   WHERE document_id = ? AND claimed_by = ?""",
                (document_id, self._run),
            )

    def postpone(self, document_id: int, fault: str, delay_s: float) -> None:
        """Give a job back after a transient fault, to be tried again in `delay_s` seconds at the earliest."""
        with self._database.write() as connection:
            connection.execute(
                """UPDATE read_job SET claimed_by = NULL, fault = ?, not_before = ?
                   WHERE document_id = ? AND claimed_by = ?""",
                (fault, self._clock() + delay_s, document_id, self._run),
            )

    def backlog(self, folder_id: int) -> Backlog:
        with self._database.read() as connection:
            row = connection.execute(
                """SELECT count(*) AS files, coalesce(sum(read_job.size_bytes), 0) AS size_bytes,
                       count(claimed_by) AS reading, min(enqueued_at) AS oldest_at, min(not_before) AS due_at
                   FROM read_job CROSS JOIN document ON document.id = document_id WHERE folder_id = ?""",
                (folder_id,),
            ).fetchone()
        return Backlog(**row)
