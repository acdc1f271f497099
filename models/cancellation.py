"""A cancellation token: handed down, checked between steps, and able to wake whoever waits on a socket."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Cancelled(Exception):
    """The work was stopped on request; nothing is wrong."""


class CancelToken:
    """Thread-safe, one-way: once cancelled it stays cancelled."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._lock = threading.Lock()
        self._closers: list[Callable[[], None]] = []

    @property
    def cancelled(self) -> bool:
        return self._event.is_set()

    def cancel(self) -> None:
        """Mark as cancelled and call every closer registered by `closing`, once."""
        with self._lock:
            self._event.set()
            closers, self._closers = self._closers, []
        for closer in closers:
            closer()

    def check(self) -> None:
        """Raise `Cancelled` if the token was cancelled."""
        if self.cancelled:
            raise Cancelled

    def wait(self, timeout_s: float) -> bool:
        """Sleep up to `timeout_s` seconds; true as soon as the token is cancelled."""
        return self._event.wait(timeout_s)

    @contextmanager
    def closing(self, closer: Callable[[], None]) -> Iterator[None]:
        """Within the block, `cancel` calls `closer` (a socket's shutdown, say), at once if already cancelled."""
        with self._lock:
            late = self.cancelled
            if not late:
                self._closers.append(closer)
        if late:
            closer()
        try:
            yield
        finally:
            with self._lock:
                if closer in self._closers:
                    self._closers.remove(closer)
