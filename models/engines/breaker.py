"""A circuit breaker: an engine that keeps failing is not asked for a while, then tried once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Literal

BreakerState = Literal["closed", "open", "half-open"]


class CircuitBreaker:
    """Thread-safe. Closed: everything passes. After `failures` in a row, or a `trip`, it is open for `pause_s`; then
    half-open: one trial passes, whose success closes it and whose failure opens it for another pause. Each `admit` that
    was granted must be followed by `succeed`, `fail`, `trip` or `release`."""

    def __init__(
        self, *, failures: int = 3, pause_s: float = 20.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._limit = failures
        self._pause_s = pause_s
        self._clock = clock
        self._lock = threading.Lock()
        self._failures = 0
        self._opened_s: float | None = None
        self._on_trial = False

    @property
    def state(self) -> BreakerState:
        with self._lock:
            return self._state()

    @property
    def left_s(self) -> float:
        """Seconds until it lets a trial pass; 0 when it does."""
        with self._lock:
            return max(0.0, self._opened_s + self._pause_s - self._clock()) if self._opened_s is not None else 0.0

    def admit(self) -> bool:
        """Whether a request may be sent now."""
        with self._lock:
            state = self._state()
            if state == "half-open" and not self._on_trial:
                self._on_trial = True
                return True
            return state == "closed"

    def succeed(self) -> None:
        with self._lock:
            self._failures, self._opened_s, self._on_trial = 0, None, False

    def fail(self) -> None:
        with self._lock:
            self._failures += 1
            if self._failures >= self._limit:
                self._open()

    def trip(self) -> None:
        """Open at once, whatever it was."""
        with self._lock:
            self._open()

    def release(self) -> None:
        """The request was given up and says nothing about the engine: another may be the trial."""
        with self._lock:
            self._on_trial = False

    def _open(self) -> None:
        self._failures = max(self._failures, self._limit)
        self._opened_s, self._on_trial = self._clock(), False

    def _state(self) -> BreakerState:
        if self._opened_s is None:
            return "closed"
        return "open" if self._clock() < self._opened_s + self._pause_s else "half-open"
