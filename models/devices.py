"""What this machine offers, and what to run where: facts are detected, choices are pure functions with a reason."""

from __future__ import annotations

import math
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

EMBEDDER_BYTES = 2 << 30
"""Free GPU memory that the embedder wants: CUDA's own share, small weights, and a large batch of activations."""

OLDEST_GPU = (7, 0)


@dataclass(frozen=True)
class Gpu:
    """`index` is the driver's, by which settings and profiles name it; `cuda_number` is what torch and FAISS call it in
    this process, the same unless CUDA_VISIBLE_DEVICES says otherwise."""

    index: int
    name: str
    memory_bytes: int
    free_bytes: int
    driver: str
    compute_capability: tuple[int, int]
    uuid: str = ""
    cuda_number: int | None = None


@dataclass(frozen=True)
class Devices:
    """`cores` and `memory_bytes` are what this process may use, which in a container is less than the machine has;
    a platform that does not tell its memory has 0."""

    cores: int
    memory_bytes: int
    gpus: tuple[Gpu, ...] = ()


@dataclass(frozen=True)
class LlamaThreads:
    """Threads of llama.cpp: `decode` makes tokens one by one, `prefill` reads the prompt in batches."""

    decode: int
    prefill: int


def detect(
    *,
    nvidia_smi: str = "nvidia-smi",
    cgroup: Path = Path("/sys/fs/cgroup"),
    environment: Mapping[str, str] = os.environ,
) -> Devices:
    """Look at this machine, without torch; takes milliseconds, plus `nvidia-smi` where there is one. GPUs that
    CUDA_VISIBLE_DEVICES hides are not there for anything in Lectern."""
    gpus = visible_gpus(_gpus(nvidia_smi), environment.get("CUDA_VISIBLE_DEVICES"))
    return Devices(_usable_cores(cgroup), _usable_memory_bytes(cgroup), gpus)


def visible_gpus(gpus: Sequence[Gpu], visible: str | None) -> tuple[Gpu, ...]:
    """Those that CUDA_VISIBLE_DEVICES leaves, in its order, by the driver's index or by the beginning of a UUID. Like
    CUDA, it is read up to the first part that names none; None hides nothing."""
    if visible is None:
        return tuple(gpus)
    return tuple(replace(gpu, cuda_number=number) for number, gpu in enumerate(_named(gpus, visible)))


def choose_embedder_device(devices: Devices) -> tuple[Literal["cpu", "cuda"], str]:
    """Where the embedder runs, and why."""
    if not devices.gpus:
        return "cpu", "no NVIDIA GPU was found"
    best = max(devices.gpus, key=lambda gpu: gpu.free_bytes)
    free = f"{best.free_bytes / 2**30:.1f} GiB free on {best.name}"
    if best.compute_capability < OLDEST_GPU:
        return "cpu", f"{best.name} is older than compute capability {OLDEST_GPU[0]}.{OLDEST_GPU[1]}"
    if best.free_bytes < EMBEDDER_BYTES:
        return "cpu", f"{free}, less than the {EMBEDDER_BYTES >> 30} GiB that the embedder wants"
    return "cuda", free


def choose_embedder_threads(devices: Devices) -> tuple[int, str]:
    """How many batches are embedded side by side, and why."""
    return devices.cores, f"one batch on each of {devices.cores} usable cores"


def choose_llama_threads(devices: Devices) -> tuple[LlamaThreads, str]:
    """Threads of llama.cpp, and why: one too many makes tokens ten times slower on a busy machine."""
    decode = max(1, devices.cores - 1)
    reason = f"{decode} of {devices.cores} cores make tokens, since a thread that must wait for a core stops the others"
    return LlamaThreads(decode=decode, prefill=devices.cores), reason + "; all of them read the prompt"


def _usable_cores(cgroup: Path) -> int:
    """By affinity and by the container's quota."""
    # Windows and macOS know no affinity; there the count of processors is the best there is.
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota, _, period = _read(cgroup / "cpu.max").partition(" ")
    if quota.isdigit() and period.isdigit():
        cores = min(cores, math.ceil(int(quota) / int(period)))
    return max(1, cores)


def _usable_memory_bytes(cgroup: Path) -> int:
    if not hasattr(os, "sysconf"):
        return 0
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limit = _read(cgroup / "memory.max")
    return min(total, int(limit)) if limit.isdigit() else total


def _read(file: Path) -> str:
    try:
        return file.read_text("ascii").strip()
    except OSError:
        return ""


def _named(gpus: Sequence[Gpu], visible: str) -> Iterator[Gpu]:
    for part in map(str.strip, visible.split(",")):
        is_uuid = part.startswith("GPU-")
        named = [gpu for gpu in gpus if (gpu.uuid.startswith(part) if is_uuid else part == str(gpu.index))]
        if len(named) != 1:
            return
        yield named[0]


def _gpus(nvidia_smi: str) -> tuple[Gpu, ...]:
    """As the driver's own tool lists them; none when it is missing, broken or says something else."""
    fields = "index,name,memory.total,memory.free,driver_version,compute_cap,uuid"
    command = [nvidia_smi, f"--query-gpu={fields}", "--format=csv,noheader,nounits"]
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return ()
    return tuple(gpu for line in said.splitlines() if (gpu := _gpu(line)))


def _gpu(line: str) -> Gpu | None:
    try:
        index, name, total, free, driver, capability, uuid = (part.strip() for part in line.split(","))
        major, minor = capability.split(".")
        return Gpu(int(index), name, int(total) << 20, int(free) << 20, driver, (int(major), int(minor)), uuid)
    except ValueError:
        return None  # "[N/A]" in a field: a card in an error state, or one without memory of its own
