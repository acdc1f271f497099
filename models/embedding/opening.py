"""Which embedder and which reranker run on this machine, and why."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Literal

from models.catalog import Entry
from models.cuda_cards import Card, cuda_cards, roomiest
from models.device_lock import DeviceLock
from models.devices import Devices, choose_embedder_device, choose_embedder_threads
from models.embedding.onnx_conversion import is_convertible
from models.embedding.torch_models import choose_precision
from models.embedding.weights import stored_precision
from models.errors import ModelError
from models.interfaces import Embedder, Reranker

_log = logging.getLogger(__name__)

DeviceWish = Literal["auto", "cpu", "cuda"]


@dataclass(frozen=True)
class _Place:
    """Where a model runs: on a card, or on the CPU without one. `for_now`: a GPU would do, but not at this moment."""

    card: Card | None
    why: str
    for_now: bool = False


def open_embedder(
    entry: Entry,
    folder: Path,
    devices: Devices,
    *,
    device: DeviceWish = "auto",
    why: str = "as the settings say",
    exact: bool | None = None,
    lock: DeviceLock | None = None,
) -> tuple[Embedder, str]:
    """The embedder for the model in `folder`, and the reason of the choice for a person to read. `lock`: that of the
    GPU with the most free memory, which is the one it takes.

    `device` overrides the choice, and `why` says why. `exact`: whether vectors that are there already were computed in
    floating point, so that the CPU goes on in it; None where there are none. Raises `ModelError` when it cannot be
    loaded; with "auto", a GPU that cannot load it leaves it to the CPU.
    """
    if entry.kind != "embedder":
        raise ModelError(f"{entry.name} is a model of the kind {entry.kind}, not an embedder")
    place = _place(devices, device, why)
    if place.card is not None:
        try:
            return _embedder_on(place.card, place.why, entry, folder, lock)
        except ModelError as exc:
            place = _fallen_back(exc, device)
    return _embedder_on_cpu(place, entry, folder, devices, bool(exact))


def open_reranker(
    folder: Path,
    devices: Devices,
    *,
    device: DeviceWish = "auto",
    why: str = "as the settings say",
    lock: DeviceLock | None = None,
) -> tuple[Reranker, str]:
    """The cross-encoder in `folder`, and where it runs, and why; otherwise as `open_embedder`."""
    from models.embedding.reranker import TorchReranker

    place = _place(devices, device, why)
    if place.card is not None:
        precision, why = choose_precision(place.card.gpu.compute_capability, stored_precision(folder))
        try:
            reranker = TorchReranker(folder, place.card.torch_name, precision=precision, lock=lock)
            return reranker, f"{folder.name} in {precision} on the GPU, {why}: {place.why}"
        except ModelError as exc:
            place = _fallen_back(exc, device)
    return TorchReranker(folder, "cpu", precision="fp32"), f"{folder.name} in fp32 on the CPU: {place.why}"


def for_ingest(embedder: Embedder) -> Embedder:
    """The same embedder for work that questions go before."""
    from models.embedding.torch_embedder import TorchEmbedder

    return embedder.for_ingest() if isinstance(embedder, TorchEmbedder) else embedder


def _embedder_on(card: Card, why: str, entry: Entry, folder: Path, lock: DeviceLock | None) -> tuple[Embedder, str]:
    from models.embedding.torch_embedder import TorchEmbedder

    precision, because = choose_precision(card.gpu.compute_capability, stored_precision(folder))
    embedder = TorchEmbedder(folder, card.torch_name, precision=precision, lock=lock)
    return embedder, f"{entry.name} in {precision} on the GPU, {because}: {why}"


def _embedder_on_cpu(place: _Place, entry: Entry, folder: Path, devices: Devices, exact: bool) -> tuple[Embedder, str]:
    if not is_convertible(folder):
        from models.embedding.torch_embedder import TorchEmbedder

        return TorchEmbedder(folder, "cpu", precision="fp32"), f"{entry.name} in fp32 on the CPU: {place.why}"
    from models.embedding.onnx_embedder import OnnxEmbedder

    threads, side_by_side = choose_embedder_threads(devices)
    if place.for_now:
        # What the GPU embedded stays searchable, and the GPU goes on with what is embedded now: int8 would be another.
        reason = f"{entry.name} in fp32 on the CPU for now, as exact as on the GPU, {side_by_side}: {place.why}"
        return OnnxEmbedder(folder, precision="fp32", threads=threads), reason
    if exact:
        reason = f"{entry.name} in fp32 on the CPU, as what is there was embedded, {side_by_side}: {place.why}"
        return OnnxEmbedder(folder, precision="fp32", threads=threads), reason
    reason = f"{entry.name} in int8 on the CPU, {side_by_side}: {place.why}"
    return OnnxEmbedder(folder, precision="int8", threads=threads), reason


def _place(devices: Devices, device: DeviceWish, wish: str) -> _Place:
    if device == "cpu":
        return _Place(None, wish)
    card = roomiest(cuda_cards(devices))
    problem = torch_problem() if card else None
    if device == "cuda":
        if card is None or problem:
            raise ModelError(
                f"LECTERN_DEVICE=cuda, but {problem or 'no NVIDIA GPU was found'}: mend that, or set it to auto or cpu."
            )
        return _Place(card, wish)
    chosen, why = choose_embedder_device(devices)
    if card is None:
        return _Place(None, why)
    if problem:
        return _Place(None, f"{why}, but {problem}")
    if chosen == "cuda":
        return _Place(card, why)
    empty = replace(card.gpu, free_bytes=card.gpu.memory_bytes)
    return _Place(None, why, for_now=choose_embedder_device(replace(devices, gpus=(empty,)))[0] == "cuda")


def torch_problem() -> str | None:
    """Why torch cannot use a GPU."""
    # Asked of the installed package first: importing a torch that cannot help would cost seconds at each start.
    try:
        version = metadata.version("torch")
    except metadata.PackageNotFoundError:
        return "torch is not installed (requirements-gpu.txt)"
    if version.endswith("+cpu"):
        return f"torch {version} is a build for the CPU (requirements-gpu.txt has the other)"
    import torch

    if not torch.cuda.is_available():
        return f"torch {version} cannot use it (is the driver too old for it?)"
    return None


def _fallen_back(error: ModelError, device: DeviceWish) -> _Place:
    if device == "cuda":
        raise error
    _log.warning("the GPU cannot load it, so the CPU does: %s", error)
    return _Place(None, f"the GPU could not load it ({error})", for_now=True)
