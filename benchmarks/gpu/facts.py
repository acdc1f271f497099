"""Section 1: what was measured, and on what."""

from __future__ import annotations

import platform
from importlib import metadata

from benchmarks.gpu.measuring import mib
from benchmarks.gpu.options import Options
from benchmarks.gpu.report import Report
from models.devices import detect

PACKAGES = ("torch", "transformers", "sentence-transformers", "tokenizers", "numpy", "onnxruntime")
FAISS_WHEELS = ("faiss-gpu-cuvs", "faiss-gpu", "faiss-cpu")


def measure(options: Options, report: Report) -> None:
    devices = detect()
    report.row("machine", what="processor", value=f"{platform.machine()}, {devices.cores} cores")
    report.row("machine", what="memory, MiB", value=mib(devices.memory_bytes))
    report.row("machine", what="system", value=platform.platform())
    for gpu in devices.gpus:
        capability = ".".join(map(str, gpu.compute_capability))
        report.row("machine", what=f"GPU {gpu.index}", value=f"{gpu.name}, compute capability {capability}")
        report.row(
            "machine", what=f"GPU {gpu.index}, MiB, free MiB", value=f"{mib(gpu.memory_bytes)}, {mib(gpu.free_bytes)}"
        )
        report.row("machine", what="driver", value=gpu.driver)
    if not devices.gpus:
        report.skip("facts of a GPU", "nvidia-smi names none")
    report.row("versions", package="python", version=platform.python_version())
    for name in (*PACKAGES, *FAISS_WHEELS):
        _version(name, report)
    with report.step("torch's view of the GPU"):
        _torch(options, report)


def _version(name: str, report: Report) -> None:
    try:
        report.row("versions", package=name, version=metadata.version(name))
    except metadata.PackageNotFoundError:
        if name not in FAISS_WHEELS:
            report.skip(f"version of {name}", "it is not installed")


def _torch(options: Options, report: Report) -> None:
    import torch

    report.row("machine", what="CUDA of torch", value=torch.version.cuda)
    if options.device == "cuda":
        properties = torch.cuda.get_device_properties(0)
        report.row("machine", what="multiprocessors", value=properties.multi_processor_count)
