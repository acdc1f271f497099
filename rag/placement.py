"""What runs beside the language model and where: embedder, reranker and index, on one card or on the CPU."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Literal

from indexes.index_device import IndexDevice, choose_index_device
from models.cuda_cards import Card, cuda_cards, roomiest
from models.device_lock import DeviceLock
from models.devices import EMBEDDER_BYTES, Devices, Gpu, choose_embedder_device
from models.embedding.opening import torch_problem
from models.embedding.weights import is_float
from models.planning.profile import Profile
from rag.settings import Settings


@dataclass(frozen=True)
class Placement:
    """`devices` are those that embedder and reranker may use, `device` is the wish and `why` its reason; `exact` is how
    the collections that are there were embedded (`models.embedding.opening`). With `lends`, the ingest process has its
    texts embedded by this one, which alone uses the card. `lock` is the card's."""

    devices: Devices
    device: Literal["auto", "cpu", "cuda"]
    why: str
    exact: bool | None
    lends: bool
    lock: DeviceLock | None
    index: IndexDevice
    index_reason: str

    @property
    def prediction(self) -> str:
        """Where the embedder will be tried; what becomes of it is known once it is loaded."""
        if self.device != "auto":
            return f"on the {'GPU' if self.device == 'cuda' else 'CPU'}, {self.why}"
        device, why = choose_embedder_device(self.devices)
        return f"on the {'GPU' if device == 'cuda' else 'CPU'}, {why}"


def place(
    settings: Settings, devices: Devices, profile: Profile | None, embedder: str, embedded_by: Collection[str]
) -> Placement:
    """Beside the language model of `profile` on its first GPU, when they were planned together; on the CPU when they
    were not; without a language model on a GPU, on the card with the most free memory.

    `embedded_by` are the identities of the embedders of the collections that are there: those of `embedder` are kept.
    """
    exact = _exact(embedder, embedded_by)
    device, why = _wish(settings, devices, profile, exact)
    indices = _indices(settings, devices, profile)
    usable = replace(devices, gpus=tuple(gpu for gpu in devices.gpus if gpu.index in indices))
    card = roomiest(cuda_cards(usable)) if device != "cpu" else None
    lock = DeviceLock() if card else None
    gpu = card.gpu if card and torch_problem() is None else None
    lends = gpu is not None and (device == "cuda" or _takes_embedder(devices, gpu))
    if gpu and not lends and _takes_embedder(devices, replace(gpu, free_bytes=gpu.memory_bytes)):
        exact = True  # it is only full for now: meanwhile the CPU embeds as the GPU will
    index, index_reason = choose_index_device(
        device,
        why=why,
        card=card.number if card else None,
        budget_bytes=_index_bytes(card, profile) if card else 0,
        lock=lock.query if lock else DeviceLock().query,
    )
    return Placement(
        devices=usable,
        device=device,
        why=why,
        exact=exact,
        lends=lends,
        lock=lock,
        index=index,
        index_reason=f"{index_reason}; words by SQLite's BM25",
    )


def _takes_embedder(devices: Devices, gpu: Gpu) -> bool:
    return choose_embedder_device(replace(devices, gpus=(gpu,)))[0] == "cuda"


def _exact(embedder: str, embedded_by: Collection[str]) -> bool | None:
    own = [identity for identity in embedded_by if identity.startswith(f"{embedder}@")]
    return any(map(is_float, own)) if own else None


def _wish(
    settings: Settings, devices: Devices, profile: Profile | None, exact: bool | None
) -> tuple[Literal["auto", "cpu", "cuda"], str]:
    if settings.device != "auto":
        return settings.device, "as the settings say"
    if profile is not None and profile.gpus and not profile.shares_gpu:
        return "cpu", "since the GPU has no room beside the language model"
    if exact is False and devices.gpus:
        return "cpu", (
            "as the collections that are there were embedded in int8; to embed them anew on a GPU, remove them and set "
            "LECTERN_DEVICE=cuda"
        )
    return "auto", ""


def _indices(settings: Settings, devices: Devices, profile: Profile | None) -> Collection[int]:
    if profile is not None and profile.gpus:
        return profile.gpus[:1]
    return settings.gpus or tuple(gpu.index for gpu in devices.gpus)


def _index_bytes(card: Card, profile: Profile | None) -> int:
    """What was planned for the index; where nothing was, half of what the embedder leaves free."""
    if profile is not None and profile.gpus:
        return profile.memory[0].bytes_of("vector index")
    return max(0, card.gpu.free_bytes - EMBEDDER_BYTES) // 2
