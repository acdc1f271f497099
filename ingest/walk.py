"""The files of a folder, in a fixed order, and why some were passed over."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ingest.errors import FolderMissing, Unreadable
from models.cancellation import CancelToken

BLOCK_BYTES = 1 << 20


def plain_path(given: Path) -> Path:
    """The one spelling of a folder: absolute, without `~` and `..`; links stay as they are named."""
    return Path(os.path.abspath(given.expanduser()))


@dataclass(frozen=True)
class Found:
    """A file, or something that cannot be read as one, and then with a `reason`. `path` is relative, with "/"."""

    path: str
    absolute: Path
    size_bytes: int
    mtime_ns: int
    reason: str | None = None


def walk(folder: Path, hidden: bool = False) -> Iterator[Found]:
    """Every file below `folder`, sorted by name, folder by folder; names that begin with a dot only with `hidden`.

    Links are followed when they lead to a file inside the folder; links to folders never (they could loop).
    Raises FolderMissing when `folder` is not a folder that can be listed.
    """
    root = plain_path(folder)
    if not root.is_dir():
        raise FolderMissing(f"{folder} is not a folder. Check the spelling, or whether its disk is there.")
    try:
        with os.scandir(root):
            pass
    except OSError as exc:
        raise FolderMissing(f"The folder {folder} cannot be listed ({exc.strerror}). Check its permissions.") from exc
    yield from _walk(root, root, Path(os.path.realpath(root)), hidden)


def sha256_of(path: Path, cancel: CancelToken) -> str:
    """Hexadecimal digest of the file's content. Raises Unreadable; `Cancelled` between blocks."""
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while block := file.read(BLOCK_BYTES):
                cancel.check()
                digest.update(block)
    except OSError as exc:
        raise Unreadable(f"{path.name} cannot be read ({exc.strerror}).") from exc
    return digest.hexdigest()


def _walk(folder: Path, root: Path, real_root: Path, hidden: bool) -> Iterator[Found]:
    try:
        with os.scandir(folder) as listing:
            entries = sorted(listing, key=lambda entry: entry.name)
    except OSError as exc:
        yield _passed_over(folder, root, f"this folder cannot be listed ({exc.strerror})")
        return
    for entry in entries:
        if entry.name.startswith(".") and not hidden:
            continue
        path = folder / entry.name
        if not _is_text(entry.name):
            yield _passed_over(path, root, "its name is not UTF-8: rename it")
        elif entry.is_dir(follow_symlinks=False):
            yield from _walk(path, root, real_root, hidden)
        else:
            yield _found(path, root, real_root)


def _found(path: Path, root: Path, real_root: Path) -> Found:
    try:
        if path.is_symlink() and not Path(os.path.realpath(path)).is_relative_to(real_root):
            return _passed_over(path, root, "a link that leads out of the folder: not followed")
        status = path.stat()
    except OSError as exc:
        return _passed_over(path, root, f"cannot be read ({exc.strerror})")
    if stat.S_ISDIR(status.st_mode):
        return _passed_over(path, root, "a link to a folder: not followed")
    if not stat.S_ISREG(status.st_mode):
        return _passed_over(path, root, "not a plain file (a device, a socket or a pipe)")
    reason = None if os.access(path, os.R_OK) else "no permission to read it"
    return Found(_relative(path, root), path, status.st_size, status.st_mtime_ns, reason)


def _passed_over(path: Path, root: Path, reason: str) -> Found:
    return Found(_relative(path, root), path, 0, 0, reason)


def _relative(path: Path, root: Path) -> str:
    return os.fsencode(path.relative_to(root).as_posix()).decode("utf-8", "backslashreplace")


def _is_text(name: str) -> bool:
    """On POSIX a name may be any bytes; those that are no UTF-8 come as lone surrogates, which nothing can store."""
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
