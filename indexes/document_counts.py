"""What a collection holds and what waits, counted by the database: no file is listed for it."""

from __future__ import annotations

from dataclasses import dataclass, field

from indexes.database import Database


@dataclass(frozen=True)
class DocumentCounts:
    """`states` counts files; `empty` are those of the failed ones that hold nothing at all. `waiting`, `reading` and
    `retrying` are files in the queue, of `queued_bytes` together; `oldest_at` says for each folder's id when the oldest
    of them was noticed."""

    states: dict[str, int] = field(default_factory=dict)
    pages_indexed: int = 0
    pages_total: int = 0
    characters: int = 0
    waiting: int = 0
    reading: int = 0
    retrying: int = 0
    queued_bytes: int = 0
    oldest_at: dict[int, float] = field(default_factory=dict)
    empty: int = 0


def count_documents(database: Database, collection_id: int) -> DocumentCounts:
    with database.read() as connection:
        held = connection.execute(
            """SELECT document.state, count(*) AS files, coalesce(sum(content.pages_indexed), 0) AS pages_indexed,
                   coalesce(sum(content.pages_total), 0) AS pages_total,
                   coalesce(sum(content.characters), 0) AS characters,
                   sum(document.state = 'failed' AND document.size_bytes = 0) AS empty
               FROM document JOIN folder ON folder.id = folder_id LEFT JOIN version ON version.id = version_id
               LEFT JOIN content ON content.id = content_id
               WHERE folder.collection_id = ? GROUP BY document.state""",
            (collection_id,),
        ).fetchall()
        queued = connection.execute(
            """SELECT folder_id, count(*) AS files, count(claimed_by) AS reading,
                   sum(claimed_by IS NULL AND fault IS NOT NULL) AS retrying,
                   sum(read_job.size_bytes) AS size_bytes, min(enqueued_at) AS oldest_at
               FROM read_job CROSS JOIN document ON document.id = document_id
               CROSS JOIN folder ON folder.id = folder_id
               WHERE folder.collection_id = ? GROUP BY folder_id""",
            (collection_id,),
        ).fetchall()
    return DocumentCounts(
        states={row["state"]: row["files"] for row in held},
        pages_indexed=sum(row["pages_indexed"] for row in held),
        pages_total=sum(row["pages_total"] for row in held),
        characters=sum(row["characters"] for row in held),
        waiting=sum(row["files"] - row["reading"] - row["retrying"] for row in queued),
        reading=sum(row["reading"] for row in queued),
        retrying=sum(row["retrying"] for row in queued),
        queued_bytes=sum(row["size_bytes"] for row in queued),
        empty=sum(row["empty"] for row in held),
        oldest_at={row["folder_id"]: row["oldest_at"] for row in queued},
    )
