"""How much memory a language model takes beside the rest of Lectern: one formula a part, each with its source.

The hand-checked table is in `docs/memory-plan.md`. The fixed parts are estimates until they are measured on a card
(`benchmarks/gpu/`); together they come to what is known of TensorRT-LLM, weights + KV cache + 2 to 4 GiB.
"""

from __future__ import annotations

from collections.abc import Sequence

from models.catalog import Entry, Shape
from models.devices import Gpu
from models.errors import BadCheckpoint
from models.planning.precisions import KvPrecision
from models.planning.profile import MemoryPart, MemoryPlan
from models.planning.wishes import Wishes

MAX_NUM_TOKENS = 4096
"""Tokens that `trtllm-serve` computes in one step (its `max_num_tokens`): longer prompts are read in chunks."""

CONTEXT_BYTES = 512 << 20
"""A process on the GPU: CUDA's context and the kernels that torch and TensorRT-LLM load into it."""

ENGINE_WORKSPACE_BYTES = 768 << 20
"""Workspaces of cuBLAS, attention and the sampler, and the CUDA graphs of small batches."""

NCCL_BYTES = {1: 0, 2: 342 << 20}
MOST_NCCL_BYTES = 392 << 20
"""Buffers between GPUs, on each of them: 342 MiB for two, 392 MiB for more, as NVIDIA's aiconfigurator has measured."""

HEAD_ROOM_BYTES = 512 << 20
"""Kept free: memory comes in blocks, and an estimate may be wrong."""

INDEX_SCRATCH_BYTES = 256 << 20
"""FAISS's temporary memory (`StandardGpuResources.setTempMemory`); its own default would be 1.5 GiB."""

LLAMA_BATCH_TOKENS = 128
"""What llama.cpp computes in one step. Between steps it hears that a client has left; with its default of 2,048 tokens
a stopped question would hold up the next one for seconds."""

EARLIER_PROMPTS_BYTES = 256 << 20
"""What other conversations left in llama.cpp's slot, kept in main memory for their next question: some 11,000 tokens of
SmolLM2's. By default it would be 8 GB."""

LECTERN_BYTES = 2 << 30
"""Lectern's own processes in main memory: page and queries, ingest, parsers, embedder, index."""

_KV_BYTES = {"bf16": 2, "fp16": 2, "fp8": 1}


