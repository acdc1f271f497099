"""Compares a folder on the disk with the index, settles what needs no reading, and queues the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from indexes.documents import DocumentStore
from indexes.read_queue import SCANNED, WANTED
from indexes.records import DocumentRow, FolderRow
from ingest.errors import FolderMissing, NotNow, Unreadable
from ingest.rules import Rules
from ingest.walk import Found, identity_of, sha256_of, walk
from models.cancellation import CancelToken

_FEW = 200


@dataclass(frozen=True)
class Changes:
    """What a look at the disk came to, in files. `queued` are to be read; `left_out` counts what rules left out, a
    whole folder as one."""

    found: int = 0
    unchanged: int = 0
    queued: int = 0
    moved: int = 0
    removed: int = 0
    left_out: int = 0


class Scanner:
    """Looks at the folders of one collection."""

    def __init__(self, documents: DocumentStore, is_current: Callable[[str | None], bool]) -> None:
        """`is_current`: would a file that was read by this recipe be read the same way today?"""
        self._documents = documents
        self._is_current = is_current

    def scan(self, folder: FolderRow, rules: Rules, cancel: CancelToken) -> Changes:
        """Look at the whole folder. Raises FolderMissing, upon which nothing was changed, and Cancelled."""
        root = Path(folder.path)
        device = identity_of(root)
        found = _until_cancelled(walk(root, hidden=folder.hidden, rules=rules), cancel)
        known = self._documents.of_folder(folder.id)
        if not found and known and folder.device not in (None, device):
            raise FolderMissing(
                f"{folder.path} is empty, and not the directory that was read before: is its disk mounted? Nothing was "
                f"changed. If it is meant to be empty: `python app.py collection forget {folder.path}`."
            )
        changes = self._settle(folder, found, known, SCANNED, cancel)
        self._documents.mark_scanned(folder.id, excluded=changes.left_out, device=device)
        return changes

    def look(self, folder: FolderRow, rules: Rules, paths: Iterable[str], cancel: CancelToken) -> Changes:
        """Look at some files and folders below it only, whose changes somebody noticed: they are read first."""
        if folder.device != identity_of(Path(folder.path)):
            return self.scan(folder, rules, cancel)  # another disk was put in its place
        found: dict[str, Found] = {}
        known: dict[int, DocumentRow] = {}
        for path in _outermost(paths):
            below = walk(Path(folder.path), hidden=folder.hidden, rules=rules, below=path)
            found.update((file.path, file) for file in _until_cancelled(below, cancel))
            known.update((row.id, row) for row in self._documents.below(folder.id, path))
        return self._settle(folder, list(found.values()), list(known.values()), WANTED, cancel)

    def _settle(
        self,
        folder: FolderRow,
        found: Sequence[Found],
        known: Sequence[DocumentRow],
        priority: int,
        cancel: CancelToken,
    ) -> Changes:
        """Note new files, take out vanished ones, move renamed ones, queue what has to be read.

        A file counts as unchanged by size and time, if its recipe is today's. Files below a folder that cannot be
        listed now, and those of which the disk says nothing for the moment, are left as they are.
        """
        files = {file.path: file for file in found if not file.left_out_by}
        before = {row.path: row for row in known}
        rows = {**before, **self._add(folder, [file for path, file in files.items() if path not in before])}
        unlisted = tuple(f"{path}/" for path, file in files.items() if file.reason)
        vanished = [row for path, row in before.items() if path not in files and not path.startswith(unlisted)]
        readable = {path: file for path, file in files.items() if not file.reason}
        new = [rows[path] for path in readable if path not in before]
        moved = self._move_renamed(vanished, new, readable, cancel)
        kept = {row.id for row in moved.values()}
        cancel.check()
        self._documents.remove([row.id for row in vanished if row.id not in kept])
        for path, file in files.items():
            if file.reason and not (file.passing and rows[path].version is not None):
                self._pass_over(rows[path], file)
        changed = [
            moved.get(path, rows[path]).id
            for path, file in readable.items()
            if not (self._is_up_to_date(moved[path]) if path in moved else self._is_unchanged(rows[path], file))
        ]
        cancel.check()
        self._documents.enqueue(changed, priority)
        return Changes(
            found=len(files),
            unchanged=len(readable) - len(changed),
            queued=len(changed),
            moved=len(moved),
            removed=len(vanished) - len(moved),
            left_out=sum(bool(file.left_out_by) for file in found),
        )

    def _add(self, folder: FolderRow, new: Sequence[Found]) -> dict[str, DocumentRow]:
        if not new:
            return {}
        self._documents.add_pending(folder.id, [(file.path, file.size_bytes, file.mtime_ns) for file in new])
        if len(new) > _FEW:
            paths = {file.path for file in new}
            return {row.path: row for row in self._documents.of_folder(folder.id) if row.path in paths}
        rows = (self._documents.find(folder.id, file.path) for file in new)
        return {row.path: row for row in rows if row is not None}

    def _is_unchanged(self, row: DocumentRow, file: Found) -> bool:
        same = (row.size_bytes, row.mtime_ns) == (file.size_bytes, file.mtime_ns)
        return same and self._is_up_to_date(row)

    def _is_up_to_date(self, row: DocumentRow) -> bool:
        return row.state != "pending" and row.queued is None and self._is_current(row.recipe)

    def _move_renamed(
        self,
        vanished: Sequence[DocumentRow],
        new: Sequence[DocumentRow],
        files: dict[str, Found],
        cancel: CancelToken,
    ) -> dict[str, DocumentRow]:
        """Give each new file with the bytes and the suffix of a vanished one that one's document; returns the moved
        documents, as they were, by their new paths. By another suffix the same bytes may be read another way."""
        by_bytes: dict[tuple[str, str], list[DocumentRow]] = {}
        for row in vanished:
            if row.sha256:
                by_bytes.setdefault((row.sha256, _suffix(row.path)), []).append(row)
        sizes = {row.size_bytes for rows in by_bytes.values() for row in rows}
        moved: dict[str, DocumentRow] = {}
        for row in new:
            if row.size_bytes not in sizes:
                continue
            try:
                file = files[row.path]
                same = by_bytes.get((sha256_of(file.absolute, cancel, file.identity), _suffix(row.path)))
            except (Unreadable, NotNow):
                continue  # it is read, and its error told, like any other new file
            if same:
                old = same.pop(0)
                self._documents.move(old.id, onto=row.id)
                moved[row.path] = old
        return moved

    def _pass_over(self, row: DocumentRow, file: Found) -> None:
        """Note a file that cannot be opened as one, with the reason."""
        if row.queued or (row.state, row.reason) != ("skipped", file.reason):
            self._documents.reject(
                row.id,
                size_bytes=file.size_bytes,
                mtime_ns=file.mtime_ns,
                sha256=None,
                recipe=None,
                state="skipped",
                reason=file.reason or "",
            )


def _until_cancelled(found: Iterable[Found], cancel: CancelToken) -> list[Found]:
    files = []
    for file in found:
        cancel.check()
        files.append(file)
    return files


def _suffix(path: str) -> str:
    return PurePosixPath(path).suffix.lower()


def _outermost(paths: Iterable[str]) -> list[str]:
    """Without those that lie below another of them."""
    kept: list[str] = []
    for path in sorted(paths, key=lambda path: path.split("/")):
        if not (kept and (path == kept[-1] or path.startswith(f"{kept[-1]}/"))):
            kept.append(path)
    return kept
