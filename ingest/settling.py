"""Holds back files that are still being written."""

from __future__ import annotations

import errno
import os
import stat
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ingest.walk import Found

if sys.platform == "linux":
    import fcntl
    import signal

# A file that stands still while a program has it open (an editor, a log between two lines) is reported after OPEN_S;
# one that has never stood still (a large copy, a busy log) after GROWING_S, and again whenever that time has passed.
# One that is saved again and again is reported ever less often: after REPEAT_S, then after twice that, and so on up to
# MOST_REPEAT_S; when it has rested for three times as long, it counts as new.
OPEN_S = 10.0
GROWING_S = 60.0
REPEAT_S, MOST_REPEAT_S = 1.0, 16.0


def open_for_writing(path: Path) -> bool:
    """Whether some process has the file open for writing. False also where nobody can tell: on other systems than
    Linux, on network drives, and for other users' files.

    The kernel grants a read lease only while nobody writes. Should a writer come in the instant until it is given
    back, the kernel lets that writer wait and signals us: by SIGURG, which is ignored, in place of SIGIO, which kills.
    """
    if sys.platform != "linux":
        return False
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError as exc:
        return exc.errno == errno.EAGAIN
    finally:
        os.close(descriptor)
    return False


@dataclass
class _Waiting:
    size_bytes: int
    mtime_ns: int
    due: float  # when it is looked at next
    since: float  # when its waiting began
    stood_since: float  # when it last changed, as far as we have seen


@dataclass(frozen=True)
class _Report:
    at: float
    size_bytes: int
    mtime_ns: int
    rest_s: float  # before the next one


class Settling:
    """Paths come in by `note` when they change and out by `ready` when nobody writes them any more.

    A path that is gone is ready at once; so is a file that was moved here, whose last change is older than `settle_s`.
    """

    def __init__(
        self,
        folder: Path,
        below: Callable[[str], Iterator[Found]],
        *,
        settle_s: float,
        is_open: Callable[[Path], bool] = open_for_writing,
        clock: Callable[[], float] = time.monotonic,
        wall_clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        """`below` walks what lies at a relative path, a folder or a file, and leaves out what is not followed."""
        self._folder = folder
        self._below = below
        self._settle_s = settle_s
        self._is_open = is_open
        self._clock = clock
        self._wall_clock_ns = wall_clock_ns
        self._waiting: dict[str, _Waiting] = {}
        self._ready: set[str] = set()
        self._reported: dict[str, _Report] = {}

    @property
    def next_look(self) -> float | None:
        """The clock's time at which `ready` may have something, None when nothing is held back."""
        if self._ready:
            return self._clock()
        return min((waiting.due for waiting in self._waiting.values()), default=None)

    def note(self, paths: Iterable[str]) -> None:
        """These have changed: files, folders with all they hold, or names that are gone."""
        for path in paths:
            try:
                is_folder = stat.S_ISDIR(os.lstat(self._folder / path).st_mode)
            except OSError:
                self._let_go(path)
                continue
            held = [self._note_file(file) for file in self._below(path) if file.left_out_by is None]
            if is_folder and held and not any(held):
                self._ready.add(path)  # a folder that came here whole is reported by its one name

    def ready(self) -> frozenset[str]:
        """What can be read now; of a folder that is ready as a whole, or gone, only the topmost name."""
        now = self._clock()
        for path, waiting in list(self._waiting.items()):
            if waiting.due <= now:
                self._look(path, waiting, now)
        self._reported = {path: was for path, was in self._reported.items() if now - was.at < 3 * was.rest_s}
        ready, self._ready = self._ready, set()
        return frozenset(path for path in ready if not any(parent in ready for parent in _parents(path)))

    def _note_file(self, file: Found) -> bool:
        """Whether it is held back."""
        if file.reason is not None:
            self._let_go(file.path)
            return False
        now = self._clock()
        report = self._reported.get(file.path)
        if report is not None and (report.size_bytes, report.mtime_ns) == (file.size_bytes, file.mtime_ns):
            return False  # one change makes several events, and this one came after the report
        if self._wall_clock_ns() - file.mtime_ns > self._settle_s * 1e9 and self._offer(file, now):
            return False
        if file.path not in self._waiting:
            self._waiting[file.path] = _Waiting(file.size_bytes, file.mtime_ns, now + self._settle_s, now, now)
        return True

    def _look(self, path: str, waiting: _Waiting, now: float) -> None:
        absolute = self._folder / path
        try:
            status = os.stat(absolute)
        except OSError:
            self._let_go(path)
            return
        file = Found(path, absolute, status.st_size, status.st_mtime_ns)
        stands = (file.size_bytes, file.mtime_ns) == (waiting.size_bytes, waiting.mtime_ns)
        if stands and self._offer(file, now, though_open=now - waiting.stood_since >= OPEN_S):
            return
        if not stands:
            waiting.stood_since = now
            if now - waiting.since >= GROWING_S:
                self._ready.add(path)
                waiting.since = now
        waiting.size_bytes, waiting.mtime_ns = file.size_bytes, file.mtime_ns
        waiting.due = now + self._settle_s

    def _offer(self, file: Found, now: float, *, though_open: bool = False) -> bool:
        """Report a file that stands still, unless it was reported a moment ago or somebody has it open."""
        last = self._reported.get(file.path)
        if last is not None and now - last.at < last.rest_s:
            return False
        if not though_open and self._is_open(file.absolute):
            return False
        self._let_go(file.path)
        rest_s = min(2 * last.rest_s, MOST_REPEAT_S) if last else REPEAT_S
        self._reported[file.path] = _Report(now, file.size_bytes, file.mtime_ns, rest_s)
        return True

    def _let_go(self, path: str) -> None:
        self._waiting.pop(path, None)
        self._reported.pop(path, None)
        self._ready.add(path)


def _parents(path: str) -> Iterator[str]:
    at = path.rfind("/")
    while at > 0:
        yield path[:at]
        at = path.rfind("/", 0, at)
