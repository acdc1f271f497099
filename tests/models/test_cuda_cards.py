"""GPUs have the numbers by which CUDA knows them."""

from __future__ import annotations

from dataclasses import replace

from models.cuda_cards import cuda_cards, roomiest
from models.devices import Devices, Gpu, visible_gpus


def gpu(index: int, free_gib: int) -> Gpu:
    return Gpu(index, f"card {index}", 24 << 30, free_gib << 30, "580.1", (8, 9))


MACHINE = Devices(8, 1 << 35, (gpu(0, 4), gpu(1, 20), gpu(2, 10)))


def test_cuda_counts_by_slot_as_the_driver_does() -> None:
    environment: dict[str, str] = {}
    assert [(card.number, card.gpu.index) for card in cuda_cards(MACHINE, environment)] == [(0, 0), (1, 1), (2, 2)]
    assert environment["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"


def test_cuda_counts_only_what_it_may_see() -> None:
    seen = replace(MACHINE, gpus=visible_gpus(MACHINE.gpus, "2,0"))
    assert [(card.number, card.gpu.index) for card in cuda_cards(seen, {})] == [(0, 2), (1, 0)]


def test_a_card_that_was_not_named_does_not_change_the_numbers_of_others() -> None:
    some = replace(MACHINE, gpus=MACHINE.gpus[1:])
    assert [(card.number, card.gpu.index) for card in cuda_cards(some, {})] == [(1, 1), (2, 2)]
    seen = replace(MACHINE, gpus=visible_gpus(MACHINE.gpus, "2,0")[1:])
    assert [(card.number, card.gpu.index) for card in cuda_cards(seen, {})] == [(1, 0)]


def test_the_roomiest_card_is_taken() -> None:
    card = roomiest(cuda_cards(replace(MACHINE, gpus=visible_gpus(MACHINE.gpus, "2,1")), {}))
    assert card is not None
    assert (card.gpu.index, card.torch_name) == (1, "cuda:1")
    assert roomiest(()) is None
