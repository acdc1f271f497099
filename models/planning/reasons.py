"""The reasons of a choice, for a person to read. Weights are told in GB (1e9 bytes), as the catalog has them; memory in
GiB, as the driver has it; a card by the size that its box names."""

from __future__ import annotations

import math
from collections.abc import Sequence

from models.catalog import Entry
from models.planning.cards import box_gb
from models.planning.memory import required_bytes
from models.planning.profile import MemoryPlan, Profile
from models.planning.wishes import Wishes

NO_GPU = "no NVIDIA GPU was found"


def gib(size: int) -> str:
    """Rounded up, since it says what is needed."""
    return f"{math.ceil(size / 2**30 * 10 - 1e-9) / 10:.1f} GiB"


def title(entry: Entry) -> str:
    """ "llama-3.1-8b-instruct at FP8"."""
    return f"{entry.family or entry.name} at {entry.precision.upper()}"


def fits(entry: Entry, profile: Profile) -> str:
    return f"{title(entry)} {_where(profile)} needs {_of_memory(profile.memory)} for {_load(profile)}"


def reduced(entry: Entry, profile: Profile, whole: Sequence[MemoryPlan], wished: Wishes) -> str:
    """`whole` is the memory as it would be with everything that was `wished`."""
    would = f"for {wished.concurrency} × {wished.context_tokens:,} tokens it would need {_of_memory(whole)}"
    held = _held_by_others(whole)
    return f"{title(entry)} {_where(profile)} has memory for {_load(profile)}: {would}{held}; {advice(profile, wished)}"


def advice(profile: Profile, wished: Wishes) -> str:
    """Which settings make of a "low memory" profile a runnable one, and what else may."""
    settings = []
    if profile.context_tokens != wished.context_tokens:
        settings.append(f"LECTERN_CONTEXT_TOKENS={profile.context_tokens}")
    if profile.concurrency != wished.concurrency:
        settings.append(f"LECTERN_CONCURRENCY={profile.concurrency}")
    if profile.gpus and wished.shares_gpu and not profile.shares_gpu:
        settings.append("LECTERN_DEVICE=cpu")
    return f"try {' '.join(settings)} to reduce to {gib(max(map(required_bytes, profile.memory)))}"


def too_large(entry: Entry, profile: Profile) -> str:
    plan = max(profile.memory, key=required_bytes)
    each = " on each" if len(profile.gpus) > 1 else ""
    weights = f"{title(entry)} needs {entry.total_bytes / 1e9:.3g} GB for its weights"
    needs = f"{weights}, {gib(required_bytes(plan))} in all{each}"
    if not profile.gpus:
        return f"{needs}: not in {plan.capacity_bytes / 2**30:.1f} GiB of main memory"
    size = box_gb(plan.capacity_bytes)
    cards = f"this {size} GB card" if len(profile.gpus) == 1 else f"{len(profile.gpus)} cards of {size} GB"
    return f"{needs}: not on {cards}{_held_by_others(profile.memory)}"


def requires(profile: Profile, whole: Sequence[MemoryPlan], wished: Wishes) -> str:
    """As NIM lists it: "[requires >=16.1 GiB/gpu, try … to reduce to >=9.1 GiB/gpu]"."""
    unit = "/gpu" if profile.backend == "tensorrt-llm" or profile.gpus else ""
    needed = f"requires >={gib(max(map(required_bytes, whole)))}{unit}"
    if profile.fit != "low memory":
        return f"[{needed}]"
    return f"[{needed}, {advice(profile, wished).replace('reduce to ', 'reduce to >=')}{unit}]"


def _where(profile: Profile) -> str:
    if not profile.gpus:
        return "on the CPU"
    name = profile.memory[0].device.partition(": ")[2]
    return f"on {name}" if len(profile.gpus) == 1 else f"on {len(profile.gpus)} × {name}"


def _load(profile: Profile) -> str:
    beside = "" if profile.shares_gpu or not profile.gpus else ", with embedder and index on the CPU"
    return f"{profile.concurrency} × {profile.context_tokens:,} tokens{beside}"


def _of_memory(plans: Sequence[MemoryPlan]) -> str:
    """Of the fullest device."""
    plan = min(plans, key=lambda plan: plan.left_bytes)
    of = f" of {plan.capacity_bytes / 2**30:.1f}" if plan.capacity_bytes else ""
    each = " on each" if len(plans) > 1 else ""
    return f"{gib(plan.needed_bytes).removesuffix(' GiB')}{of} GiB{each}"


def _held_by_others(plans: Sequence[MemoryPlan]) -> str:
    """Said when it is more than what a driver takes for itself."""
    plan = max(plans, key=lambda plan: plan.bytes_of("other programs"))
    held = plan.bytes_of("other programs")
    return f", {gib(held)} of it held by other programs" if held > plan.capacity_bytes // 20 else ""
