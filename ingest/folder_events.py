"""What the operating system says has changed below a folder.

On Linux this speaks to inotify itself. watchfiles, which does so elsewhere, follows links out of the folder on Linux,
ends at the first name that is not UTF-8, does not say when the system dropped events, and cannot leave a folder out.
"""

from __future__ import annotations

import errno
import os
import select
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ingest.walk import is_text

LIMIT = "the system's limit of {what} is reached (fs.inotify.{name}, now {value}; `sysctl` can raise it)"


class CannotWatch(Exception):
    """There are no events for this folder; the message says why."""


@dataclass(frozen=True)
class Happened:
    """Names that were made, changed or removed, relative and with "/"; for a new folder its own name stands for all in
    it. One that is not UTF-8 comes with lone surrogates, as `os.listdir` gives it. `lost`: there was more than is told,
    or the watch has ended, so everything has to be looked at and watched anew.
    """

    paths: frozenset[str] = frozenset()
    lost: bool = False


class FolderEvents(Protocol):
    def wait(self, seconds: float) -> Happened:
        """What has happened since the last call; waits for it, at most about so long."""

    def wake(self) -> None:
        """From another thread: end a `wait`. Does nothing after `close`."""

    def close(self) -> None: ...


def open_events(folder: Path, follows: Callable[[str], bool]) -> FolderEvents:
    """`follows` says of a folder, by its relative path, whether its inside matters. Raises CannotWatch."""
    return InotifyEvents(folder, follows) if sys.platform == "linux" else WatchfilesEvents(folder)


class NoEvents:
    """For where the system tells nothing."""

    def __init__(self) -> None:
        self._woken = threading.Event()

    def wait(self, seconds: float) -> Happened:
        self._woken.wait(seconds)
        return Happened()

    def wake(self) -> None:
        self._woken.set()

    def close(self) -> None:
        pass


class InotifyEvents:
    """One inotify watch for each folder that is followed, and none behind a link."""

    def __init__(self, folder: Path, follows: Callable[[str], bool]) -> None:
        """The watch has begun when this returns. Raises CannotWatch."""
        from inotify_simple import INotify, flags

        self._flags = flags
        self._wanted = flags.CREATE | flags.DELETE | flags.MODIFY | flags.CLOSE_WRITE | flags.ATTRIB
        self._wanted |= flags.MOVED_FROM | flags.MOVED_TO | flags.DELETE_SELF | flags.MOVE_SELF
        self._wanted |= flags.ONLYDIR | flags.EXCL_UNLINK
        self._root = os.path.realpath(folder)
        self._follows = follows
        self._path_of: dict[int, str] = {}
        self._watch_of: dict[str, int] = {}
        try:
            self._inotify = INotify(nonblocking=True)
        except OSError as exc:
            raise CannotWatch(_why(exc)) from exc
        self._waker, self._woken = os.pipe()[::-1]
        # A number that was closed may be another file's by the time that somebody writes to it.
        self._open = True
        self._closing = threading.Lock()
        self._poll = select.poll()
        for descriptor in (self._inotify.fileno(), self._woken):
            self._poll.register(descriptor, select.POLLIN)
        try:
            self._add("")
            if not self._watch_of:
                raise CannotWatch("the folder is not there")
        except CannotWatch:
            self.close()
            raise

    def wait(self, seconds: float) -> Happened:
        self._poll.poll(max(0.0, seconds) * 1000)
        paths: set[str] = set()
        lost = False
        try:
            for event in self._inotify.read(timeout=0):
                lost |= not self._take(event.wd, event.mask, event.name, paths)
        except CannotWatch:
            lost = True  # the watch is begun anew, and that says why it cannot be
        return Happened(frozenset(paths), lost)

    def wake(self) -> None:
        with self._closing:
            if self._open:
                os.write(self._waker, b".")

    def close(self) -> None:
        with self._closing:
            if not self._open:
                return
            self._open = False
            self._inotify.close()
            os.close(self._waker)
            os.close(self._woken)

    def _take(self, watch: int, mask: int, name: str, paths: set[str]) -> bool:
        """Note one event; False when the watch cannot be relied on after it."""
        flags = self._flags
        if mask & flags.Q_OVERFLOW:
            return False
        inside = self._path_of.get(watch)
        if inside is None:
            return True  # of a folder that has gone from here
        if mask & (flags.IGNORED | flags.DELETE_SELF | flags.MOVE_SELF | flags.UNMOUNT) and not name:
            if mask & flags.IGNORED:
                self._forget(inside, watch)
            return inside != ""  # its parent told of any other folder
        path = f"{inside}/{name}" if inside and name else inside or name
        if mask & flags.ISDIR and mask & (flags.MOVED_FROM | flags.DELETE):
            self._remove(path)
        if mask & flags.ISDIR and mask & (flags.MOVED_TO | flags.CREATE | flags.ATTRIB):
            self._add(path)
        paths.add(path)
        return True

    def _add(self, top: str) -> None:
        """Watch a folder and all below it. What was made in it before is covered by the report of the folder."""
        waiting = [top]
        while waiting:
            path = waiting.pop()
            if path and not (is_text(path) and self._follows(path)):
                continue
            absolute = os.path.join(self._root, path)
            try:
                watch = self._inotify.add_watch(absolute, self._wanted | (self._flags.DONT_FOLLOW if path else 0))
                self._forget(self._path_of.get(watch, path), watch)
                self._path_of[watch], self._watch_of[path] = path, watch
                with os.scandir(absolute) as listing:
                    inner = [entry.name for entry in listing if entry.is_dir(follow_symlinks=False)]
            except OSError as exc:
                if exc.errno in (errno.ENOSPC, errno.ENOMEM):
                    raise CannotWatch(_why(exc)) from exc
                continue  # gone, or not for us: then the walk says so
            waiting += [f"{path}/{name}" if path else name for name in inner]

    def _remove(self, top: str) -> None:
        for path in [path for path in self._watch_of if path == top or path.startswith(f"{top}/")]:
            watch = self._watch_of[path]
            self._forget(path, watch)
            try:
                self._inotify.rm_watch(watch)
            except OSError as exc:
                if exc.errno != errno.EINVAL:  # the system has removed it already
                    raise

    def _forget(self, path: str, watch: int) -> None:
        self._path_of.pop(watch, None)
        if self._watch_of.get(path) == watch:
            del self._watch_of[path]


