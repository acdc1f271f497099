"""What to give up, and in which order, when the memory does not suffice for everything that is wished."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from models.planning.wishes import Wishes

LEAST_CONTEXT_TOKENS = 2048
"""A shorter context has no room for passages and an answer."""

GOOD_CONTEXT_TOKENS = 4096
"""Rather fewer answers at a time, or the embedder on the CPU, than a context shorter than this."""


def least_reduced(wished: Wishes, fits: Callable[[Wishes], bool]) -> Wishes | None:
    """The wishes, or the least reduction of them that fits; None when even the smallest does not."""
    return next((candidate for candidate in _reductions(wished) if fits(candidate)), None)


def _reductions(wished: Wishes) -> Iterator[Wishes]:
    """As wished; a shorter context; fewer answers at a time; the same with embedder, reranker and index on the CPU; and
    at last the shortest context of all."""
    on_cpu = wished.on_cpu()
    yield wished
    for beside in (wished, on_cpu):
        for concurrency in _halved(wished.concurrency):
            for context in _contexts(wished.context_tokens, GOOD_CONTEXT_TOKENS):
                yield replace(beside, concurrency=concurrency, context_tokens=context)
    for context in _contexts(wished.context_tokens, LEAST_CONTEXT_TOKENS):
        yield replace(on_cpu, concurrency=1, context_tokens=context)


def _halved(wished: int) -> Iterator[int]:
    """The wished number, its half, the half of that, … 1."""
    while wished > 1:
        yield wished
        wished //= 2
    yield 1


def _contexts(wished: int, least: int) -> list[int]:
    """The wished context and the thousands below it, longest first."""
    return [wished, *range((wished - 1) // 1024 * 1024, least - 1, -1024)]
