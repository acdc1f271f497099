"""Where embedder, reranker and index run: beside the language model, alone on a card, or on the CPU; and why."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from indexes.index_device import CPU
from models.catalog import load_catalog
from models.devices import Devices
from models.planning.cards import match
from models.planning.choice import choose_profile
from models.planning.profile import Profile
from models.planning.wishes import Wishes
from rag import placement
from rag.placement import place
from rag.settings import Settings

MINI = "all-minilm-l6-v2"
INT8, FLOAT = {f"{MINI}@53aa-int8/onnx/mean/w254"}, {f"{MINI}@53aa-float/mean/w254"}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path, cache=tmp_path)


@pytest.fixture(autouse=True)
def torch_for_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    """As with requirements-gpu.txt; the tests' own torch is a build for the CPU."""
    monkeypatch.setattr(placement, "torch_problem", lambda: None)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def cards(names: str) -> Devices:
    return match(names, cores=8, memory_bytes=32 << 30)[0]


def llama(devices: Devices, **wishes: object) -> Profile:
    models = load_catalog().language_models("llama-3.1-8b-instruct")
    return choose_profile(devices, Wishes(models=models, **wishes))[0]  # type: ignore[arg-type]  # by name


def test_without_a_gpu_all_is_on_the_cpu(settings: Settings) -> None:
    placed = place(settings, cards("none"), None, MINI, set())
    assert (placed.device, placed.lends, placed.lock, placed.index, placed.exact) == ("auto", False, None, CPU, None)
    assert "no NVIDIA GPU was found" in placed.prediction


def test_beside_the_language_model_it_is_the_first_of_its_gpus(settings: Settings) -> None:
    devices = cards("2x4090")
    profile = llama(devices, gpus=(1,))
    placed = place(settings, devices, profile, MINI, set())
    assert [gpu.index for gpu in placed.devices.gpus] == [1]
    assert placed.lends
    assert placed.lock is not None
    assert "on the GPU" in placed.prediction


def test_a_card_that_the_language_model_fills_leaves_the_rest_to_the_cpu(settings: Settings) -> None:
    devices = cards("4060")
    profile = llama(devices)
    assert profile.gpus
    assert not profile.shares_gpu
    placed = place(settings, devices, profile, MINI, set())
    assert (placed.device, placed.lends, placed.index) == ("cpu", False, CPU)
    assert "no room beside the language model" in placed.prediction


def test_collections_of_the_cpu_stay_there_when_a_gpu_comes(settings: Settings) -> None:
    placed = place(settings, cards("4090"), None, MINI, INT8)
    assert (placed.device, placed.exact, placed.lends) == ("cpu", False, False)
    assert "LECTERN_DEVICE=cuda" in placed.why
    wished = place(settings.model_copy(update={"device": "cuda"}), cards("4090"), None, MINI, INT8)
    assert (wished.device, wished.lends) == ("cuda", True)


def test_without_a_gpu_nothing_is_said_of_one(settings: Settings) -> None:
    placed = place(settings, cards("none"), None, MINI, INT8)
    assert (placed.device, placed.exact) == ("auto", False)
    assert "no NVIDIA GPU was found" in placed.prediction
    assert "settings" not in placed.index_reason


def test_collections_of_a_gpu_are_gone_on_with_when_it_has_gone(settings: Settings) -> None:
    assert place(settings, cards("none"), None, MINI, FLOAT).exact is True
    assert place(settings, cards("4090"), None, MINI, FLOAT).lends
    assert place(settings, cards("none"), None, MINI, {"another-model@1-float/mean/w512"}).exact is None


def full(devices: Devices) -> Devices:
    return replace(devices, gpus=tuple(replace(gpu, free_bytes=1 << 30) for gpu in devices.gpus))


def test_a_card_that_cannot_take_the_embedder_lends_nothing(settings: Settings) -> None:
    full_for_now = place(settings, full(cards("4090")), None, MINI, set())
    assert (full_for_now.lends, full_for_now.exact) == (False, True), "the CPU embeds as the GPU will"
    old = replace(cards("4090").gpus[0], compute_capability=(6, 1))
    too_old = place(settings, replace(cards("4090"), gpus=(old,)), None, MINI, set())
    assert (too_old.lends, too_old.exact) == (False, None)


def test_a_torch_for_the_cpu_lends_nothing(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placement, "torch_problem", lambda: "torch is a build for the CPU")
    assert not place(settings, cards("4090"), None, MINI, set()).lends


def test_the_index_says_why_it_is_where_it_is(settings: Settings) -> None:
    assert "no GPU is planned" in place(settings, cards("none"), None, MINI, set()).index_reason
    reason = place(settings, cards("4090"), None, MINI, set()).index_reason
    assert "build for the CPU" in reason or "sees 0 GPUs" in reason or "on GPU" in reason
