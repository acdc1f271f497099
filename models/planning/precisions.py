"""Which precision runs on which card by TensorRT-LLM 1.2, and which one to prefer.

By compute capability, after the hardware table in TensorRT-LLM's documentation of quantization: BF16 and W4A16 AWQ from
Ampere (8.0), AWQ without kernels for consumer Blackwell (12.x); FP8 from Ada (8.9); NVFP4 from Blackwell (10.0, and
12.0). Older cards (T4 7.5, V100 7.0) it no longer serves; llama.cpp does.
"""

from __future__ import annotations

from typing import Literal

from models.devices import Gpu

KvPrecision = Literal["bf16", "fp16", "fp8"]

PREFERENCE = ("fp8", "bf16", "fp16", "nvfp4", "int4-awq")
"""By quality at speed. FP8 first: half the memory traffic of BF16, and next to nothing lost. Then BF16 with nothing
lost at all; then the four-bit ones, of which NVFP4 computes in four bits, too, and INT4-AWQ only stores in them."""

OLDEST_SERVED = (8, 0)
_NEEDED = {"fp8": (8, 9), "bf16": OLDEST_SERVED, "fp16": OLDEST_SERVED, "nvfp4": (10, 0), "int4-awq": OLDEST_SERVED}
_FP8_KV_FROM = (8, 9)
_CONSUMER_BLACKWELL = (12, 0)


def precision_problem(precision: str, gpu: Gpu) -> str | None:
    """Why weights in this precision cannot run on the card, however much memory it has; None when they can."""
    has = gpu.compute_capability
    if has < OLDEST_SERVED:
        return f"TensorRT-LLM needs compute capability 8.0, {gpu.name} has {_dotted(has)}"
    if precision not in _NEEDED:
        return f"TensorRT-LLM serves no {precision.upper()}"
    if has < _NEEDED[precision]:
        return (
            f"{precision.upper()} needs compute capability {_dotted(_NEEDED[precision])}, {gpu.name} has {_dotted(has)}"
        )
    if precision == "int4-awq" and has >= _CONSUMER_BLACKWELL:
        return f"TensorRT-LLM has no INT4-AWQ for compute capability {_dotted(has)} of {gpu.name}; NVFP4 runs there"
    return None


def kv_precision(weights: str, capability: tuple[int, int]) -> KvPrecision:
    """In what the KV cache is kept: FP8 where the card computes with it, which halves the cache at little loss."""
    return "fp8" if weights in ("fp8", "nvfp4") or capability >= _FP8_KV_FROM else "bf16"


def rank(precision: str) -> int:
    """The place in the order of preference; unknown ones come last."""
    return PREFERENCE.index(precision) if precision in PREFERENCE else len(PREFERENCE)


def _dotted(capability: tuple[int, int]) -> str:
    return f"{capability[0]}.{capability[1]}"
