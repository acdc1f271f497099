"""The profile table: 15 machines × 4 Llamas, each row worked out by hand from the memory table of `FEASIBILITY.md`.

GiB everywhere, for 4 × 8,192 tokens. Weights (1e9 bytes / 2^30):
    1B  BF16 2.33  FP8 1.40                             KV cache  BF16 1.00  FP8 0.50
    3B  BF16 5.96  FP8 3.35                                       BF16 3.50  FP8 1.75
    8B  BF16 14.99 FP8 8.48  NVFP4 5.59  INT4-AWQ 5.31            BF16 4.00  FP8 2.00
    70B BF16 131.3 FP8 67.99 NVFP4 40.05 INT4-AWQ 37.25           BF16 10.0  FP8 5.00
The rest, 3.05 on a single card: workspace 0.75, two CUDA contexts 1.00, embedder 0.375, index 0.18 + 0.25, head-room
0.50; and activations: 1B 0.22, 3B 0.24, 8B 0.39, 70B 0.78. So 3.27 to 3.84 beside weights and KV cache, as
FEASIBILITY's "2–4 GiB" has it. "Free" is what is left when the driver has taken its 1.5 %.
"""

# ruff: noqa: E501  # a row a line
from __future__ import annotations

from dataclasses import dataclass

import pytest

from indexes.faiss_gpu import WORKSPACE_BYTES
from models.catalog import load_catalog
from models.devices import Devices
from models.planning.cards import match
from models.planning.choice import choose_profile
from models.planning.memory import INDEX_SCRATCH_BYTES
from models.planning.profile import Fit
from models.planning.wishes import Wishes

FAMILIES = {
    "1B": "llama-3.2-1b-instruct",
    "3B": "llama-3.2-3b-instruct",
    "8B": "llama-3.1-8b-instruct",
    "70B": "llama-3.3-70b-instruct",
}

# FEASIBILITY's table once more, as it stands there: GB of weights by precision, KiB of BF16 KV cache a token.
WEIGHTS_GB = {
    "1B": {"bf16": 2.5, "fp8": 1.5},
    "3B": {"bf16": 6.4, "fp8": 3.6},
    "8B": {"bf16": 16.1, "fp8": 9.1, "nvfp4": 6.0, "int4-awq": 5.7},
    "70B": {"bf16": 141, "fp8": 73, "nvfp4": 43, "int4-awq": 40},
}
KV_KIB = {"1B": 32, "3B": 112, "8B": 128, "70B": 320}


@dataclass(frozen=True)
class Row:
    machine: str
    model: str
    profile: str
    fit: Fit
    context_tokens: int
    concurrency: int
    reason: str
    embedder_on_gpu: bool = True


