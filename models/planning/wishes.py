"""What shall run on a machine: the models to choose from, and what they share it with."""

from __future__ import annotations

from dataclasses import dataclass, replace

from models.catalog import Entry
from models.planning.checkpoint import Adapter

MINILM_BYTES = 384 << 20
"""MiniLM in half precision (45 MB) and the activations of a batch of 16,384 tokens; its CUDA context not counted."""

ENCODER_ACTIVATION_BYTES = 340 << 20


def encoder_bytes(weights_bytes: int, precision: str) -> int:
    """An embedder or reranker on the GPU, where its weights have 16 bits, and the activations of a batch. `precision`
    is that of the stored weights, as the catalog ("fp32") or a config.json ("float32") names it."""
    in_16_bits = weights_bytes // 2 if precision in ("fp32", "float32") else weights_bytes
    return in_16_bits + ENCODER_ACTIVATION_BYTES


@dataclass(frozen=True)
class Wishes:
    """`models` are the candidates, the precisions of one family or of several; `others` are what may be proposed when
    none of them runs. `concurrency` is how many answers are made at a time, each with `context_tokens`.

    `vectors` of `dimension` numbers, `embedder_bytes` and `reranker_bytes` share the first GPU with the language model;
    they are 0 where they run on the CPU. `profile` (a name) and `gpus` (the driver's indices) override the choice.
    `llama_cuda`: the CUDA build of llama.cpp is installed."""

    models: tuple[Entry, ...]
    others: tuple[Entry, ...] = ()
    context_tokens: int = 8192
    concurrency: int = 4
    vectors: int = 250_000
    dimension: int = 384
    embedder_bytes: int = MINILM_BYTES
    reranker_bytes: int = 0
    adapters: tuple[Adapter, ...] = ()
    profile: str = ""
    gpus: tuple[int, ...] = ()
    llama_cuda: bool = False

    @property
    def shares_gpu(self) -> bool:
        """Whether Lectern itself uses the GPU beside the language model."""
        return bool(self.embedder_bytes or self.reranker_bytes or self.vectors)

    def on_cpu(self) -> Wishes:
        """The same with embedder, reranker and index on the CPU."""
        return replace(self, embedder_bytes=0, reranker_bytes=0, vectors=0)
