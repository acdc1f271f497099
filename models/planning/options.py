"""Every way to run the wished models on a machine: with which memory, in which class, and why."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from models.catalog import Entry
from models.devices import Devices, Gpu
from models.errors import ImpossibleProfile
from models.planning import reasons
from models.planning.memory import (
    kv_bytes_per_token,
    plan_llama_cpu,
    plan_llama_gpu,
    plan_tensorrt,
    required_bytes,
    shape_of,
)
from models.planning.placement import chosen_gpus, placements
from models.planning.precisions import KvPrecision, kv_precision, precision_problem
from models.planning.profile import Fit, MemoryPlan, Profile
from models.planning.reductions import least_reduced
from models.planning.wishes import Wishes

FITS: tuple[Fit, ...] = ("runnable", "low memory", "incompatible")
"""From best to worst."""

_NO_GPU = Gpu(0, "an NVIDIA GPU", 0, 0, "", (0, 0))


@dataclass(frozen=True)
class Option:
    """A profile with its reason. `requirement` is what it takes as wished, as NIM lists it, and `required_bytes` the
    same on its fullest device. `impossible`: what no memory would mend."""

    entry: Entry
    profile: Profile
    reason: str
    requirement: str
    required_bytes: int
    impossible: bool


def options_for(devices: Devices, wishes: Wishes) -> list[Option]:
    """At least one, in no order. Raises `ImpossibleProfile` when `wishes` names no model or a GPU that is not there."""
    gpus = chosen_gpus(devices, wishes.gpus)
    options: list[Option] = []
    for entry in wishes.models:
        if entry.backend == "llama.cpp":
            options.append(_llama_option(entry, gpus, devices.memory_bytes, wishes))
        else:
            options += _tensorrt_options(entry, gpus, wishes)
    if not options:
        raise ImpossibleProfile("there is no language model to choose from; name one that `models list` shows")
    return options


def _tensorrt_options(entry: Entry, gpus: Sequence[Gpu], wishes: Wishes) -> Iterator[Option]:
    """One option for each number of GPUs, on the best of those sets of GPUs."""
    best: dict[int, Option] = {}
    for place in placements(gpus, shape_of(entry)):
        option = _tensorrt_option(entry, place, wishes)
        held = best.get(len(place))
        if held is None or _placed_better(option, held):
            best[len(place)] = option
    yield from best.values() if gpus else [_tensorrt_option(entry, (), wishes)]


def _placed_better(option: Option, held: Option) -> bool:
    def key(candidate: Option) -> tuple[bool, int, int]:
        left = min(plan.left_bytes for plan in candidate.profile.memory)
        return candidate.impossible, FITS.index(candidate.profile.fit), -left

    return key(option) < key(held)


def _tensorrt_option(entry: Entry, place: tuple[Gpu, ...], wishes: Wishes) -> Option:
    """`place` is empty on a machine without a GPU."""
    problem = precision_problem(entry.precision, place[0]) if place else reasons.NO_GPU
    kv = kv_precision(entry.precision, place[0].compute_capability if place else (0, 0))

    def plan(wished: Wishes) -> tuple[MemoryPlan, ...]:
        return plan_tensorrt(entry, place or (_NO_GPU,), wished, kv)

    return _option(entry, place, _within(entry, wishes), plan, kv, problem)


def _llama_option(entry: Entry, gpus: Sequence[Gpu], memory_bytes: int, wishes: Wishes) -> Option:
    """On the GPU where the CUDA build is installed and the whole model fits, else on the CPU; one answer at a time."""
    wished = replace(_within(entry, wishes), concurrency=1)
    if wishes.llama_cuda and gpus:
        gpu = max(gpus, key=lambda gpu: gpu.free_bytes)
        on_gpu = _option(entry, (gpu,), wished, lambda each: (plan_llama_gpu(entry, gpu, each),), "fp16")
        if on_gpu.profile.fit != "incompatible":
            return on_gpu
    return _option(entry, (), wished, lambda each: (plan_llama_cpu(entry, memory_bytes, each),), "fp16")


def _option(
    entry: Entry,
    place: tuple[Gpu, ...],
    wished: Wishes,
    plan: Callable[[Wishes], tuple[MemoryPlan, ...]],
    kv: KvPrecision,
    problem: str | None = None,
) -> Option:
    """`plan` gives the memory for a variant of the wishes; `problem` is why it is impossible."""
    found = None if problem else least_reduced(wished, lambda each: all(held.left_bytes >= 0 for held in plan(each)))
    whole = plan(wished)
    profile = _profile(entry, place, found or wished, plan(found or wished), kv, _fit(found, wished))
    required = max(map(required_bytes, whole))
    requirement = reasons.requires(profile, whole, wished)
    return Option(entry, profile, _reason(entry, profile, whole, wished, problem), requirement, required, bool(problem))


def _within(entry: Entry, wishes: Wishes) -> Wishes:
    """The wishes, with no longer a context than the model was made for."""
    return replace(wishes, context_tokens=min(wishes.context_tokens, entry.context_tokens or wishes.context_tokens))


def _fit(found: Wishes | None, wished: Wishes) -> Fit:
    if found is None:
        return "incompatible"
    return "runnable" if found == wished else "low memory"


def _profile(
    entry: Entry, place: tuple[Gpu, ...], wishes: Wishes, plans: tuple[MemoryPlan, ...], kv: KvPrecision, fit: Fit
) -> Profile:
    llama = entry.backend == "llama.cpp"
    parallel = max(1, len(place))
    short = entry.precision.lower().split("_")[0]
    return Profile(
        name=f"llamacpp-{short}" if llama else f"trtllm-{entry.precision}-tp{parallel}",
        model=entry.name,
        backend="llama.cpp" if llama else "tensorrt-llm",
        precision=entry.precision,
        kv_precision=kv,
        tensor_parallel=parallel,
        gpus=tuple(gpu.index for gpu in place),
        context_tokens=wishes.context_tokens,
        concurrency=wishes.concurrency,
        kv_bytes_per_token=kv_bytes_per_token(shape_of(entry), kv),
        memory=plans,
        fit=fit,
    )


def _reason(entry: Entry, profile: Profile, whole: tuple[MemoryPlan, ...], wished: Wishes, problem: str | None) -> str:
    if problem:
        return f"{reasons.title(entry)} cannot run here: {problem}"
    if profile.fit == "incompatible":
        return reasons.too_large(entry, profile)
    if profile.fit == "runnable":
        return reasons.fits(entry, profile)
    return reasons.reduced(entry, profile, whole, wished)
