"""Which GPU has which number for CUDA, since the driver's own tool may count otherwise."""

from __future__ import annotations

import os
from collections.abc import MutableMapping
from dataclasses import dataclass

from models.devices import Devices, Gpu


@dataclass(frozen=True)
class Card:
    """A GPU that CUDA may use; `number` is what torch and FAISS call it."""

    number: int
    gpu: Gpu

    @property
    def torch_name(self) -> str:
        return f"cuda:{self.number}"


def cuda_cards(devices: Devices, environment: MutableMapping[str, str] = os.environ) -> tuple[Card, ...]:
    """The GPUs among `devices` that CUDA_VISIBLE_DEVICES leaves, with their numbers.

    Makes CUDA count by slot, as the driver's tool does, unless the environment says otherwise; so it is to be called
    before anything in this process uses CUDA.
    """
    environment.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
    by_index = {gpu.index: gpu for gpu in devices.gpus}
    visible = environment.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return tuple(Card(index, gpu) for index, gpu in by_index.items())
    indices: list[int] = []
    for part in visible.split(","):
        if not part.strip().isdigit():
            break  # CUDA, too, reads up to the first that it does not know
        indices.append(int(part))
    return tuple(Card(number, by_index[index]) for number, index in enumerate(indices) if index in by_index)


def roomiest(cards: tuple[Card, ...]) -> Card | None:
    """The one with the most free memory."""
    return max(cards, key=lambda card: card.gpu.free_bytes, default=None)
