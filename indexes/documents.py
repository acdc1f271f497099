"""The files of a collection's folders: what was last seen on the disk, which version is searchable, and why not."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Collection, Sequence
from pathlib import Path

from indexes.database import Database
from indexes.errors import ContentGone
from indexes.lexical import LexicalIndex
from indexes.live import is_live
from indexes.read_queue import SCANNED, WANTED, enqueue, finish
from indexes.records import DocumentRow, DocumentState, FolderRow, QueuedRead
from indexes.vectors import VectorTable

# In the order of DocumentRow's and QueuedRead's fields: a folder may have a hundred thousand.
_DOCUMENT = """SELECT document.id, document.path, document.size_bytes, mtime_ns, document.sha256, document.recipe,
        document.state, reason, version.number, version.content_id, coalesce(pages_indexed, 0),
        coalesce(pages_total, 0), coalesce(chunks, 0), coalesce(characters, 0), folder_id,
        enqueued_at, not_before, attempts, fault, claimed_by IS NOT NULL
    FROM document JOIN folder ON folder.id = folder_id LEFT JOIN version ON version.id = document.version_id
    LEFT JOIN content ON content.id = version.content_id LEFT JOIN read_job ON read_job.document_id = document.id
    WHERE folder.collection_id = ?"""
_BATCH, _REMOVED_AT_ONCE = 1000, 20


class DocumentStore:
    """Folders and documents of one collection. Every change of what is searchable is one short transaction that also
    tells the lexical and dense indexes. A change of a document that was removed meanwhile does nothing."""

    def __init__(self, database: Database, collection_id: int, lexical: LexicalIndex, vectors: VectorTable) -> None:
        self._database = database
        self._collection_id = collection_id
        self._lexical = lexical
        self._vectors = vectors

    def add_folder(self, path: Path, *, hidden: bool, rules: Sequence[str] | None = None) -> FolderRow:
        """Mirror `path` from now on; a folder that is there already keeps its documents and takes the new `hidden`,
        and the new `rules` (gitignore lines) if any are given."""
        with self._database.write() as connection:
            connection.execute(
                """INSERT INTO folder (collection_id, path, hidden, rules) VALUES (:collection, :path, :hidden, :rules)
                   ON CONFLICT (collection_id, path) DO UPDATE SET hidden = excluded.hidden,
                       rules = CASE WHEN :keep THEN rules ELSE excluded.rules END""",
                {
                    "collection": self._collection_id,
                    "path": str(path),
                    "hidden": int(hidden),
                    "rules": json.dumps(list(rules or ())),
                    "keep": rules is None,
                },
            )
        return next(folder for folder in self.folders() if folder.path == str(path))

    def folders(self) -> list[FolderRow]:
        with self._database.read() as connection:
            rows = connection.execute(
                "SELECT * FROM folder WHERE collection_id = ? ORDER BY path", (self._collection_id,)
            ).fetchall()
        return [_folder(row) for row in rows]

    def folder(self, folder_id: int) -> FolderRow | None:
        return next((folder for folder in self.folders() if folder.id == folder_id), None)

    def forget_folder(self, folder_id: int) -> None:
        """Remove the folder and all its documents from the collection; nothing on the disk is touched."""
        self.remove([row.id for row in self.of_folder(folder_id)])
        with self._database.write() as connection:
            connection.execute("DELETE FROM folder WHERE id = ?", (folder_id,))

    def mark_scanned(self, folder_id: int, *, excluded: int = 0, device: str | None = None) -> None:
        """Note that the whole folder was compared with the disk just now; as `FolderRow` has it."""
        with self._database.write() as connection:
            connection.execute(
                "UPDATE folder SET scanned_at = ?, excluded = ?, device = ? WHERE id = ?",
                (time.time(), excluded, device, folder_id),
            )

    def of_folder(self, folder_id: int) -> list[DocumentRow]:
        """The folder's documents, by path."""
        return self._rows("folder_id = ? ORDER BY document.path", folder_id)

    def below(self, folder_id: int, path: str) -> list[DocumentRow]:
        """The document at `path`, or those in the folder of that name, by path."""
        # "0" follows "/": an interval of names, which the index answers.
        return self._rows(
            "folder_id = ? AND (document.path = ? OR (document.path > ? AND document.path < ?)) ORDER BY document.path",
            folder_id,
            path,
            f"{path}/",
            f"{path}0",
        )

    def all(self) -> list[DocumentRow]:
        """Every document of the collection, by folder and path."""
        return self._rows("TRUE ORDER BY folder.path, document.path")

    def listed(self, *, state: str | None, name: str, limit: int) -> tuple[list[DocumentRow], int]:
        """Documents in that state ("waiting": those in the queue), with `name` in their path, and how many there are in
        all. At most `limit`, those that need a person first."""
        known = {None: "TRUE", "waiting": "(enqueued_at IS NOT NULL OR document.state = 'pending')"}
        wanted = known.get(state, "document.state = ?")
        condition = f"{wanted} AND (? = '' OR instr(lower(document.path), lower(?)))"
        values = [*(() if state in known else (state,)), name, name]
        with self._database.read() as connection:
            (matching,) = connection.execute(
                f"""SELECT count(*) FROM document JOIN folder ON folder.id = folder_id
                    LEFT JOIN read_job ON read_job.document_id = document.id
                    WHERE folder.collection_id = ? AND {condition}""",
                (self._collection_id, *values),
            ).fetchone()
        order = "instr('quarantined failed partial pending skipped indexed', document.state), document.path"
        rows = self._rows(f"{condition} ORDER BY {order} LIMIT ?", *values, limit) if limit else []
        return rows, matching

    def get(self, document_id: int) -> DocumentRow | None:
        """The document, if this collection has it."""
        return next(iter(self._rows("document.id = ?", document_id)), None)

    def find(self, folder_id: int, path: str) -> DocumentRow | None:
        """The document at `path`, relative to its folder."""
        return next(iter(self._rows("folder_id = ? AND document.path = ?", folder_id, path)), None)

    def absolute_path(self, document_id: int) -> Path | None:
        """Where the document lies on the disk, by its folder; None when this collection has no such document."""
        with self._database.read() as connection:
            row = connection.execute(
                """SELECT folder.path AS folder, document.path FROM document JOIN folder ON folder.id = folder_id
                   WHERE document.id = ? AND folder.collection_id = ?""",
                (document_id, self._collection_id),
            ).fetchone()
        return Path(row["folder"]) / row["path"] if row else None

    def add_pending(self, folder_id: int, files: Sequence[tuple[str, int, int]]) -> None:
        """Note files (path, bytes, mtime in ns) that were found and not yet read. They are not in the queue yet."""
        for first in range(0, len(files), _BATCH):
            with self._database.write() as connection:
                connection.executemany(
                    """INSERT INTO document (folder_id, path, size_bytes, mtime_ns, state)
                       VALUES (?, ?, ?, ?, 'pending')""",
                    [(folder_id, *file) for file in files[first : first + _BATCH]],
                )

    def enqueue(self, document_ids: Sequence[int], priority: int) -> None:
        """Have the documents read (again); until then they stay as they are."""
        for first in range(0, len(document_ids), _BATCH):
            with self._database.write() as connection:
                enqueue(connection, document_ids[first : first + _BATCH], priority, time.time())

    def retry(self, document_ids: Sequence[int]) -> None:
        """Have documents read again whose files have not changed, before all others."""
        for first in range(0, len(document_ids), _BATCH):
            with self._database.write() as connection:
                ids = document_ids[first : first + _BATCH]
                connection.executemany("UPDATE document SET recipe = NULL WHERE id = ?", [(i,) for i in ids])
                # What was read stays searchable until then, but is no answer to being asked anew.
                connection.executemany(
                    """UPDATE content SET recipe = recipe || ' #' || id WHERE state = 'ready' AND id IN
                       (SELECT content_id FROM version JOIN document ON document.version_id = version.id
                        WHERE document.id = ?)""",
                    [(i,) for i in ids],
                )
                enqueue(connection, ids, WANTED, time.time())

    def touch(
        self, document_id: int, size_bytes: int, mtime_ns: int, *, state: DocumentState, reason: str | None
    ) -> None:
        """Note that the file looks different on the disk but holds the same bytes: it need not be read."""
        with self._database.write() as connection:
            connection.execute(
                "UPDATE document SET size_bytes = ?, mtime_ns = ?, state = ?, reason = ? WHERE id = ?",
                (size_bytes, mtime_ns, state, reason, document_id),
            )
            finish(connection, document_id)

    def move(self, document_id: int, *, onto: int) -> None:
        """A file was renamed: the document keeps its versions and takes the place of the pending one `onto`."""
        with self._database.write() as connection:
            new = connection.execute(
                """DELETE FROM document WHERE id = ? AND version_id IS NULL
                   RETURNING folder_id, path, size_bytes, mtime_ns""",
                (onto,),
            ).fetchone()
            if new is None:
                return
            connection.execute(
                "UPDATE document SET folder_id = ?, path = ?, size_bytes = ?, mtime_ns = ? WHERE id = ?",
                (*new, document_id),
            )
            self._index_name(connection, document_id)

    def publish(
        self,
        document_id: int,
        *,
        size_bytes: int,
        mtime_ns: int,
        sha256: str,
        recipe: str,
        content_id: int,
        state: DocumentState,
        reason: str | None,
        priority: int = SCANNED,
    ) -> None:
        """Make a ready content the document's searchable version, in place of the one before, and have it embedded.
        Raises ContentGone when the content was discarded meanwhile."""
        with self._database.write() as connection:
            if not _is_there(connection, document_id):
                return
            if not _is_ready(connection, content_id):
                raise ContentGone(f"The content {content_id} was discarded before it could be published.")
            before = self._shown_content(connection, document_id)
            version_id = _add_version(connection, document_id, content_id)
            connection.execute(
                """UPDATE document SET size_bytes = ?, mtime_ns = ?, sha256 = ?, recipe = ?, state = ?, reason = ?,
                       version_id = ? WHERE id = ?""",
                (size_bytes, mtime_ns, sha256, recipe, state, reason, version_id, document_id),
            )
            self._index_name(connection, document_id)
            if before != content_id:
                self._vectors.log_added(connection, content_id)
                self._unshow(connection, before)
            self._vectors.enqueue(connection, content_id, priority)
            finish(connection, document_id)

    def reject(
        self,
        document_id: int,
        *,
        size_bytes: int,
        mtime_ns: int,
        sha256: str | None,
        recipe: str | None,
        state: DocumentState,
        reason: str,
    ) -> None:
        """Note that the file's bytes cannot be searched, and why. An earlier version leaves the index: it is no longer
        what the folder holds."""
        with self._database.write() as connection:
            before = self._shown_content(connection, document_id)
            connection.execute(
                """UPDATE document SET size_bytes = ?, mtime_ns = ?, sha256 = ?, recipe = ?, state = ?, reason = ?,
                       version_id = NULL WHERE id = ?""",
                (size_bytes, mtime_ns, sha256, recipe, state, reason, document_id),
            )
            self._lexical.remove_document(connection, document_id)
            self._unshow(connection, before)
            finish(connection, document_id)

    def keep(self, document_id: int, reason: str) -> None:
        """Note why the searchable version is not the newest; the document is no longer in the queue."""
        with self._database.write() as connection:
            connection.execute("UPDATE document SET reason = ? WHERE id = ?", (reason, document_id))
            finish(connection, document_id)

    def folders_of(self, content_ids: Collection[int]) -> dict[int, set[int]]:
        """The ids of the folders with documents that show each of these contents."""
        found: dict[int, set[int]] = {content_id: set() for content_id in content_ids}
        with self._database.read() as connection:
            rows = connection.execute(
                """SELECT version.content_id, document.folder_id FROM version CROSS JOIN document
                   ON document.version_id = version.id WHERE content_id IN (SELECT value FROM json_each(?))""",
                (json.dumps(list(content_ids)),),
            ).fetchall()
        for content_id, folder_id in rows:
            found[content_id].add(folder_id)
        return found

    def remove(self, document_ids: Sequence[int]) -> None:
        """Files that are gone: out of every answer at once. Their contents go later, by `ContentStore.discard`."""
        for first in range(0, len(document_ids), _REMOVED_AT_ONCE):
            with self._database.write() as connection:
                for document_id in document_ids[first : first + _REMOVED_AT_ONCE]:
                    before = self._shown_content(connection, document_id)
                    connection.execute("DELETE FROM document WHERE id = ?", (document_id,))
                    self._lexical.remove_document(connection, document_id)
                    self._unshow(connection, before)

    def _rows(self, condition: str, *values: int | str) -> list[DocumentRow]:
        with self._database.read() as connection:
            rows = connection.execute(f"{_DOCUMENT} AND {condition}", (self._collection_id, *values)).fetchall()
        return [_document(row) for row in rows]

    def _shown_content(self, connection: sqlite3.Connection, document_id: int) -> int | None:
        row = connection.execute(
            "SELECT content_id FROM document JOIN version ON version.id = version_id WHERE document.id = ?",
            (document_id,),
        ).fetchone()
        return int(row["content_id"]) if row else None

    def _unshow(self, connection: sqlite3.Connection, content_id: int | None) -> None:
        """Tell the dense index to drop a content, unless another document of the collection still shows it."""
        if content_id is None:
            return
        (live,) = connection.execute(
            f"SELECT {is_live(':content')}", {"content": content_id, "collection": self._collection_id}
        ).fetchone()
        if not live:
            self._vectors.log_removed(connection, content_id)

    def _index_name(self, connection: sqlite3.Connection, document_id: int) -> None:
        row = connection.execute(
            """SELECT document.path, content.title FROM document JOIN version ON version.id = version_id
               JOIN content ON content.id = content_id WHERE document.id = ?""",
            (document_id,),
        ).fetchone()
        if row:
            self._lexical.set_document(connection, document_id, row["path"], row["title"] or "")


