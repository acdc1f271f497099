"""Batches shrink when a device runs out of memory, and an ingest's stay short."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch

from models.embedding.batching import SMALLEST_TOKENS, Pace, TokenBudget, run_batches
from models.errors import ModelError


class Device:
    """Has memory for so many padded tokens; a text is its count of tokens."""

    def __init__(self, memory_tokens: int, error: type[RuntimeError] | RuntimeError = torch.OutOfMemoryError) -> None:
        self.memory_tokens = memory_tokens
        self.error = error
        self.runs: list[int] = []
        self.freed = 0

    def run(self, batch: Sequence[int]) -> np.ndarray:
        self.runs.append(len(batch) * max(batch))
        if self.runs[-1] > self.memory_tokens:
            raise self.error
        return np.array([[size] for size in batch], dtype=np.float32)

    def free(self) -> None:
        self.freed += 1

    def embed(self, sizes: Sequence[int], budget: TokenBudget | Pace) -> list[int]:
        """The sizes that came out, each with its own result."""
        done = list(run_batches(sizes, lambda size: size, self.run, budget, free=self.free))
        assert all(len(batch) * max(batch) <= max(budget.tokens, self.memory_tokens) for batch, _ in done)
        assert all(vectors[:, 0].tolist() == list(batch) for batch, vectors in done)
        return [size for batch, _ in done for size in batch]


SIZES = [100, 250, 30, 256, 256, 180, 7, 90] * 20


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError, torch.cuda.OutOfMemoryError, RuntimeError("CUBLAS_STATUS_ALLOC_FAILED")]
)
def test_out_of_memory_halves_the_batches_for_good(error: RuntimeError) -> None:
    device, budget = Device(3000, error), TokenBudget(16384)
    assert sorted(device.embed(SIZES, budget)) == sorted(SIZES)
    assert 1500 <= budget.tokens <= 3000
    assert device.freed == 3, "16384, 8192 and 4096 were too many"
    device.runs.clear()
    device.embed(SIZES, budget)
    assert max(device.runs) <= budget.tokens


def test_with_memory_enough_nothing_is_freed() -> None:
    device, budget = Device(10**9), TokenBudget(16384)
    device.embed(SIZES, budget)
    assert (budget.tokens, device.freed) == (16384, 0)


def test_a_text_that_does_not_fit_alone_is_tried_once_more_and_then_an_error_that_says_what_to_do() -> None:
    device, budget = Device(200), TokenBudget(16384)
    with pytest.raises(ModelError, match=r"one text of 256 tokens.*LECTERN_DEVICE=cpu"):
        device.embed(SIZES, budget)
    assert device.runs[-2:] == [256, 256]


def test_many_short_texts_are_divided_down_to_one_by_one() -> None:
    device, budget = Device(12), TokenBudget(16384)
    assert device.embed([10] * 50, budget) == [10] * 50
    assert device.runs[-1] == 10


def test_memory_that_comes_free_in_between_is_used() -> None:
    device, budget = Device(200), TokenBudget(256)

    def free() -> None:
        device.memory_tokens = 1000

    done = list(run_batches([256, 255], lambda size: size, device.run, budget, free=free))
    assert [list(batch) for batch, _ in done] == [[256], [255]]


def test_another_failure_of_the_device_is_no_lack_of_memory() -> None:
    device = Device(0, RuntimeError("CUDA error: an illegal memory access was encountered"))
    with pytest.raises(ModelError, match="illegal memory access"):
        device.embed(SIZES, TokenBudget(16384))
    assert device.freed == 0


def test_nothing_to_run_runs_nothing() -> None:
    assert Device(0).embed([], TokenBudget(100)) == []


def test_what_a_failed_run_held_is_let_go_before_memory_is_freed() -> None:
    """A traceback keeps its frames, and they the tensors: freeing the cache while it lives would free nothing."""
    import weakref

    held: list[weakref.ref[np.ndarray]] = []

    def run(batch: Sequence[int]) -> np.ndarray:
        activations = np.zeros(10)
        held.append(weakref.ref(activations))
        if len(batch) > 1:
            raise torch.OutOfMemoryError(str(activations.shape))
        return np.zeros((1, 1), dtype=np.float32)

    def free() -> None:
        held.append(held[-1]())

    list(run_batches([200, 200], lambda size: size, run, TokenBudget(400), free=free))  # type: ignore[arg-type]  # sizes stand for texts
    assert held[1] is None


def test_an_ingest_finds_the_batch_that_lasts_as_long_as_it_may() -> None:
    budget = TokenBudget(16384)
    pace = Pace(budget, limit_s=0.04)
    for tokens_per_s in (10**6, 50_000, 10**6, 1000):
        for _ in range(12):
            pace.took(pace.tokens, 0.002 + pace.tokens / tokens_per_s)
        lasts = 0.002 + pace.tokens / tokens_per_s
        assert lasts <= 0.04 or pace.tokens == SMALLEST_TOKENS
        assert lasts >= 0.015 or pace.tokens == budget.tokens
    assert pace.tokens == SMALLEST_TOKENS


def test_a_slow_first_run_is_forgotten() -> None:
    pace = Pace(TokenBudget(16384), limit_s=0.04)
    pace.took(1024, 3.0)  # kernels are loaded
    assert pace.tokens == SMALLEST_TOKENS
    for _ in range(8):
        pace.took(pace.tokens, 0.001)
    assert pace.tokens == 16384


def test_a_short_batch_says_nothing_of_a_long_one() -> None:
    pace = Pace(TokenBudget(16384), limit_s=0.04)
    pace.took(10, 0.001)
    assert pace.tokens == 4 * SMALLEST_TOKENS


def test_memory_is_short_for_ingest_and_questions_alike() -> None:
    budget = TokenBudget(16384)
    pace = Pace(budget, limit_s=0.04)
    pace.lower(500)
    assert (budget.tokens, pace.tokens) == (500, 500)
    budget.lower(10**6)
    assert budget.tokens == 500, "it never grows"
