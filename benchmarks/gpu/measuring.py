"""Time and memory on one device, taken when the device has done all that it was given."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from models.devices import detect

MIB = 1 << 20


@dataclass(frozen=True)
class Meter:
    """`device` as torch names it. Memory is torch's own count of the GPU's bytes; None on the CPU, which it does not
    count."""

    device: str

    def synchronise(self) -> None:
        if self.device != "cpu":
            import torch

            torch.cuda.synchronize(self.device)

    def ms(self, action: Callable[[], object]) -> float:
        """Wall time of one call."""
        self.synchronise()
        started = time.perf_counter()
        action()
        self.synchronise()
        return 1000 * (time.perf_counter() - started)

    def repeat_ms(self, action: Callable[[], object], rounds: int, warm_up: int = 2) -> list[float]:
        for _ in range(warm_up):
            action()
        return [self.ms(action) for _ in range(rounds)]

    def allocated_bytes(self) -> int | None:
        """What tensors hold now, after garbage is gone."""
        if self.device == "cpu":
            return None
        import torch

        gc.collect()
        self.synchronise()
        return int(torch.cuda.memory_allocated(self.device))

    def peak_bytes(self, action: Callable[[], object]) -> int | None:
        """How far the tensors of one call rise above what was there before it."""
        before = self.allocated_bytes()
        if before is None:
            action()
            return None
        import torch

        torch.cuda.reset_peak_memory_stats(self.device)
        action()
        self.synchronise()
        return int(torch.cuda.max_memory_allocated(self.device)) - before

    def release(self) -> None:
        """Give back what torch keeps for later, so that the next measurement starts clean."""
        if self.device != "cpu":
            import torch

            gc.collect()
            torch.cuda.empty_cache()


def card_used_bytes() -> int | None:
    """What all programs hold on the first card, by the driver's own count; None without a card. It sees what torch
    does not: CUDA's own share, and FAISS."""
    gpus = detect().gpus
    return gpus[0].memory_bytes - gpus[0].free_bytes if gpus else None


def percentile(values: list[float], share: int) -> float:
    return round(float(np.percentile(values, share)), 3)


def mib(count: int | None) -> float | None:
    return None if count is None else round(count / MIB, 2)
