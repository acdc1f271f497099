"""The files of a folder, in a fixed order, and why some were passed over."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ingest.errors import FolderMissing
from ingest.plain_file import GONE, PASSING, READ_FLAGS, FileIdentity, open_regular, translated
from ingest.rules import Rules
from models.cancellation import CancelToken

BLOCK_BYTES = 1 << 20


def plain_path(given: Path) -> Path:
    """The one spelling of a folder: absolute, without `~` and `..`; links stay as they are named."""
    return Path(os.path.abspath(given.expanduser()))


@dataclass(frozen=True, slots=True)
class Found:
    """A file, or something that cannot be read as one, and then with a `reason`. `path` is relative, with "/".

    With `left_out_by`, a rule, it may be a folder, and nothing below it was looked at; size and time are then 0.
    `passing`: the reason may be gone at the next look, so it says nothing of the file or of what is in the folder.
    `identity` is that of the file that was seen, through a link too, so that no other is read in its place.
    """

    path: str
    absolute: Path
    size_bytes: int
    mtime_ns: int
    reason: str | None = None
    left_out_by: str | None = None
    passing: bool = False
    identity: FileIdentity | None = None


def walk(folder: Path, *, hidden: bool = False, rules: Rules | None = None, below: str = "") -> Iterator[Found]:
    """Every file below `folder`, sorted by name, folder by folder; names that begin with a dot only with `hidden`.

    With `below`, a file or a folder, only that part of the same list, which is empty when it is gone.
    Links are followed when they lead to a file inside the folder; links to folders never (they could loop).
    Raises FolderMissing when `folder` is not a folder that can be listed, also when it goes away meanwhile: what was
    yielded until then is not all there is.
    """
    identity = identity_of(folder)
    yield from _Walk(os.fspath(plain_path(folder)), hidden, rules).all_below(below)
    if identity_of(folder) != identity:
        raise FolderMissing(f"{folder} has become another folder while it was looked through. Try again.")


def identity_of(folder: Path) -> str:
    """ "device:inode", which tells the mount point that an unplugged disk leaves behind from an emptied folder.
    Raises FolderMissing."""
    try:
        with os.scandir(folder):
            status = os.stat(folder)
    except OSError as exc:
        if exc.errno in GONE:
            raise FolderMissing(f"{folder} is not a folder. Check the spelling, or whether its disk is there.") from exc
        raise FolderMissing(f"The folder {folder} cannot be listed ({exc.strerror}). Check its permissions.") from exc
    return f"{status.st_dev}:{status.st_ino}"


def sha256_of(path: Path, cancel: CancelToken, identity: FileIdentity | None = None) -> str:
    """Hexadecimal digest of the file's content; with `identity`, of that file only. Raises Unreadable, NotNow,
    Vanished; `Cancelled` between blocks."""
    digest = hashlib.sha256()
    with translated(path), open_regular(path, identity) as file:
        while block := file.read(BLOCK_BYTES):
            cancel.check()
            digest.update(block)
    return digest.hexdigest()


class _Walk:
    def __init__(self, root: str, hidden: bool, rules: Rules | None) -> None:
        self._root = root
        self._prefix = root if root.endswith(os.sep) else root + os.sep
        self._real_root = Path(os.path.realpath(root))
        self._hidden = hidden
        self._rules = rules

    def all_below(self, start: str) -> Iterator[Found]:
        """Depth first, by a stack of our own: folders can be nested deeper than Python's calls."""
        stack = [self._at(start) if start else self._listed("")]
        while stack:
            found = next(stack[-1], None)
            if found is None:
                stack.pop()
            elif isinstance(found, Found):
                yield found
            else:
                stack.append(found)

    def _at(self, start: str) -> Iterator[Found | Iterator[Any]]:
        if not self._reaches(start):
            return
        try:
            mode = os.lstat(self._prefix + start).st_mode
        except OSError as exc:
            if exc.errno not in GONE:
                yield self._failed(start, "cannot be read", exc)
            return
        yield from self._looked_at(start, stat.S_ISDIR(mode), stat.S_ISLNK(mode))

    def _reaches(self, start: str) -> bool:
        """Whether the walk comes as far as the folder that `start` is in: no link, no hidden or left-out name."""
        names = start.split("/")
        if any(name in ("", ".", "..") or (name.startswith(".") and not self._hidden) for name in names):
            return False
        parents = ["/".join(names[:end]) for end in range(1, len(names))]
        if self._rules and any(self._rules.left_out_by(path, is_folder=True) for path in parents):
            return False
        return not any(os.path.islink(self._prefix + path) for path in parents)

    def _listed(self, folder: str) -> Iterator[Found | Iterator[Any]]:
        """What a folder holds, by name. One that cannot be listed is itself the find; one that is gone is empty. Of the
        topmost neither may be said, since it would mean that every file is gone: raises FolderMissing."""
        try:
            with os.scandir(self._prefix + folder) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError as exc:
            if not folder:
                raise FolderMissing(f"The folder {self._root} cannot be listed ({exc.strerror}). Try again.") from exc
            if exc.errno not in GONE:
                yield self._failed(folder, "this folder cannot be listed", exc)
            return
        inside = f"{folder}/" if folder else ""
        for entry in entries:
            if self._hidden or not entry.name.startswith("."):
                yield from self._entry(inside + entry.name, entry)

    def _entry(self, path: str, entry: os.DirEntry[str]) -> Iterator[Found | Iterator[Any]]:
        try:  # some network drives do not tell the kind with the name, so it is asked for
            is_folder, is_link = entry.is_dir(follow_symlinks=False), entry.is_symlink()
        except OSError as exc:
            yield self._failed(path, "cannot be read", exc)
            return
        yield from self._looked_at(path, is_folder, is_link)

    def _looked_at(self, path: str, is_folder: bool, is_link: bool) -> Iterator[Found | Iterator[Any]]:
        """One Found, or the iterator over a folder, or nothing for what has just gone."""
        if self._rules is not None and (line := self._rules.left_out_by(path, is_folder=is_folder)) is not None:
            yield Found(_printable(path), Path(self._prefix + path), 0, 0, left_out_by=line)
        elif not is_text(path):
            yield self._passed_over(path, "its name is not UTF-8: rename it")
        elif is_folder:
            yield self._listed(path)
        elif (found := self._file(path, is_link)) is not None:
            yield found

    def _file(self, path: str, is_link: bool) -> Found | None:
        absolute = self._prefix + path
        try:
            target = os.path.realpath(absolute) if is_link else absolute
            if is_link and not Path(target).is_relative_to(self._real_root):
                return self._passed_over(path, "a link that leads out of the folder: not followed")
            status = os.lstat(target)
        except OSError as exc:
            if exc.errno in GONE and not os.path.lexists(absolute):
                return None
            return self._failed(path, "cannot be read", exc)
        if stat.S_ISDIR(status.st_mode):
            return self._passed_over(path, "a link to a folder: not followed")
        if stat.S_ISLNK(status.st_mode):
            reason = "a link that leads in a circle" if is_link else "a link took its place a moment ago"
            return self._passed_over(path, reason, passing=not is_link)
        if not stat.S_ISREG(status.st_mode):
            return self._passed_over(path, "not a plain file (a device, a socket or a pipe)")
        refusal = None if os.access(absolute, os.R_OK) else _refusal(absolute)
        if refusal is not None and refusal.errno in PASSING:
            return self._failed(path, "cannot be read", refusal)
        denied = None if refusal is None else "no permission to read it"
        identity = FileIdentity.of(status)
        return Found(path, Path(absolute), status.st_size, status.st_mtime_ns, denied, identity=identity)

    def _failed(self, path: str, what: str, exc: OSError) -> Found:
        return self._passed_over(path, f"{what} ({exc.strerror})", passing=exc.errno in PASSING)

    def _passed_over(self, path: str, reason: str, *, passing: bool = False) -> Found:
        return Found(_printable(path), Path(self._prefix + path), 0, 0, reason, passing=passing)


def _refusal(absolute: str) -> OSError | None:
    """Why a file that may not be read may not: `os.access` says no to a drive that does not answer, too."""
    try:
        os.close(os.open(absolute, READ_FLAGS))
    except OSError as exc:
        return exc
    return None


def _printable(path: str) -> str:
    return path if path.isascii() else os.fsencode(path).decode("utf-8", "backslashreplace")


def is_text(path: str) -> bool:
    """On POSIX a name may be any bytes; those that are no UTF-8 come as lone surrogates, which nothing can store."""
    return path.isascii() or not any("\ud800" <= character <= "\udfff" for character in path)