def _is_there(connection: sqlite3.Connection, document_id: int) -> bool:
    return connection.execute("SELECT 1 FROM document WHERE id = ?", (document_id,)).fetchone() is not None


def _is_ready(connection: sqlite3.Connection, content_id: int) -> bool:
    row = connection.execute("SELECT 1 FROM content WHERE id = ? AND state = 'ready'", (content_id,)).fetchone()
    return row is not None


def _folder(row: sqlite3.Row) -> FolderRow:
    return FolderRow(
        id=row["id"],
        collection_id=row["collection_id"],
        path=row["path"],
        hidden=bool(row["hidden"]),
        scanned_at=row["scanned_at"],
        rules=tuple(json.loads(row["rules"])),
        excluded=row["excluded"],
        device=row["device"],
    )


def _add_version(connection: sqlite3.Connection, document_id: int, content_id: int) -> int:
    """The id of the document's version with that content, made if it is a new one."""
    newest = connection.execute(
        "SELECT id, number, content_id FROM version WHERE document_id = ? ORDER BY number DESC LIMIT 1", (document_id,)
    ).fetchone()
    if newest and newest["content_id"] == content_id:
        return int(newest["id"])
    cursor = connection.execute(
        "INSERT INTO version (document_id, number, content_id, created_at) VALUES (?, ?, ?, ?)",
        (document_id, newest["number"] + 1 if newest else 1, content_id, time.time()),
    )
    assert cursor.lastrowid is not None
    return cursor.lastrowid


def _document(row: sqlite3.Row) -> DocumentRow:
    fields = tuple(row)
    enqueued_at, not_before, attempts, fault, claimed = fields[15:]
    queued = None if enqueued_at is None else QueuedRead(enqueued_at, not_before, attempts, fault, bool(claimed))
    return DocumentRow(*fields[:15], queued)  # type: ignore[call-arg]  # as many as _DOCUMENT selects