class WatchfilesEvents:
    """By the library watchfiles: Windows and macOS. Weaker: every folder is watched, and lost events are not told."""

    def __init__(self, folder: Path) -> None:
        """Raises CannotWatch."""
        from watchfiles import watch

        self._root = os.path.realpath(folder)
        if not os.path.isdir(self._root):
            raise CannotWatch("the folder is not there")
        self._stop = threading.Event()
        self._changes = watch(
            self._root,
            watch_filter=None,
            debounce=100,
            step=50,
            rust_timeout=100,
            yield_on_timeout=True,
            stop_event=self._stop,
            force_polling=False,
            ignore_permission_denied=True,
            raise_interrupt=False,
        )
        try:
            next(self._changes)
        except (OSError, RuntimeError) as exc:
            raise CannotWatch(f"the system says: {exc}") from exc

    def wait(self, seconds: float) -> Happened:  # noqa: ARG002 (it returns every 0.1 s)
        try:
            changes = next(self._changes, None)
        except (OSError, RuntimeError):
            return Happened(lost=True)
        if changes is None:
            return Happened(lost=not self._stop.is_set())
        paths = (os.path.relpath(path, self._root).replace(os.sep, "/") for _, path in changes)
        return Happened(frozenset("" if path == "." else path for path in paths))

    def wake(self) -> None:
        self._stop.set()

    def close(self) -> None:
        self._stop.set()
        self._changes.close()


def _why(exc: OSError) -> str:
    if exc.errno == errno.ENOSPC:
        return LIMIT.format(what="watched folders", name="max_user_watches", value=_setting("max_user_watches"))
    if exc.errno == errno.EMFILE:
        return LIMIT.format(what="watching programs", name="max_user_instances", value=_setting("max_user_instances"))
    return f"the system says: {exc.strerror}"


def _setting(name: str) -> str:
    try:
        return f"{int(Path('/proc/sys/fs/inotify', name).read_text()):,}"
    except (OSError, ValueError):
        return "unknown"
