"""GPUs have the numbers by which CUDA knows them."""

from __future__ import annotations

import pytest

from models.cuda_cards import cuda_cards, roomiest
from models.devices import Devices, Gpu


def gpu(index: int, free_gib: int) -> Gpu:
    return Gpu(index, f"card {index}", 24 << 30, free_gib << 30, "580.1", (8, 9))


MACHINE = Devices(8, 1 << 35, (gpu(0, 4), gpu(1, 20), gpu(2, 10)))


@pytest.mark.parametrize(
    ("visible", "expected"),
    [
        (None, [(0, 0), (1, 1), (2, 2)]),
        ("2,0", [(0, 2), (1, 0)]),
        (" 1 ", [(0, 1)]),
        ("", []),
        ("-1", []),
        ("1,-1,2", [(0, 1)]),
        ("7,1", [(1, 1)]),
    ],
)
def test_cuda_counts_what_it_may_see(visible: str | None, expected: list[tuple[int, int]]) -> None:
    environment = {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}
    assert [(card.number, card.gpu.index) for card in cuda_cards(MACHINE, environment)] == expected
    assert environment["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"


def test_a_card_that_was_not_named_is_not_used() -> None:
    some = Devices(8, 1 << 35, MACHINE.gpus[1:])
    assert [(card.number, card.gpu.index) for card in cuda_cards(some, {})] == [(1, 1), (2, 2)]


def test_the_roomiest_card_is_taken() -> None:
    card = roomiest(cuda_cards(MACHINE, {"CUDA_VISIBLE_DEVICES": "2,1"}))
    assert card is not None
    assert (card.gpu.index, card.torch_name) == (1, "cuda:1")
    assert roomiest(()) is None
