"""Devices that this machine may not have."""

from __future__ import annotations

from models.devices import Devices, Gpu
from rag.examination.finding import Finding

GIB = 2**30
NO_GPU = Devices(cores=8, memory_bytes=32 * GIB)


def gpu(**other: object) -> Gpu:
    facts = {"name": "NVIDIA L4", "memory_bytes": 23 * GIB, "free_bytes": 22 * GIB, "driver": "580.65.06"}
    return Gpu(**{"index": 0, "compute_capability": (8, 9), **facts, **other})  # type: ignore[arg-type]  # by name


def with_gpu(**other: object) -> Devices:
    return Devices(8, 32 * GIB, (gpu(**other),))


def severities(findings: list[Finding]) -> dict[str, str]:
    return {finding["check"]: finding["severity"] for finding in findings}
