"""Counts of a running mirror, told as `Activity` a few times a second."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from ingest.events import Activity, Phase

_INTERVAL_S = 0.2


class Progress:
    """Thread-safe. `report` is called with an Activity at most five times a second, and at each change of phase."""

    def __init__(
        self,
        collection: str,
        folder: str,
        report: Callable[[Activity], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._collection, self._folder = collection, folder
        self._report = report
        self._clock = clock
        self._lock = threading.Lock()
        self._started = clock()
        self._reported = float("-inf")
        self._phase: Phase = "waiting"
        self._reading: list[str] = []
        self._files_done = self._files_total = 0
        self._chunks_embedded = self._chunks_total = 0
        self._bytes_done = self._bytes_total = 0

    def enter(self, phase: Phase) -> None:
        """Nothing happens when it is in that phase already."""
        with self._lock:
            if phase != self._phase:
                self._phase = phase
                self._tell(at_once=True)

    def plan(self, files: int, size_bytes: int) -> None:
        with self._lock:
            self._files_total, self._bytes_total = files, size_bytes

    def begin_file(self, path: str) -> None:
        with self._lock:
            self._reading.append(path)
            self._tell()

    def end_file(self, path: str, size_bytes: int) -> None:
        with self._lock:
            self._reading.remove(path)
            self._files_done += 1
            self._bytes_done += size_bytes
            self._tell()

    def set_chunks(self, embedded: int, total: int) -> None:
        with self._lock:
            self._chunks_embedded, self._chunks_total = embedded, total
            self._tell()

    def _tell(self, at_once: bool = False) -> None:
        now = self._clock()
        if not at_once and now - self._reported < _INTERVAL_S:
            return
        self._reported = now
        self._report(
            Activity(
                collection=self._collection,
                folder=self._folder,
                phase=self._phase,
                current_file=self._reading[0] if self._reading else None,
                files_done=self._files_done,
                files_total=self._files_total,
                chunks_embedded=self._chunks_embedded,
                chunks_total=self._chunks_total,
                elapsed_s=round(now - self._started, 1),
                eta_s=self._eta_s(now - self._started),
            )
        )

    def _eta_s(self, elapsed_s: float) -> float | None:
        """By the slower of reading (in bytes) and embedding (in chunks, those still unread guessed from the bytes)."""
        if elapsed_s < 2 or not self._bytes_done or not self._chunks_embedded:
            return None
        unread = self._bytes_total / self._bytes_done
        chunks_expected = self._chunks_total * unread
        shares = (1 / unread, self._chunks_embedded / chunks_expected if chunks_expected else 1.0)
        return round(elapsed_s * (1 / min(shares) - 1), 1)
