"""Counts of the work on one folder, told as `Activity`."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from ingest.events import Activity, Phase

_RECENT_S = 30.0
_LEAST_S = 2.0


@dataclass
class Done:
    """What was done, in files, bytes, pages, and chunks embedded."""

    files: int = 0
    size_bytes: int = 0
    pages: int = 0
    chunks: int = 0


class Progress:
    """Thread-safe. What is left is handed in, by who can count it."""

    def __init__(self, collection: str, folder: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._collection, self._folder = collection, folder
        self._clock = clock
        self._lock = threading.Lock()
        self._reading: list[str] = []
        self.restart()

    def restart(self) -> None:
        """Count from nothing: the folder was in step."""
        with self._lock:
            self._started = self._clock()
            self._done = Done()
            self._samples: deque[tuple[float, Done]] = deque([(self._started, Done())])

    @property
    def elapsed_s(self) -> float:
        return self._clock() - self._started

    @property
    def done(self) -> Done:
        with self._lock:
            return Done(**vars(self._done))

    def begin_file(self, path: str) -> None:
        with self._lock:
            self._reading.append(path)

    def add_page(self) -> None:
        with self._lock:
            self._done.pages += 1

    def end_file(self, path: str, size_bytes: int | None) -> None:
        """`size_bytes` is None when the file was given back unread."""
        with self._lock:
            self._reading.remove(path)
            if size_bytes is not None:
                self._done.files += 1
                self._done.size_bytes += size_bytes

    def add_chunks(self, chunks: int) -> None:
        with self._lock:
            self._done.chunks += chunks

    def activity(self, phase: Phase, left: Done) -> Activity:
        """Where it stands, when `left` is still to be done (its pages are not known and not looked at)."""
        with self._lock:
            done, now = Done(**vars(self._done)), self._clock()
            self._samples.append((now, done))
            while now - self._samples[0][0] > _RECENT_S:
                self._samples.popleft()
            since, before = self._samples[0]
            seconds = max(now - since, 1e-9)
            rates = {name: (value - getattr(before, name)) / seconds for name, value in vars(done).items()}
            return Activity(
                collection=self._collection,
                folder=self._folder,
                phase=phase,
                current_file=self._reading[0] if self._reading else None,
                files_done=done.files,
                files_total=done.files + left.files,
                bytes_done=done.size_bytes,
                bytes_total=done.size_bytes + left.size_bytes,
                pages_done=done.pages,
                chunks_embedded=done.chunks,
                chunks_total=done.chunks + left.chunks,
                files_per_s=round(rates["files"], 1),
                pages_per_s=round(rates["pages"], 1),
                bytes_per_s=round(rates["size_bytes"]),
                chunks_per_s=round(rates["chunks"], 1),
                elapsed_s=round(now - self._started, 1),
                eta_s=_eta_s(done, left, rates, now - self._started),
            )


def _eta_s(done: Done, left: Done, rates: dict[str, float], elapsed_s: float) -> float | None:
    """By the slower of reading and embedding. What share of the reading is done is told by files and by bytes alike:
    small files come first, so that files alone promise too much, and bytes alone too little."""
    if elapsed_s < _LEAST_S:
        return None
    share = (_share(done.files, left.files) + _share(done.size_bytes, left.size_bytes)) / 2
    unread = (1 / share - 1) * (done.chunks + left.chunks) if share else 0.0
    if not share or (left.chunks + unread and not rates["chunks"]):
        return None
    reading = elapsed_s * (1 / share - 1)
    embedding = (left.chunks + unread) / rates["chunks"] if left.chunks + unread else 0.0
    return round(max(reading, embedding), 1)


def _share(done: int, left: int) -> float:
    return done / (done + left) if done + left else 1.0
