"""Known graphics cards by name, to plan for a machine that is not this one."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from models.devices import Devices, Gpu
from models.errors import UnknownCard

DRIVER_SHARE = 0.015
"""What the driver itself holds of an idle card without a screen: about 1.5 % (some 400 MiB of an RTX 4090's 24 GiB).
On a real machine `nvidia-smi` tells, and the difference of total and free covers it."""

BOX_SIZES_GB = (2, 4, 6, 8, 10, 11, 12, 16, 20, 24, 32, 40, 48, 80, 94, 96, 141, 180, 288)
MOST_CARDS = 64
NO_CARD = ("none", "cpu", "no")


@dataclass(frozen=True)
class Card:
    """`memory_mib` as the driver reports it. `known_as` is text that means this card and no longer name."""

    name: str
    memory_mib: int
    compute_capability: tuple[int, int]
    known_as: tuple[str, ...] = ()

    @property
    def searched(self) -> str:
        return " ".join((self.name.lower(), f"{box_gb(self.memory_mib << 20)}gb", *self.known_as))


_AMPERE, _AMPERE_CONSUMER, _ADA, _HOPPER, _BLACKWELL, _BLACKWELL_CONSUMER = (
    (8, 0),
    (8, 6),
    (8, 9),
    (9, 0),
    (10, 0),
    (12, 0),
)

CARDS = (
    Card("Tesla V100-SXM2-16GB", 16384, (7, 0), ("v100",)),
    Card("Tesla V100-SXM2-32GB", 32768, (7, 0)),
    Card("Tesla T4", 15360, (7, 5), ("t4",)),
    Card("NVIDIA GeForce RTX 2080 Ti", 11264, (7, 5)),
    Card("NVIDIA GeForce RTX 3060", 12288, _AMPERE_CONSUMER, ("3060",)),
    Card("NVIDIA GeForce RTX 3060 Laptop GPU", 6144, _AMPERE_CONSUMER),
    Card("NVIDIA GeForce RTX 3070", 8192, _AMPERE_CONSUMER),
    Card("NVIDIA GeForce RTX 3080", 10240, _AMPERE_CONSUMER, ("3080",)),
    Card("NVIDIA GeForce RTX 3090", 24576, _AMPERE_CONSUMER),
    Card("NVIDIA GeForce RTX 4060", 8188, _ADA, ("4060",)),
    Card("NVIDIA GeForce RTX 4060 Laptop GPU", 8188, _ADA),
    Card("NVIDIA GeForce RTX 4060 Ti", 8188, _ADA),
    Card("NVIDIA GeForce RTX 4060 Ti 16GB", 16380, _ADA),
    Card("NVIDIA GeForce RTX 4070", 12282, _ADA, ("4070",)),
    Card("NVIDIA GeForce RTX 4070 Laptop GPU", 8188, _ADA),
    Card("NVIDIA GeForce RTX 4070 Ti SUPER", 16376, _ADA),
    Card("NVIDIA GeForce RTX 4080", 16376, _ADA, ("4080",)),
    Card("NVIDIA GeForce RTX 4080 Laptop GPU", 12282, _ADA),
    Card("NVIDIA GeForce RTX 4090", 24564, _ADA, ("4090",)),
    Card("NVIDIA GeForce RTX 4090 Laptop GPU", 16376, _ADA),
    Card("NVIDIA GeForce RTX 5060 Ti 16GB", 16311, _BLACKWELL_CONSUMER, ("5060",)),
    Card("NVIDIA GeForce RTX 5070", 12227, _BLACKWELL_CONSUMER, ("5070",)),
    Card("NVIDIA GeForce RTX 5070 Ti", 16303, _BLACKWELL_CONSUMER),
    Card("NVIDIA GeForce RTX 5080", 16303, _BLACKWELL_CONSUMER, ("5080",)),
    Card("NVIDIA GeForce RTX 5090", 32607, _BLACKWELL_CONSUMER, ("5090",)),
    Card("NVIDIA GeForce RTX 5090 Laptop GPU", 24463, _BLACKWELL_CONSUMER),
    Card("NVIDIA RTX A4000", 16376, _AMPERE_CONSUMER),
    Card("NVIDIA RTX A5000", 24564, _AMPERE_CONSUMER),
    Card("NVIDIA RTX A6000", 49140, _AMPERE_CONSUMER),
    Card("NVIDIA RTX 6000 Ada Generation", 49140, _ADA),
    Card("NVIDIA RTX PRO 6000 Blackwell Workstation Edition", 97887, _BLACKWELL_CONSUMER),
    Card("NVIDIA A10", 23028, _AMPERE_CONSUMER, ("a10",)),
    Card("NVIDIA A10G", 23028, _AMPERE_CONSUMER),
    Card("NVIDIA A30", 24576, _AMPERE),
    Card("NVIDIA A40", 46068, _AMPERE_CONSUMER, ("a40",)),
    Card("NVIDIA A100-SXM4-40GB", 40960, _AMPERE, ("a100",)),
    Card("NVIDIA A100-SXM4-80GB", 81920, _AMPERE),
    Card("NVIDIA L4", 23034, _ADA, ("l4",)),
    Card("NVIDIA L40", 46068, _ADA, ("l40",)),
    Card("NVIDIA L40S", 46068, _ADA, ("l40s",)),
    Card("NVIDIA H100 80GB HBM3", 81559, _HOPPER, ("h100",)),
    Card("NVIDIA H100 NVL", 95830, _HOPPER),
    Card("NVIDIA GH200 480GB", 97871, _HOPPER),
    Card("NVIDIA H200", 143771, _HOPPER, ("h200",)),
    Card("NVIDIA B200", 183359, _BLACKWELL, ("b200",)),
)  # fmt: skip


def box_gb(memory_bytes: int) -> int:
    """The size that a card's box names: the next one of those that are sold, for the driver reports a little less (an
    A10 or L4 of 24 GB has 22.5 GiB, since error correction takes its share)."""
    gib = memory_bytes / 2**30
    return next((size for size in BOX_SIZES_GB if 0.9 * size < gib <= 1.001 * size), round(gib))


def match(text: str, *, cores: int, memory_bytes: int) -> tuple[Devices, str]:
    """A machine with the cards that `text` names by any part of their names ("4090", "a100 80gb", "2x4090",
    "8×H100", "4090 + 3060", "none"), and what the text was taken for. Raises `UnknownCard` naming the known ones."""
    machine = Devices(cores, memory_bytes)
    if text.strip().lower() in NO_CARD:
        return machine, "a machine without an NVIDIA GPU"
    gpus: list[Gpu] = []
    reasons = []
    for part in text.split("+"):
        count, wanted = _counted(part)
        card, reason = find_card(wanted)
        gpus += [_gpu(card, index) for index in range(len(gpus), len(gpus) + count)]
        reasons.append(f"{count} × {reason}" if count > 1 else reason)
    return replace(machine, gpus=tuple(gpus)), " + ".join(reasons)


def find_card(text: str) -> tuple[Card, str]:
    """The card that `text` names, and its name with what else the text could mean. Of several it is the one that is
    known by just this text, else the one with the shortest name, then the least memory."""
    plain = re.sub(r"(\d)\s+gb\b", r"\1gb", text.strip().lower())
    found = [card for card in CARDS if all(word in card.searched for word in plain.split())]
    if not plain or not found:
        raise UnknownCard(f"no card is named {text.strip()!r}; known are: {', '.join(card.name for card in CARDS)}")
    found.sort(key=lambda card: (plain not in card.known_as, len(card.name), card.memory_mib))
    best, *others = found
    also = f" (also named so: {', '.join(card.name for card in others[:4])}{', …' if others[4:] else ''})"
    return best, best.name + (also if others else "")


def _counted(part: str) -> tuple[int, str]:
    counted = re.fullmatch(r"\s*(\d+)\s*[x×*]\s*(.+)", part, re.IGNORECASE)
    if not counted:
        return 1, part
    if not 1 <= int(counted[1]) <= MOST_CARDS:
        raise UnknownCard(f"{part.strip()!r} names {counted[1]} cards; 1 to {MOST_CARDS} can be planned for")
    return int(counted[1]), counted[2]


def _gpu(card: Card, index: int) -> Gpu:
    memory = card.memory_mib << 20
    return Gpu(index, card.name, memory, int(memory * (1 - DRIVER_SHARE)), "", card.compute_capability)