def kv_bytes_per_token(shape: Shape, precision: KvPrecision, tensor_parallel: int = 1) -> int:
    """On each GPU. A token leaves a key and a value in each layer for each KV head; the GPUs divide the heads among
    them, and when there are fewer heads than GPUs, each GPU has one of its own."""
    heads = -(-shape.kv_heads // tensor_parallel)
    return 2 * shape.layers * heads * shape.head_dim * _KV_BYTES[precision]


def activation_bytes(shape: Shape, concurrency: int, tensor_parallel: int = 1) -> int:
    """The peak of one step over MAX_NUM_TOKENS tokens, in 16 bits: in a layer's MLP there are, for each token, the
    residual, its normed copy, the two inner vectors and their product, the inner ones divided among the GPUs. Then
    logits in 32 bits, only for the last token of each answer. (NVIDIA's aiconfigurator has the same form, fitted:
    2 bytes · tokens · hidden · 11 for one GPU, where this gives 12.5 for Llama-3.1-8B.)"""
    inner = -(-3 * shape.intermediate_size // tensor_parallel)
    return 2 * MAX_NUM_TOKENS * (2 * shape.hidden_size + inner) + 4 * concurrency * shape.vocabulary


def index_bytes(vectors: int, dimension: int) -> int:
    """The copy of the vector index on the GPU: 16-bit numbers, and FAISS's temporary memory."""
    return vectors * dimension * 2 + INDEX_SCRATCH_BYTES if vectors else 0


def shape_of(entry: Entry) -> Shape:
    if entry.shape is None:
        raise BadCheckpoint(f"the shape of {entry.name} is not known, so its memory cannot be planned")
    return entry.shape


def plan_tensorrt(entry: Entry, gpus: Sequence[Gpu], wishes: Wishes, kv: KvPrecision) -> tuple[MemoryPlan, ...]:
    """One plan a GPU; the weights are divided among them, the rest of Lectern lives on the first."""
    return tuple(
        _plan(gpu, {**_engine_parts(entry, len(gpus), wishes, kv), **_own_parts(wishes, first=number == 0)})
        for number, gpu in enumerate(gpus)
    )


def plan_llama_gpu(entry: Entry, gpu: Gpu, wishes: Wishes) -> MemoryPlan:
    """llama.cpp's CUDA build with all layers on one GPU, one answer at a time."""
    engine = {**_llama_parts(entry, wishes.context_tokens), "CUDA contexts": CONTEXT_BYTES}
    return _plan(gpu, {**engine, **_own_parts(wishes, first=True)})


def plan_llama_cpu(entry: Entry, memory_bytes: int, wishes: Wishes) -> MemoryPlan:
    """llama.cpp in main memory, one answer at a time. A platform that does not tell its memory has 0 `memory_bytes`;
    there the plan is taken to fit."""
    beside = {"earlier prompts": EARLIER_PROMPTS_BYTES, "Lectern": LECTERN_BYTES, "head-room": HEAD_ROOM_BYTES}
    parts = {**_llama_parts(entry, wishes.context_tokens), **beside}
    return MemoryPlan("main memory", memory_bytes or sum(parts.values()), _parts(parts))


def required_bytes(plan: MemoryPlan) -> int:
    """What it needs without what other programs hold, which differs from day to day."""
    return plan.needed_bytes - plan.bytes_of("other programs")


def _engine_parts(entry: Entry, tensor_parallel: int, wishes: Wishes, kv: KvPrecision) -> dict[str, int]:
    shape = shape_of(entry)
    tokens = wishes.context_tokens * wishes.concurrency
    adapters = sum(adapter.bytes_for(shape) for adapter in wishes.adapters)
    return {
        "weights": -(-entry.total_bytes // tensor_parallel),
        "LoRA adapters": -(-adapters // tensor_parallel),
        "KV cache": kv_bytes_per_token(shape, kv, tensor_parallel) * tokens,
        "activations": activation_bytes(shape, wishes.concurrency, tensor_parallel),
        "engine workspace": ENGINE_WORKSPACE_BYTES,
        "NCCL buffers": NCCL_BYTES.get(tensor_parallel, MOST_NCCL_BYTES),
        "CUDA contexts": CONTEXT_BYTES,
    }


def _llama_parts(entry: Entry, context_tokens: int) -> dict[str, int]:
    """KV cache in 16 bits; the compute buffer holds 32-bit logits and inner vectors of a batch."""
    shape = shape_of(entry)
    compute = 4 * LLAMA_BATCH_TOKENS * (shape.vocabulary + 3 * shape.intermediate_size + 2 * shape.hidden_size)
    kv = kv_bytes_per_token(shape, "fp16") * context_tokens
    return {"weights": entry.total_bytes, "KV cache": kv, "activations": compute}


def _own_parts(wishes: Wishes, *, first: bool) -> dict[str, int]:
    """What Lectern itself puts on a GPU beside the engine, in one process of its own."""
    if not (first and wishes.shares_gpu):
        return {"head-room": HEAD_ROOM_BYTES}
    return {
        "CUDA contexts": 2 * CONTEXT_BYTES,
        "embedder": wishes.embedder_bytes,
        "reranker": wishes.reranker_bytes,
        "vector index": index_bytes(wishes.vectors, wishes.dimension),
        "head-room": HEAD_ROOM_BYTES,
    }


def _plan(gpu: Gpu, parts: dict[str, int]) -> MemoryPlan:
    others = {"other programs": gpu.memory_bytes - gpu.free_bytes}
    return MemoryPlan(f"GPU {gpu.index}: {gpu.name}", gpu.memory_bytes, _parts({**parts, **others}))


def _parts(parts: dict[str, int]) -> tuple[MemoryPart, ...]:
    return tuple(MemoryPart(name, size) for name, size in parts.items() if size)