TABLE = (
    # RTX 3060: 12.00, free 11.82; capability 8.6, so BF16 or INT4-AWQ, and a BF16 KV cache.
    # 1B: 2.33 + 1.00 + 0.22 + 3.05 = 6.60.
    Row("RTX 3060 12 GB", "1B", "trtllm-bf16-tp1", "runnable", 8192, 4, "BF16 on NVIDIA GeForce RTX 3060 needs 6.8 of 12.0"),
    # 3B: 5.96 + 3.50 + 0.24 + 3.05 = 12.75; without KV 9.25, so 2.57 for KV: 24,056 tokens, 4 × 6,014.
    Row("RTX 3060 12 GB", "3B", "trtllm-bf16-tp1", "low memory", 5120, 4, "try LECTERN_CONTEXT_TOKENS=5120 to reduce to 11.5"),
    # 8B: BF16 22.44; AWQ 5.31 + 4.00 + 0.39 + 3.05 = 12.75; 3.07 for KV: 25,109 tokens, 4 × 6,277.
    Row("RTX 3060 12 GB", "8B", "trtllm-int4-awq-tp1", "low memory", 6144, 4, "try LECTERN_CONTEXT_TOKENS=6144 to reduce"),
    # 70B: the smallest, AWQ, 37.25 + 10.00 + 0.78 + 3.05 = 51.09.
    Row("RTX 3060 12 GB", "70B", "trtllm-int4-awq-tp1", "incompatible", 8192, 4, "needs 40 GB for its weights, 51.1 GiB in all: not on this 12 GB card; try llama-3.1-8b-instruct at INT4-AWQ"),
    # RTX 4060: 8.00, free 7.88; capability 8.9, so FP8 and an FP8 KV cache.
    # 1B: 1.40 + 0.50 + 0.22 + 3.05 = 5.17.
    Row("RTX 4060 8 GB", "1B", "trtllm-fp8-tp1", "runnable", 8192, 4, "FP8 on NVIDIA GeForce RTX 4060 needs 5.3 of 8.0 GiB"),
    # 3B: 3.35 + 1.75 + 0.24 + 3.05 = 8.39; 1.23 for KV: 23,093 tokens, 4 × 5,773.
    Row("RTX 4060 8 GB", "3B", "trtllm-fp8-tp1", "low memory", 5120, 4, "for 4 × 8,192 tokens it would need 8.6 of 8.0 GiB"),
    # 8B: FP8 13.92; AWQ 5.31 + 0.39 + 3.05 = 8.75 without KV. With embedder, index and their context on the CPU
    # 3.05 - 0.50 - 0.375 - 0.43 = 1.75 remain: 5.31 + 0.39 + 1.75 = 7.45, so 0.43 for KV: 6,963 tokens, one answer.
    Row("RTX 4060 8 GB", "8B", "trtllm-int4-awq-tp1", "low memory", 6144, 1, "LECTERN_CONCURRENCY=1 LECTERN_DEVICE=cpu", False),
    # 70B: AWQ 37.25 + 5.00 + 0.78 + 3.05 = 46.09.
    Row("RTX 4060 8 GB", "70B", "trtllm-int4-awq-tp1", "incompatible", 8192, 4, "not on this 8 GB card; try llama-3.2-3b-instruct at FP8, or 8 such cards"),
    # RTX 4070 laptop: as the RTX 4060, the same 8,188 MiB and capability.
    Row("4070 laptop 8 GB", "1B", "trtllm-fp8-tp1", "runnable", 8192, 4, "RTX 4070 Laptop GPU needs 5.3 of 8.0 GiB"),
    Row("4070 laptop 8 GB", "3B", "trtllm-fp8-tp1", "low memory", 5120, 4, "try LECTERN_CONTEXT_TOKENS=5120 to reduce to 7.8 GiB"),
    Row("4070 laptop 8 GB", "8B", "trtllm-int4-awq-tp1", "low memory", 6144, 1, "with embedder and index on the CPU", False),
    Row("4070 laptop 8 GB", "70B", "trtllm-int4-awq-tp1", "incompatible", 8192, 4, "not on this 8 GB card"),
    # RTX 4090: 23.99, free 23.63; FP8.
    # 1B 5.17; 3B 8.39; 8B 8.48 + 2.00 + 0.39 + 3.05 = 13.92.
    Row("4090", "1B", "trtllm-fp8-tp1", "runnable", 8192, 4, "needs 5.6 of 24.0 GiB"),
    Row("4090", "3B", "trtllm-fp8-tp1", "runnable", 8192, 4, "needs 8.8 of 24.0 GiB"),
    Row("4090", "8B", "trtllm-fp8-tp1", "runnable", 8192, 4, "needs 14.3 of 24.0 GiB for 4 × 8,192 tokens"),
    # 70B: AWQ 46.09; the weights alone, 37.25, are more than the card. Half of them on each of two: see 2×4090.
    Row("4090", "70B", "trtllm-int4-awq-tp1", "incompatible", 8192, 4, "not on this 24 GB card; try llama-3.1-8b-instruct at FP8, or 2 such cards"),
    # RTX 5090: 31.84, free 31.37; capability 12.0: FP8 and NVFP4, but no kernels for AWQ.
    Row("5090", "1B", "trtllm-fp8-tp1", "runnable", 8192, 4, "needs 5.7 of 31.8 GiB"),
    Row("5090", "3B", "trtllm-fp8-tp1", "runnable", 8192, 4, "needs 8.9 of 31.8 GiB"),
    Row("5090", "8B", "trtllm-fp8-tp1", "runnable", 8192, 4, "needs 14.4 of 31.8 GiB"),
    # 70B: the smallest possible, NVFP4, 40.05 + 5.00 + 0.78 + 3.05 = 48.88.
    Row("5090", "70B", "trtllm-nvfp4-tp1", "incompatible", 8192, 4, "needs 43 GB for its weights, 48.9 GiB in all: not on this 32 GB card"),
    # A10: 22.49 (24 GB less error correction), free 22.15; capability 8.6.
    # 1B 6.60; 3B 12.75.
    Row("A10", "1B", "trtllm-bf16-tp1", "runnable", 8192, 4, "BF16 on NVIDIA A10 needs 7.0 of 22.5 GiB"),
    Row("A10", "3B", "trtllm-bf16-tp1", "runnable", 8192, 4, "BF16 on NVIDIA A10 needs 13.1 of 22.5 GiB"),
    # 8B: BF16 14.99 + 4.00 + 0.39 + 3.05 = 22.44 is 0.29 too much; AWQ 12.75 runs as wished and goes before it.
    Row("A10", "8B", "trtllm-int4-awq-tp1", "runnable", 8192, 4, "INT4-AWQ on NVIDIA A10 needs 13.1 of 22.5 GiB"),
    Row("A10", "70B", "trtllm-int4-awq-tp1", "incompatible", 8192, 4, "not on this 24 GB card; try llama-3.1-8b-instruct at INT4-AWQ"),
    # L4: 22.49, free 22.16; FP8. 1B 5.17; 3B 8.39; 8B 13.92; 70B AWQ 46.09.
    Row("L4", "1B", "trtllm-fp8-tp1", "runnable", 8192, 4, "FP8 on NVIDIA L4 needs 5.6 of 22.5 GiB"),
    Row("L4", "3B", "trtllm-fp8-tp1", "runnable", 8192, 4, "FP8 on NVIDIA L4 needs 8.8 of 22.5 GiB"),
    Row("L4", "8B", "trtllm-fp8-tp1", "runnable", 8192, 4, "FP8 on NVIDIA L4 needs 14.3 of 22.5 GiB"),
    Row("L4", "70B", "trtllm-int4-awq-tp1", "incompatible", 8192, 4, "not on this 24 GB card; try llama-3.1-8b-instruct at FP8"),
    # L40S: 44.99, free 44.31; FP8.
    Row("L40S", "1B", "trtllm-fp8-tp1", "runnable", 8192, 4, "needs 5.9 of 45.0 GiB"),
    Row("L40S", "3B", "trtllm-fp8-tp1", "runnable", 8192, 4, "needs 9.1 of 45.0 GiB"),
    Row("L40S", "8B", "trtllm-fp8-tp1", "runnable", 8192, 4, "needs 14.6 of 45.0 GiB"),
    # 70B: FP8 76.82; AWQ 37.25 + 5.00 + 0.78 + 3.05 = 46.09; 3.22 for KV: 21,126 tokens, 4 × 5,282.
    Row("L40S", "70B", "trtllm-int4-awq-tp1", "low memory", 5120, 4, "try LECTERN_CONTEXT_TOKENS=5120 to reduce to 44.3 GiB"),
    # A100 40 GB: 40.00, free 39.40; capability 8.0, BF16 KV cache. 1B 6.60; 3B 12.75; 8B 22.44.
    Row("A100 40 GB", "1B", "trtllm-bf16-tp1", "runnable", 8192, 4, "needs 7.3 of 40.0 GiB"),
    Row("A100 40 GB", "3B", "trtllm-bf16-tp1", "runnable", 8192, 4, "needs 13.4 of 40.0 GiB"),
    Row("A100 40 GB", "8B", "trtllm-bf16-tp1", "runnable", 8192, 4, "BF16 on NVIDIA A100-SXM4-40GB needs 23.1 of 40.0 GiB"),
    # 70B: AWQ with embedder and index on the CPU, 37.25 + 0.78 + 1.75 = 39.78 without any KV cache: 0.38 too much.
    Row("A100 40 GB", "70B", "trtllm-int4-awq-tp1", "incompatible", 8192, 4, "51.1 GiB in all: not on this 40 GB card; try llama-3.1-8b-instruct at BF16, or 2 such cards"),
    # A100 80 GB: 80.00, free 78.80. 70B: BF16 131.3; AWQ 37.25 + 10.00 + 0.78 + 3.05 = 51.09.
    Row("A100 80 GB", "1B", "trtllm-bf16-tp1", "runnable", 8192, 4, "needs 7.9 of 80.0 GiB"),
    Row("A100 80 GB", "3B", "trtllm-bf16-tp1", "runnable", 8192, 4, "needs 14.0 of 80.0 GiB"),
    Row("A100 80 GB", "8B", "trtllm-bf16-tp1", "runnable", 8192, 4, "needs 23.7 of 80.0 GiB"),
    Row("A100 80 GB", "70B", "trtllm-int4-awq-tp1", "runnable", 8192, 4, "needs 52.3 of 80.0 GiB"),
    # H100: 79.65, free 78.45; FP8. 70B: 67.99 + 5.00 + 0.78 + 3.05 = 76.82, 1.63 to spare.
    Row("H100", "1B", "trtllm-fp8-tp1", "runnable", 8192, 4, "needs 6.4 of 79.6 GiB"),
    Row("H100", "3B", "trtllm-fp8-tp1", "runnable", 8192, 4, "needs 9.6 of 79.6 GiB"),
    Row("H100", "8B", "trtllm-fp8-tp1", "runnable", 8192, 4, "needs 15.2 of 79.6 GiB"),
    Row("H100", "70B", "trtllm-fp8-tp1", "runnable", 8192, 4, "FP8 on NVIDIA H100 80GB HBM3 needs 78.1 of 79.6 GiB"),
    # H200: 140.40, free 138.30. 70B: FP8 76.82; BF16 131.3 + 5.00 + 0.78 + 3.05 = 140.15 would not fit.
    Row("H200", "1B", "trtllm-fp8-tp1", "runnable", 8192, 4, "needs 7.3 of 140.4 GiB"),
    Row("H200", "3B", "trtllm-fp8-tp1", "runnable", 8192, 4, "needs 10.5 of 140.4 GiB"),
    Row("H200", "8B", "trtllm-fp8-tp1", "runnable", 8192, 4, "needs 16.1 of 140.4 GiB"),
    Row("H200", "70B", "trtllm-fp8-tp1", "runnable", 8192, 4, "needs 79.0 of 140.4 GiB"),
    # 2 × RTX 4090: up to 8B one card is enough.
    Row("2×4090", "1B", "trtllm-fp8-tp1", "runnable", 8192, 4, "on NVIDIA GeForce RTX 4090 needs 5.6 of 24.0 GiB"),
    Row("2×4090", "3B", "trtllm-fp8-tp1", "runnable", 8192, 4, "on NVIDIA GeForce RTX 4090 needs 8.8 of 24.0 GiB"),
    Row("2×4090", "8B", "trtllm-fp8-tp1", "runnable", 8192, 4, "on NVIDIA GeForce RTX 4090 needs 14.3 of 24.0 GiB"),
    # 70B: FP8 67.99 / 2 = 34.0; AWQ on each 37.25 / 2 = 18.63, activations 0.45 (the inner vectors are halved), NCCL
    # 0.33; on the first 18.63 + 0.45 + 0.33 + 3.05 = 22.46 of 23.63: 1.17 for half the KV cache, 15,300 tokens: 4 × 3,800
    # is too short, 2 × 7,168 fits.
    Row("2×4090", "70B", "trtllm-int4-awq-tp2", "low memory", 7168, 2, "on 2 × NVIDIA GeForce RTX 4090 has memory for 2 × 7,168 tokens"),
    # 8 × H100: one of them is enough for each.
    Row("8×H100", "1B", "trtllm-fp8-tp1", "runnable", 8192, 4, "on NVIDIA H100 80GB HBM3 needs 6.4 of 79.6 GiB"),
    Row("8×H100", "3B", "trtllm-fp8-tp1", "runnable", 8192, 4, "on NVIDIA H100 80GB HBM3 needs 9.6 of 79.6 GiB"),
    Row("8×H100", "8B", "trtllm-fp8-tp1", "runnable", 8192, 4, "on NVIDIA H100 80GB HBM3 needs 15.2 of 79.6 GiB"),
    Row("8×H100", "70B", "trtllm-fp8-tp1", "runnable", 8192, 4, "on NVIDIA H100 80GB HBM3 needs 78.1 of 79.6 GiB"),
    # No GPU, 16 GiB: llama.cpp, one answer at a time, KV cache in 16 bits; Lectern 2.00, earlier prompts 0.25, head-room
    # 0.50, and a batch of 128 tokens: 1B 0.07, 3B 0.08, 8B 0.09, 70B 0.11.
    # 1B 0.75 + 0.25 + 0.07 + 2.75 = 3.82; 3B 1.88 + 0.88 + 0.08 + 2.75 = 5.59; 8B 4.58 + 1.00 + 0.09 + 2.75 = 8.42.
    Row("none", "1B", "llamacpp-q4", "runnable", 8192, 1, "on the CPU needs 3.9 of 16.0 GiB for 1 × 8,192 tokens, since no NVIDIA GPU was found", False),
    Row("none", "3B", "llamacpp-q4", "runnable", 8192, 1, "on the CPU needs 5.6 of 16.0 GiB", False),
    Row("none", "8B", "llamacpp-q4", "runnable", 8192, 1, "on the CPU needs 8.5 of 16.0 GiB", False),
    # 70B: 39.58 + 2.50 + 0.11 + 2.75 = 44.94.
    Row("none", "70B", "llamacpp-q4", "incompatible", 8192, 1, "needs 42.5 GB for its weights, 45.0 GiB in all: not in 16.0 GiB of main memory; try llama-3.2-3b-instruct at Q4_K_M", False),
)  # fmt: skip


