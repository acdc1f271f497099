"""Folders for what parser processes write beside their output, so that none outlives its owner for long.

Its owner holds a lock (`flock`) on each folder for as long as it lives, which the system lets go even of a process that
is killed. So a folder that nobody locks is a dead one's, and the next start removes it. Where folders cannot be locked
(Windows) nothing is swept, and the system's own cleaning of temporary files has to do.
"""

from __future__ import annotations

import logging
import os
import shutil
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

if sys.platform != "win32":
    import fcntl

_log = logging.getLogger(__name__)

PREFIX = "lectern-parser-"


class Scratch:
    """A new folder of our own, locked. `close` removes it with all it holds."""

    def __init__(self, parent: Path | None = None) -> None:
        """Below `parent`, by default the system's temporary folder."""
        self.path, self._lock = _made(parent)

    def close(self) -> None:
        _remove(self.path)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def sweep(parent: Path | None = None) -> int:
    """Remove the folders of processes that are no more; returns how many. Others' and living ones' stay."""
    if sys.platform == "win32":
        return 0
    swept = 0
    with os.scandir(parent or tempfile.gettempdir()) as entries:
        names = [entry.path for entry in entries if entry.name.startswith(PREFIX)]
    for path in map(Path, names):
        with suppress(BlockingIOError):  # its owner lives
            if (lock := _lock(path)) is not None:
                _remove(path)
                os.close(lock)
                swept += 1
    if swept:
        _log.info("removed %d scratch folders that killed processes had left", swept)
    return swept


def _remove(path: Path) -> None:
    with suppress(RecursionError):  # folders in folders, more than a thousand: told below
        shutil.rmtree(path, ignore_errors=True)
    if path.exists():
        _log.warning("the scratch folder %s cannot be removed; remove it by hand", path)


def _made(parent: Path | None) -> tuple[Path, int | None]:
    """A sweep may come between making the folder and locking it, and takes it away: then another is made."""
    while True:
        path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
        if sys.platform == "win32":
            return path, None
        with suppress(BlockingIOError):
            lock = _lock(path)
            if path.is_dir():
                return path, lock  # without a lock where the file system has none, and no sweep can have one either
            if lock is not None:
                os.close(lock)


def _lock(path: Path) -> int | None:
    """A descriptor that holds the folder's lock; None when it is gone, no folder, not ours, or cannot be locked.
    Raises BlockingIOError when another holds the lock."""
    if sys.platform == "win32":
        return None
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        if os.fstat(descriptor).st_uid == os.geteuid():
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return descriptor
    except BlockingIOError:
        os.close(descriptor)
        raise
    except OSError as exc:
        _log.info("%s cannot be locked: %s", path, exc.strerror)
    os.close(descriptor)
    return None
