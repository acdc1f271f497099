"""A profile: one way to run one language model on this machine, with the memory that it will take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Fit = Literal["runnable", "low memory", "incompatible"]
"""NIM's three classes. "low memory": it runs with a shorter context, fewer answers at a time, or the embedder on the
CPU; the profile then has these reduced values."""


@dataclass(frozen=True)
class MemoryPart:
    """A named share of one device's memory: "weights", "KV cache", "activations", "embedder", "vector index", …"""

    name: str
    bytes: int


@dataclass(frozen=True)
class MemoryPlan:
    """What one device will hold. `capacity_bytes` is the whole of it; what other programs hold is a part, too."""

    device: str
    capacity_bytes: int
    parts: tuple[MemoryPart, ...]

    @property
    def needed_bytes(self) -> int:
        return sum(part.bytes for part in self.parts)

    @property
    def left_bytes(self) -> int:
        """Negative when it does not fit."""
        return self.capacity_bytes - self.needed_bytes

    def bytes_of(self, name: str) -> int:
        return sum(part.bytes for part in self.parts if part.name == name)


@dataclass(frozen=True)
class Profile:
    """`name` as NIM writes it: backend, precision, tensor parallelism ("trtllm-fp8-tp1", "llamacpp-q4"). `model` is a
    name of the catalog or the path of a checkpoint. `gpus` are the driver's indices, none on the CPU; `memory` has one
    plan a device, `kv_bytes_per_token` is of all devices together. `context_tokens` and `concurrency` are what the plan
    provides for, which may be less than wished."""

    name: str
    model: str
    backend: Literal["tensorrt-llm", "llama.cpp"]
    precision: str
    kv_precision: Literal["bf16", "fp16", "fp8"]
    tensor_parallel: int
    gpus: tuple[int, ...]
    context_tokens: int
    concurrency: int
    kv_bytes_per_token: int
    memory: tuple[MemoryPlan, ...]
    fit: Fit

    @property
    def shares_gpu(self) -> bool:
        """Whether embedder, reranker and index are planned beside the language model, on the first of `gpus`. When the
        language model has GPUs and they do not share them, they belong on the CPU."""
        beside = ("embedder", "reranker", "vector index")
        return bool(self.gpus) and any(self.memory[0].bytes_of(name) for name in beside)