def machine(name: str) -> Devices:
    return match(name, cores=8, memory_bytes=16 << 30)[0]


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row.machine}, {row.model}")
def test_each_machine_gets_its_profile_with_class_and_reason(row: Row) -> None:
    catalog = load_catalog()
    others = tuple(entry for entry in catalog.entries if entry.kind == "llm")
    wishes = Wishes(catalog.language_models(FAMILIES[row.model]), others)
    profile, reason = choose_profile(machine(row.machine), wishes)
    assert (profile.name, profile.fit) == (row.profile, row.fit)
    assert (profile.context_tokens, profile.concurrency) == (row.context_tokens, row.concurrency)
    assert profile.shares_gpu == row.embedder_on_gpu
    assert row.reason in reason


def test_the_table_has_fifteen_machines_with_four_models_each() -> None:
    machines = {row.machine for row in TABLE}
    assert len(machines) == 15
    assert {(row.machine, row.model) for row in TABLE} == {(name, model) for name in machines for model in FAMILIES}
    assert len(TABLE) == 60


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row.machine}, {row.model}")
def test_each_row_agrees_with_weights_and_kv_and_two_to_four_gib(row: Row) -> None:
    """The rule of thumb, weights + KV cache + 2 to 4 GiB, without any of the planner's own numbers."""
    gpus = machine(row.machine).gpus
    if not gpus:
        return
    count = int(row.profile[-1])
    kv = KV_KIB[row.model] * 1024 * row.context_tokens * row.concurrency // count
    kv //= 2 if gpus[0].compute_capability >= (8, 9) else 1
    weights = WEIGHTS_GB[row.model][row.profile.removeprefix("trtllm-").rpartition("-")[0]] * 1e9 / count
    if row.fit == "incompatible":
        assert weights + (4 << 30) > gpus[0].free_bytes
    else:
        assert weights + kv + (2 << 30) <= gpus[0].free_bytes


@pytest.mark.parametrize("model", FAMILIES)
def test_the_catalog_has_the_weights_and_kv_sizes_of_feasibility(model: str) -> None:
    entries = {entry.precision: entry for entry in load_catalog().language_models(FAMILIES[model])}
    assert {name: entries[name].total_bytes for name in entries if name != "Q4_K_M"} == {
        name: round(gb * 1e9) for name, gb in WEIGHTS_GB[model].items()
    }
    shape = entries["bf16"].shape
    assert shape is not None
    assert 2 * shape.layers * shape.kv_heads * shape.head_dim * 2 == KV_KIB[model] * 1024


def test_faiss_gets_the_temporary_memory_that_is_planned() -> None:
    assert INDEX_SCRATCH_BYTES == WORKSPACE_BYTES
