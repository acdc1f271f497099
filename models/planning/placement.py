"""On which of a machine's GPUs a model may be put, and how it may be divided among them."""

from __future__ import annotations

from collections.abc import Sequence

from models.catalog import Shape
from models.devices import Devices, Gpu
from models.errors import ImpossibleProfile


def chosen_gpus(devices: Devices, wanted: tuple[int, ...]) -> tuple[Gpu, ...]:
    """The GPUs with those indices, all without any. Raises `ImpossibleProfile` naming the ones there are."""
    known = {gpu.index: gpu for gpu in devices.gpus}
    if missing := [index for index in wanted if index not in known]:
        there = ", ".join(map(str, known)) or "none"
        raise ImpossibleProfile(f"LECTERN_GPUS names GPU {missing[0]}; this machine has: {there}")
    return tuple(known[index] for index in wanted) if wanted else devices.gpus


def placements(gpus: Sequence[Gpu], shape: Shape) -> list[tuple[Gpu, ...]]:
    """Every set of equal GPUs among which the model can be divided evenly, by tensor parallelism of a power of two.
    Of equal ones those with the most free memory are taken, listed by their index."""
    groups: dict[tuple[str, int, tuple[int, int]], list[Gpu]] = {}
    for gpu in gpus:
        groups.setdefault((gpu.name, gpu.memory_bytes, gpu.compute_capability), []).append(gpu)
    found = []
    for group in groups.values():
        group.sort(key=lambda gpu: (-gpu.free_bytes, gpu.index))
        sizes = [size for size in (1, 2, 4, 8, 16, 32, 64) if size <= len(group) and _divides(shape, size)]
        found += [tuple(sorted(group[:size], key=lambda gpu: gpu.index)) for size in sizes]
    return found


def _divides(shape: Shape, size: int) -> bool:
    """Each GPU gets as many heads as the others, and either as many KV heads or a copy of one."""
    return shape.heads % size == 0 and (shape.kv_heads % size == 0 or size % shape.kv_heads == 0)
