from __future__ import annotations

import pytest

from models.errors import UnknownCard
from models.planning.cards import CARDS, box_gb, find_card, match


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("4090", "NVIDIA GeForce RTX 4090"),
        ("RTX 3060 12 GB", "NVIDIA GeForce RTX 3060"),
        ("4060 8gb", "NVIDIA GeForce RTX 4060"),
        ("4070", "NVIDIA GeForce RTX 4070"),
        ("4070 LAPTOP", "NVIDIA GeForce RTX 4070 Laptop GPU"),
        ("geforce rtx 4080", "NVIDIA GeForce RTX 4080"),
        ("a10", "NVIDIA A10"),
        ("A10G", "NVIDIA A10G"),
        ("a100", "NVIDIA A100-SXM4-40GB"),
        ("a100 80", "NVIDIA A100-SXM4-80GB"),
        ("L4", "NVIDIA L4"),
        ("l40s", "NVIDIA L40S"),
        ("h100", "NVIDIA H100 80GB HBM3"),
        ("h200", "NVIDIA H200"),
        ("B200", "NVIDIA B200"),
        ("t4", "Tesla T4"),
        ("A10 24GB", "NVIDIA A10"),
        ("6000 ada", "NVIDIA RTX 6000 Ada Generation"),
    ],
)
def test_a_card_is_found_by_any_part_of_its_name_in_either_case(text: str, name: str) -> None:
    assert find_card(text)[0].name == name


def test_every_card_is_found_by_its_whole_name() -> None:
    assert [find_card(card.name)[0] for card in CARDS] == list(CARDS)


def test_what_else_a_text_could_mean_is_told() -> None:
    assert find_card("a100")[1] == "NVIDIA A100-SXM4-40GB (also named so: NVIDIA A100-SXM4-80GB)"
    assert find_card("a100 80gb")[1] == "NVIDIA A100-SXM4-80GB"


@pytest.mark.parametrize("text", ["2x4090", "2 × 4090", "2*4090", "2X4090", "4090+4090"])
def test_several_cards_are_counted_and_numbered(text: str) -> None:
    devices, _ = match(text, cores=4, memory_bytes=1 << 34)
    assert [(gpu.index, gpu.name[-4:]) for gpu in devices.gpus] == [(0, "4090"), (1, "4090")]
    assert (devices.cores, devices.memory_bytes) == (4, 1 << 34)


def test_unlike_cards_stand_in_one_machine() -> None:
    devices, taken_for = match("8×H100 + t4", cores=4, memory_bytes=0)
    assert [gpu.compute_capability for gpu in devices.gpus] == [(9, 0)] * 8 + [(7, 5)]
    assert taken_for.startswith("8 × NVIDIA H100 80GB HBM3")


@pytest.mark.parametrize("text", ["none", "CPU", " none "])
def test_no_card_is_a_machine_too(text: str) -> None:
    assert match(text, cores=4, memory_bytes=0)[0].gpus == ()


@pytest.mark.parametrize("text", ["voodoo", "", "0x4090", "100x4090", "4090 3060", "2x"])
def test_an_unknown_card_is_refused(text: str) -> None:
    with pytest.raises(UnknownCard, match=r"known are: Tesla V100|can be planned for"):
        match(text, cores=4, memory_bytes=0)


def test_the_size_on_the_box_is_told_where_the_driver_reports_less() -> None:
    sizes = {card.name: box_gb(card.memory_mib << 20) for card in CARDS}
    assert (sizes["NVIDIA A10"], sizes["NVIDIA L40S"], sizes["NVIDIA H100 80GB HBM3"]) == (24, 48, 80)
    assert (sizes["NVIDIA GeForce RTX 4090"], sizes["NVIDIA H200"], sizes["Tesla T4"]) == (24, 141, 16)


def test_the_driver_holds_a_little_of_a_named_card() -> None:
    gpu = match("4090", cores=1, memory_bytes=0)[0].gpus[0]
    assert 0.98 * gpu.memory_bytes < gpu.free_bytes < 0.99 * gpu.memory_bytes
