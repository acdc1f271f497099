"""What the models that torch runs have in common: how precisely they compute, and how a device is given back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from models.errors import ModelError

TorchPrecision = Literal["fp16", "bf16", "fp32"]

HALF_FROM = (7, 0)
BF16_FROM = (8, 0)

CUDA_BUDGET_TOKENS = 16384
"""Padded tokens of one run: about 64 chunks, enough to fill a GPU with a small encoder."""
CPU_BUDGET_TOKENS = 1024


def choose_precision(capability: tuple[int, int] | None, stored: str) -> tuple[TorchPrecision, str]:
    """How precisely a model computes, and why. `capability`: the GPU's, None on the CPU; `stored`: the kind of number
    that the model was published in."""
    if capability is None:
        return "fp32", "the CPU has the memory for it"
    if capability < HALF_FROM:
        return "fp32", f"compute capability {capability[0]}.{capability[1]} has no fast fp16"
    if stored != "bfloat16":
        return "fp16", "half the memory at the same answers"
    if capability < BF16_FROM:
        return "fp32", "it was published in bf16, whose range fp16 lacks and this GPU does not compute"
    return "bf16", "it was published in bf16, whose range fp16 lacks"


def torch_type(precision: TorchPrecision) -> Any:
    """The `torch.dtype`."""
    import torch

    return {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32}[precision]


def budget_tokens(device: str) -> int:
    """How many padded tokens a run begins with."""
    return CPU_BUDGET_TOKENS if device == "cpu" else CUDA_BUDGET_TOKENS


def empty_cache() -> None:
    """Give torch's spare memory back to the device; called only when it has run out."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.empty_cache()


@contextmanager
def loading(folder: Path, device: str) -> Iterator[None]:
    """Whatever goes wrong within becomes a `ModelError`."""
    try:
        yield
    except (OSError, ValueError, RuntimeError, AssertionError, KeyError, ImportError) as exc:
        raise ModelError(f"{folder} cannot be loaded on {device}: {exc}") from exc
