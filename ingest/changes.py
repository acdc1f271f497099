"""What differs between a folder on the disk and the index, and the part of it that needs no reading."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from indexes.documents import DocumentStore
from indexes.records import DocumentRow
from ingest.errors import Unreadable
from ingest.walk import Found, sha256_of
from models.cancellation import CancelToken


@dataclass(frozen=True)
class Changes:
    """`to_read` pairs each new or changed file with its document; the rest has been settled already."""

    to_read: list[tuple[DocumentRow, Found]]
    found: int
    unchanged: int
    moved: int
    removed: int


def settle_changes(
    documents: DocumentStore,
    folder_id: int,
    found: Iterable[Found],
    *,
    is_current: Callable[[str | None], bool],
    cancel: CancelToken,
) -> Changes:
    """Compare the files found with the documents known; note new files, take out vanished ones, move renamed ones.

    A file counts as unchanged by size and time, if `is_current` says that its recipe is today's. Smaller files come
    first in `to_read`. Files below a folder that cannot be listed now are left as they are.
    """
    files = {file.path: file for file in found}
    known = {row.path: row for row in documents.of_folder(folder_id)}
    documents.add_pending(folder_id, [(f.path, f.size_bytes, f.mtime_ns) for p, f in files.items() if p not in known])
    rows = {row.path: row for row in documents.of_folder(folder_id)}
    passed_over = {path: file for path, file in files.items() if file.reason}
    for path, file in passed_over.items():
        _pass_over(documents, rows[path], file)

    hidden_below = tuple(f"{path}/" for path in passed_over)
    vanished = [row for path, row in known.items() if path not in files and not path.startswith(hidden_below)]
    readable = {path: file for path, file in files.items() if not file.reason}
    new = [rows[path] for path in readable if path not in known]
    moved = _move_renamed(documents, vanished, new, readable, cancel)
    removed = [row.id for row in vanished if row.id not in moved]
    documents.remove(removed)

    rows = {row.path: row for row in documents.of_folder(folder_id)}
    to_read = [(rows[path], file) for path, file in readable.items() if not _is_unchanged(rows[path], file, is_current)]
    to_read.sort(key=lambda pair: pair[1].size_bytes)
    return Changes(to_read, len(files), len(readable) - len(to_read), len(moved), len(removed))


def _is_unchanged(row: DocumentRow, file: Found, is_current: Callable[[str | None], bool]) -> bool:
    same = (row.size_bytes, row.mtime_ns) == (file.size_bytes, file.mtime_ns)
    return same and row.state != "pending" and is_current(row.recipe)


def _move_renamed(
    documents: DocumentStore,
    vanished: list[DocumentRow],
    new: list[DocumentRow],
    files: dict[str, Found],
    cancel: CancelToken,
) -> set[int]:
    """Give each new file with the bytes of a vanished one that one's document; returns the ids that moved."""
    by_sha256: dict[str, list[DocumentRow]] = {}
    for row in vanished:
        if row.sha256:
            by_sha256.setdefault(row.sha256, []).append(row)
    sizes = {row.size_bytes for row in vanished}
    moved: set[int] = set()
    for row in new:
        if row.size_bytes not in sizes:
            continue
        try:
            same = by_sha256.get(sha256_of(files[row.path].absolute, cancel))
        except Unreadable:
            continue  # it is read, and its error told, like any other new file
        if same:
            old = same.pop(0)
            documents.move(old.id, onto=row.id)
            moved.add(old.id)
    return moved


def _pass_over(documents: DocumentStore, row: DocumentRow, file: Found) -> None:
    """Note a file that cannot be opened as one, with the reason."""
    if (row.state, row.reason) != ("skipped", file.reason):
        documents.reject(
            row.id,
            size_bytes=file.size_bytes,
            mtime_ns=file.mtime_ns,
            sha256=None,
            recipe=None,
            state="skipped",
            reason=file.reason or "",
        )
