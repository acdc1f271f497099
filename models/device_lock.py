"""One GPU for all that use it from this process: one at a time, questions before ingest."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager


class DeviceLock:
    """One for each card. Who waits for a question goes before all who wait to ingest; among equals the first to come is
    the first to go. Nothing that runs is interrupted, so an ingest holds it for one small batch at a time. Not to be
    taken twice by one thread."""

    def __init__(self) -> None:
        self._state = threading.Lock()
        self._held = False
        self._queries: deque[threading.Event] = deque()
        self._ingests: deque[threading.Event] = deque()

    @contextmanager
    def query(self) -> Iterator[None]:
        """The device for a step of a question, for the length of the block."""
        self._acquire(self._queries)
        try:
            yield
        finally:
            self._release()

    @contextmanager
    def ingest(self) -> Iterator[None]:
        """The device for a batch of an ingest, when no question wants it."""
        self._acquire(self._ingests)
        try:
            yield
        finally:
            self._release()

    def _acquire(self, line: deque[threading.Event]) -> None:
        with self._state:
            if not self._held:
                self._held = True
                return
            turn = threading.Event()
            line.append(turn)
        try:
            turn.wait()
        except BaseException:  # Ctrl-C while waiting: the turn must not be lost
            self._leave(line, turn)
            raise

    def _leave(self, line: deque[threading.Event], turn: threading.Event) -> None:
        with self._state:
            waiting = not turn.is_set()
            if waiting:
                line.remove(turn)
        if not waiting:
            self._release()

    def _release(self) -> None:
        """Hand it to the next in line, so that nobody who comes now gets in between."""
        with self._state:
            line = self._queries or self._ingests
            if line:
                line.popleft().set()
            else:
                self._held = False
