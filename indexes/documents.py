"""The files of a collection's folders: what was last seen on the disk, which version is searchable, and why not."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path

from indexes.database import Database
from indexes.lexical import LexicalIndex
from indexes.live import is_live
from indexes.records import DocumentRow, DocumentState, FolderRow
from indexes.vectors import VectorTable

_DOCUMENT = """SELECT document.*, version.number AS version, version.content_id, content.pages_indexed,
        content.pages_total, content.chunks, content.characters
    FROM document JOIN folder ON folder.id = folder_id LEFT JOIN version ON version.id = document.version_id
    LEFT JOIN content ON content.id = version.content_id WHERE folder.collection_id = ?"""
_PENDING_BATCH = 1000


class DocumentStore:
    """Folders and documents of one collection. Every change of what is searchable is one short transaction that also
    tells the lexical and dense indexes. A change of a document that was removed meanwhile does nothing."""

    def __init__(self, database: Database, collection_id: int, lexical: LexicalIndex, vectors: VectorTable) -> None:
        self._database = database
        self._collection_id = collection_id
        self._lexical = lexical
        self._vectors = vectors

    def add_folder(self, path: Path, *, hidden: bool) -> FolderRow:
        """Mirror `path` from now on; a folder that is there already keeps its documents and takes the new `hidden`."""
        with self._database.write() as connection:
            connection.execute(
                """INSERT INTO folder (collection_id, path, hidden) VALUES (?, ?, ?)
                   ON CONFLICT (collection_id, path) DO UPDATE SET hidden = excluded.hidden""",
                (self._collection_id, str(path), int(hidden)),
            )
        return next(folder for folder in self.folders() if folder.path == str(path))

    def folders(self) -> list[FolderRow]:
        with self._database.read() as connection:
            rows = connection.execute(
                "SELECT id, collection_id, path, hidden, scanned_at FROM folder WHERE collection_id = ? ORDER BY path",
                (self._collection_id,),
            ).fetchall()
        return [FolderRow(r["id"], r["collection_id"], r["path"], bool(r["hidden"]), r["scanned_at"]) for r in rows]

    def forget_folder(self, folder_id: int) -> None:
        """Remove the folder and all its documents from the collection; nothing on the disk is touched."""
        self.remove([row.id for row in self.of_folder(folder_id)])
        with self._database.write() as connection:
            connection.execute("DELETE FROM folder WHERE id = ?", (folder_id,))

    def mark_scanned(self, folder_id: int) -> None:
        with self._database.write() as connection:
            connection.execute("UPDATE folder SET scanned_at = ? WHERE id = ?", (time.time(), folder_id))

    def of_folder(self, folder_id: int) -> list[DocumentRow]:
        """The folder's documents, by path."""
        return self._rows("folder_id = ? ORDER BY document.path", folder_id)

    def all(self) -> list[DocumentRow]:
        """Every document of the collection, by folder and path."""
        return self._rows("TRUE ORDER BY folder.path, document.path")

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
        """Note files (path, bytes, mtime in ns) that were found and not yet read."""
        for first in range(0, len(files), _PENDING_BATCH):
            with self._database.write() as connection:
                connection.executemany(
                    """INSERT INTO document (folder_id, path, size_bytes, mtime_ns, state)
                       VALUES (?, ?, ?, ?, 'pending')""",
                    [(folder_id, *file) for file in files[first : first + _PENDING_BATCH]],
                )

    def touch(self, document_id: int, size_bytes: int, mtime_ns: int) -> None:
        """Note that the file looks different on the disk but holds the same bytes."""
        with self._database.write() as connection:
            connection.execute(
                "UPDATE document SET size_bytes = ?, mtime_ns = ? WHERE id = ?", (size_bytes, mtime_ns, document_id)
            )

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
    ) -> None:
        """Make a ready content the document's searchable version, in place of the one before."""
        with self._database.write() as connection:
            if not _is_there(connection, document_id):
                return
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

    def remove(self, document_ids: Sequence[int]) -> None:
        """Files that are gone: out of every answer at once. Their contents go later, by `ContentStore.discard`."""
        for document_id in document_ids:
            with self._database.write() as connection:
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
    return DocumentRow(
        id=row["id"],
        path=row["path"],
        size_bytes=row["size_bytes"],
        mtime_ns=row["mtime_ns"],
        sha256=row["sha256"],
        recipe=row["recipe"],
        state=row["state"],
        reason=row["reason"],
        version=row["version"],
        content_id=row["content_id"],
        pages_indexed=row["pages_indexed"] or 0,
        pages_total=row["pages_total"] or 0,
        chunks=row["chunks"] or 0,
        characters=row["characters"] or 0,
    )
