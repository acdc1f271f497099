"""Which embedder runs a model on this machine, and why."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path
from typing import Literal

from models.catalog import Entry
from models.devices import Devices, choose_embedder_device, choose_embedder_threads
from models.errors import ModelError
from models.interfaces import Embedder


def open_embedder(
    entry: Entry, folder: Path, devices: Devices, *, device: Literal["auto", "cpu", "cuda"] = "auto"
) -> tuple[Embedder, str]:
    """The embedder for the model in `folder`, and the reason of the choice for a person to read.

    `device` overrides the choice. Raises `ModelError` when it cannot be loaded.
    """
    if entry.kind != "embedder":
        raise ModelError(f"{entry.name} is a model of the kind {entry.kind}, not an embedder")
    chosen, why = _choose(devices) if device == "auto" else (device, "as the settings say")
    if chosen == "cuda":
        from models.embedding.torch_embedder import TorchEmbedder

        return TorchEmbedder(folder, "cuda", precision="fp16"), f"{entry.name} in fp16 on the GPU: {why}"
    from models.embedding.onnx_embedder import OnnxEmbedder

    threads, side_by_side = choose_embedder_threads(devices)
    embedder = OnnxEmbedder(folder, precision="int8", threads=threads)
    return embedder, f"{entry.name} in int8 on the CPU, {side_by_side}: {why}"


def _choose(devices: Devices) -> tuple[Literal["cpu", "cuda"], str]:
    chosen, why = choose_embedder_device(devices)
    if chosen == "cuda":
        # Asked of the installed package first: importing a torch that cannot help would cost seconds at each start.
        try:
            version = metadata.version("torch")
        except metadata.PackageNotFoundError:
            return "cpu", f"{why}, but torch is not installed (requirements-gpu.txt)"
        if version.endswith("+cpu"):
            return "cpu", f"{why}, but torch {version} is a build for the CPU (requirements-gpu.txt has the other)"
        import torch

        if not torch.cuda.is_available():
            return "cpu", f"{why}, but torch {version} cannot use it (is the driver too old for it?)"
    return chosen, why
