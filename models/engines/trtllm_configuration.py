"""The configuration of `trtllm-serve`, from a profile: each setting once, all of them in one file.

Nothing of it stands on the command line: up to TensorRT-LLM 1.2 the file overrules the flags, after it the flags
overrule the file. What each line is for stands in `docs/tensorrt-llm.md`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from models.errors import ModelError
from models.planning.memory import CONTEXT_BYTES, MAX_NUM_TOKENS
from models.planning.profile import MemoryPlan, Profile

KV_CACHE = "KV cache"
HEAD_ROOM = "head-room"
OWN_PARTS = ("embedder", "reranker", "vector index")
"""What Lectern itself has on the card: names of a plan's parts."""

MOST_OF_FREE = 0.95
TOKENS_PER_BLOCK = 32
SPECULATE_UP_TO = 4
"""Answers at a time. Guessing ahead uses the arithmetic that a small batch leaves idle; a large one leaves none."""

DRAFT_TOKENS = 4
MATCHING_TOKENS = 3


def configuration(profile: Profile, adapters: tuple[Path, ...] = (), *, first_on_card: bool) -> dict[str, Any]:
    """As `trtllm-serve` takes it. `first_on_card`: it starts before Lectern has put anything on the card. Raises
    `ModelError` for an adapter that is none."""
    # Requests shorter than the context share the cache that is planned for whole ones.
    batch = 2 * profile.concurrency
    settings: dict[str, Any] = {
        "backend": "pytorch",
        "tensor_parallel_size": profile.tensor_parallel,
        "max_batch_size": batch,
        "max_num_tokens": max(MAX_NUM_TOKENS, batch),
        "max_seq_len": profile.context_tokens,
        "enable_chunked_prefill": True,
        "kv_cache_config": _kv_cache(profile, first_on_card),
        "cuda_graph_config": {"enable_padding": True, "max_batch_size": batch},
        "enable_iter_perf_stats": True,
        "return_perf_metrics": True,
    }
    # NVIDIA's table of features that go together has it as untested with adapters.
    if profile.concurrency <= SPECULATE_UP_TO and not adapters:
        settings["speculative_config"] = {
            "decoding_type": "NGram",
            "max_draft_len": DRAFT_TOKENS,
            "max_matching_ngram_size": MATCHING_TOKENS,
            # In a pool for all, one user's text would show in how fast another's answer comes.
            "is_public_pool": False,
        }
    if adapters:
        settings["lora_config"] = {
            "lora_dir": [str(adapter) for adapter in adapters],
            "max_lora_rank": max(_rank(adapter) for adapter in adapters),
            "max_loras": len(adapters),
            "max_cpu_loras": len(adapters),
        }
    return settings


def write_configuration(settings: dict[str, Any], file: Path) -> None:
    """As JSON, which is YAML, too. Raises OSError."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")


def cache_fraction(profile: Profile, *, first_on_card: bool) -> float:
    """`free_gpu_memory_fraction`: the most of what is free, once weights and buffers are placed, that the KV cache may
    take so that the head-room, and what comes to the card after the engine, still fit. The smallest over the profile's
    GPUs, since one value holds for all of them. When the plan is right, `max_tokens` is the narrower limit; this one
    holds when the engine takes more than planned. Raises `ModelError` when nothing is left for the cache."""
    return min(_share(plan, first_on_card) for plan in profile.memory)


def _share(plan: MemoryPlan, first_on_card: bool) -> float:
    cache_bytes = plan.left_bytes + plan.bytes_of(KV_CACHE)
    if cache_bytes <= 0:
        raise ModelError(f"{plan.device} has no room for the KV cache: {-cache_bytes >> 20} MiB are missing")
    later_bytes = plan.bytes_of(HEAD_ROOM) + (_own_bytes(plan) if first_on_card else 0)
    # Rounded down, and never all of it: the engine makes small things later, too.
    return min(MOST_OF_FREE, int(1000 * cache_bytes / (cache_bytes + later_bytes)) / 1000)


def _own_bytes(plan: MemoryPlan) -> int:
    """What Lectern takes of the card, its process's own context included; the other context is the engine's."""
    parts = sum(plan.bytes_of(name) for name in OWN_PARTS)
    return parts + max(0, plan.bytes_of("CUDA contexts") - CONTEXT_BYTES)


def _kv_cache(profile: Profile, first_on_card: bool) -> dict[str, Any]:
    # An answer's last block also holds the tokens that were guessed ahead.
    answer_blocks = (profile.context_tokens + DRAFT_TOKENS) // TOKENS_PER_BLOCK + 1
    return {
        "enable_block_reuse": True,
        "free_gpu_memory_fraction": cache_fraction(profile, first_on_card=first_on_card),
        "max_tokens": answer_blocks * TOKENS_PER_BLOCK * profile.concurrency,
        "tokens_per_block": TOKENS_PER_BLOCK,
        "dtype": "fp8" if profile.kv_precision == "fp8" else "auto",
    }


def _rank(adapter: Path) -> int:
    file = adapter / "adapter_config.json"
    try:
        return int(json.loads(file.read_text(encoding="utf-8"))["r"])
    except (OSError, ValueError, KeyError, TypeError) as exc:
        raise ModelError(f"{adapter} is no LoRA adapter: {file.name} cannot be read, or has no rank ({exc})") from exc
