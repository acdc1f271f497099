"""The machine: system, memory, NVIDIA's driver and GPUs, and whether the installed torch can use them."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from models.devices import OLDEST_GPU, Devices, Gpu
from models.torch_build import TorchBuild
from rag.examination.finding import Finding, error, gib, ok, warning

LEAST_MEMORY_BYTES = 4 << 30
# The driver that a release of CUDA needs, as NVIDIA's release notes say; a minor release runs on its major's driver.
OLDEST_DRIVER = {12: 525, 13: 580}
_GPU_SET = "pip install -r requirements-gpu.txt, in an environment of its own (docs/gpu.md)"


def examine_machine(devices: Devices) -> Iterator[Finding]:
    python = ".".join(map(str, sys.version_info[:3]))
    yield ok("system", f"{platform.system()} {platform.machine()}, Python {python}")
    memory = f"{devices.cores} usable cores, {gib(devices.memory_bytes)} of memory"
    if 0 < devices.memory_bytes < LEAST_MEMORY_BYTES:
        yield warning("memory", memory, "Lectern wants 4 GiB; read one file at a time: LECTERN_PARSERS=1")
    else:
        yield ok("memory", memory)
    if not devices.gpus:
        yield _without_gpu(shutil.which("nvidia-smi"), Path("/dev/nvidiactl").exists())
    for gpu in devices.gpus:
        yield _gpu(gpu)


def examine_cuda(devices: Devices, wished: str, build: TorchBuild | None, problem: Callable[[], str | None]) -> Finding:
    """Whether torch can compute on the GPUs. `wished` is the setting `device`; `problem` asks torch itself, which takes
    seconds, and is asked only where there is a GPU for it."""
    if build is None:
        if wished == "cuda":
            return error("CUDA", "torch is not installed, and LECTERN_DEVICE=cuda wants it", _GPU_SET)
        return ok("CUDA", "torch is not installed; embeddings are made by ONNX Runtime on the CPU")
    named = f"torch {build.version}, a build for {f'CUDA {build.cuda}' if build.cuda else 'the CPU'}"
    if not devices.gpus and wished == "cuda":
        return error("CUDA", f"{named}; LECTERN_DEVICE=cuda, and there is no GPU", "LECTERN_DEVICE=auto")
    if not devices.gpus or wished == "cpu":
        return ok("CUDA", f"{named}; the CPU is used{', as LECTERN_DEVICE says' if wished == 'cpu' else ''}")
    if build.cuda is None:
        return _cannot(wished, named, _GPU_SET)
    driver = devices.gpus[0].driver
    oldest = OLDEST_DRIVER.get(int(build.cuda.partition(".")[0]), 0)
    if (major := driver.partition(".")[0]).isdigit() and int(major) < oldest:
        return _cannot(wished, f"{named}, needs driver {oldest}, and this is {driver}", "update NVIDIA's driver")
    if said := problem():
        return _cannot(wished, f"{named}: {said}", f"update NVIDIA's driver; else {_GPU_SET}")
    count = len(devices.gpus)
    return ok("CUDA", f"{named}, sees {'the GPU' if count == 1 else f'{count} GPUs'}")


def _gpu(gpu: Gpu) -> Finding:
    check = f"GPU {gpu.index}"
    capability = ".".join(map(str, gpu.compute_capability))
    detail = (
        f"{gpu.name}, compute capability {capability}, {gib(gpu.free_bytes)} of {gib(gpu.memory_bytes)} free, "
        f"driver {gpu.driver}"
    )
    if gpu.compute_capability < OLDEST_GPU:
        oldest = ".".join(map(str, OLDEST_GPU))
        return warning(check, f"{detail}: too old to be used", f"a GPU of compute capability {oldest} or more")
    if gpu.free_bytes < gpu.memory_bytes // 2:
        remedy = "`nvidia-smi` lists the programs that hold the rest: end those that you do not need"
        return warning(check, detail, remedy)
    return ok(check, detail)


def _without_gpu(nvidia_smi: str | None, has_device: bool) -> Finding:
    if nvidia_smi is None and not has_device:
        return ok("GPU", "no NVIDIA GPU found; everything runs on the CPU")
    if nvidia_smi is None:
        remedy = "install the driver's tools (in a container: give it the capability `utility`)"
        return warning("GPU", "NVIDIA's driver is loaded, but nvidia-smi is missing, so no GPU is used", remedy)
    try:
        asked = subprocess.run([nvidia_smi, "-L"], capture_output=True, text=True, timeout=10, check=False)
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        if visible is not None and asked.returncode == 0:
            remedy = (
                "unset it, or name GPUs as `nvidia-smi -L` does, by number or UUID; parts of a GPU (MIG) are not used"
            )
            return warning("GPU", f"CUDA_VISIBLE_DEVICES={visible!r} leaves no GPU", remedy)
        said = (asked.stdout + asked.stderr).strip().splitlines() or ["nothing"]
    except (OSError, subprocess.SubprocessError) as exc:
        said = [str(exc)]
    remedy = "restart the machine after an update of the driver; else install the driver anew"
    return warning("GPU", f"no GPU can be used; nvidia-smi says: {said[-1]}", remedy)


def _cannot(wished: str, detail: str, remedy: str) -> Finding:
    """An error where a GPU was asked for, else only a slower machine than it could be."""
    if wished == "cuda":
        return error("CUDA", detail, remedy)
    return warning("CUDA", f"{detail}: embeddings are made on the CPU", remedy)
