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
    """The GPUs of `devices` with their numbers.

    Makes CUDA count by slot, as the driver's tool does, unless the environment says otherwise; so it is to be called
    before anything in this process uses CUDA.
    """
    environment.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
    return tuple(Card(gpu.index if gpu.cuda_number is None else gpu.cuda_number, gpu) for gpu in devices.gpus)


def roomiest(cards: tuple[Card, ...]) -> Card | None:
    """The one with the most free memory."""
    return max(cards, key=lambda card: card.gpu.free_bytes, default=None)
