"""One file on the disk: opened so that nothing waits, known again, and told apart by what may pass and what stays."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple

from ingest.errors import NotNow, Unreadable, Vanished

GONE = (errno.ENOENT, errno.ENOTDIR)
# What a disk or a network drive says when it may answer again soon. Not every system has every name.
_PASSING_NAMES = """EIO ESTALE EBUSY EAGAIN EINTR ENOLCK ETIMEDOUT ETXTBSY ENETDOWN ENETUNREACH ENETRESET EHOSTDOWN
EHOSTUNREACH ECONNREFUSED ECONNRESET ECONNABORTED ENOTCONN EREMOTEIO ENOMEM EMFILE ENFILE ENODEV ENXIO ENOSPC EDQUOT"""
PASSING = frozenset(getattr(errno, name) for name in _PASSING_NAMES.split() if hasattr(errno, name))
# In a parser process these are the limits of that process, and a file that reaches them would reach them again.
_OWN_LIMITS = frozenset({errno.ENOMEM, errno.EMFILE})
# A pipe in the place of a file would let a plain `open` wait for its other end for ever.
READ_FLAGS = os.O_RDONLY | sum(getattr(os, name, 0) for name in ("O_NONBLOCK", "O_CLOEXEC", "O_BINARY"))


class FileIdentity(NamedTuple):
    """Tells a file from every other, and from itself once it has changed."""

    device: int
    inode: int
    size_bytes: int
    mtime_ns: int

    @classmethod
    def of(cls, status: os.stat_result) -> FileIdentity:
        return cls(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


def open_regular(path: Path, identity: FileIdentity | None = None) -> BinaryIO:
    """Open a plain file for reading. With `identity`, only the file that has it, whatever name or link leads there now.
    Raises NotNow when another file has taken its place, Vanished, and Unreadable for what is no plain file."""
    with translated(path):
        descriptor = os.open(path, READ_FLAGS)
        try:
            _require_regular(path, os.fstat(descriptor), identity)
        except BaseException:
            os.close(descriptor)
            raise
        return os.fdopen(descriptor, "rb")


def require_same(path: Path, identity: FileIdentity) -> None:
    """Raises NotNow when `path` leads to another file, or to the same one with other content; Vanished, Unreadable."""
    with translated(path):
        _require_regular(path, os.stat(path), identity)


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Within the block, what the system says of the file becomes Vanished, NotNow or Unreadable, for people."""
    try:
        yield
    except OSError as exc:
        if exc.errno in GONE:
            raise Vanished(f"{path.name} was there a moment ago and is gone.") from exc
        if exc.errno in PASSING:
            raise NotNow(f"{path.name} cannot be read just now ({exc.strerror}).") from exc
        raise Unreadable(f"{path.name} cannot be read ({exc.strerror}). Check its permissions and its disk.") from exc


def passing_cause(exc: BaseException | None) -> OSError | None:
    """What a disk said behind a failure in a parser process, when trying again may help."""
    while exc is not None:
        if isinstance(exc, OSError) and exc.errno in PASSING - _OWN_LIMITS:
            return exc
        exc = exc.__cause__ or exc.__context__
    return None


def _require_regular(path: Path, status: os.stat_result, identity: FileIdentity | None) -> None:
    if identity not in (None, FileIdentity.of(status)):
        raise NotNow(f"{path.name} was exchanged or written while it was read.")
    if not stat.S_ISREG(status.st_mode):
        raise Unreadable(f"{path.name} is not a plain file (a folder, a device, a socket or a pipe).")
