"""Batches that a device can take: smaller ones when its memory runs out, short ones where a question may come."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeVar

from models.errors import ModelError
from models.interfaces import Vectors

_log = logging.getLogger(__name__)

Item = TypeVar("Item")

SMALLEST_TOKENS = 256
"""A pace never falls below one window of a small model."""


class Budget(Protocol):
    @property
    def tokens(self) -> int:
        """The most padded tokens of one run."""

    def lower(self, tokens: int) -> None:
        """Never run more than that again: the device had no memory for twice as much."""

    def took(self, tokens: int, seconds: float) -> None:
        """A run of so many padded tokens lasted so long."""


class TokenBudget:
    """Fulfils `Budget`: lowered when the device is out of memory, and never raised again. Thread-safe."""

    def __init__(self, tokens: int) -> None:
        self._tokens = tokens
        self._lock = threading.Lock()

    @property
    def tokens(self) -> int:
        return self._tokens

    def lower(self, tokens: int) -> None:
        with self._lock:
            self._tokens = min(self._tokens, tokens)
        _log.warning("the device is out of memory: batches of at most %d tokens from now on", self._tokens)

    def took(self, tokens: int, seconds: float) -> None:
        """Time does not matter here."""


class Pace:
    """Fulfils `Budget` for work that others wait behind: within the budget it shares, and as many tokens as the device
    was seen to do in about `limit_s`."""

    def __init__(self, budget: TokenBudget, limit_s: float) -> None:
        self._budget = budget
        self._limit_s = limit_s
        self._tokens = 4 * SMALLEST_TOKENS

    @property
    def tokens(self) -> int:
        return min(self._tokens, self._budget.tokens)

    def lower(self, tokens: int) -> None:
        self._budget.lower(tokens)

    def took(self, tokens: int, seconds: float) -> None:
        if seconds > self._limit_s:
            self._tokens = max(SMALLEST_TOKENS, int(tokens * self._limit_s / seconds))
        elif seconds < self._limit_s / 2 and tokens > self._tokens // 2:
            self._tokens = 2 * self.tokens


def run_batches(
    items: Sequence[Item],
    size: Callable[[Item], int],
    run: Callable[[Sequence[Item]], Vectors],
    budget: Budget,
    *,
    free: Callable[[], None],
) -> Iterator[tuple[Sequence[Item], Vectors]]:
    """Run all items, longest first, in batches that stay within the budget when padded to their longest (`size`, in
    tokens). When the device is out of memory: `free` its cache, halve the budget, try again. Raises `ModelError` when
    it cannot take one item alone, or fails otherwise."""
    waiting = sorted(items, key=lambda item: -size(item))
    tried_alone = False
    while waiting:
        batch = waiting[: max(1, budget.tokens // max(1, size(waiting[0])))]
        result = _attempt(run, batch)
        if result is not None:
            yield batch, result
            waiting, tried_alone = waiting[len(batch) :], False
            continue
        if tried_alone:
            raise ModelError(
                f"The GPU has no memory for even one text of {size(batch[0])} tokens: stop what else uses it, give the "
                "language model less (LECTERN_CONTEXT_TOKENS, LECTERN_CONCURRENCY), or set LECTERN_DEVICE=cpu."
            )
        tried_alone = len(batch) == 1
        free()
        budget.lower(len(batch) * size(batch[0]) // 2)


def _attempt(run: Callable[[Sequence[Item]], Vectors], batch: Sequence[Item]) -> Vectors | None:
    """None when the device is out of memory. The error is gone by then, and with it what its frames held."""
    try:
        return run(batch)
    except RuntimeError as exc:
        if is_out_of_memory(exc):
            return None
        raise ModelError(f"the model failed on its device: {exc}") from exc


def is_out_of_memory(error: RuntimeError) -> bool:
    """torch has a class of its own for it, CUDA's libraries only say so."""
    said = str(error)
    return type(error).__name__ == "OutOfMemoryError" or "out of memory" in said or "ALLOC_FAILED" in said
