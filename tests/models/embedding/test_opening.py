"""Which embedder is opened on which machine; each choice says why, and a GPU that fails is no failure."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.catalog import load_catalog
from models.devices import Devices, Gpu
from models.embedding import opening
from models.embedding.onnx_embedder import OnnxEmbedder
from models.embedding.opening import DeviceWish, for_ingest, open_embedder, open_reranker
from models.embedding.torch_embedder import TorchEmbedder
from models.errors import ModelError
from models.interfaces import Embedder

ENTRY = load_catalog().entry("all-minilm-l6-v2")


def machine(free_gib: int = 20, capability: tuple[int, int] = (8, 9), memory_gib: int = 24) -> Devices:
    return Devices(2, 1 << 33, (Gpu(0, "RTX 4090", memory_gib << 30, free_gib << 30, "580.1", capability),))


@pytest.fixture
def usable_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """A torch that says it can use a GPU; loading on one fails all the same, as no memory would."""
    monkeypatch.setattr(opening, "torch_problem", lambda: None)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def opened(folder: Path, devices: Devices, device: DeviceWish = "auto") -> tuple[Embedder, str]:
    return open_embedder(ENTRY, folder, devices, device=device)


def precision(embedder: Embedder) -> str:
    assert isinstance(embedder, OnnxEmbedder)
    return "int8" if "int8" in embedder.identity else "float"


def test_a_torch_without_cuda_leaves_it_to_the_cpu_in_int8(minilm: Path) -> None:
    import torch

    if not torch.__version__.endswith("+cpu"):
        pytest.skip("torch is a build for CUDA here")
    embedder, reason = opened(minilm, machine())
    assert precision(embedder) == "int8"
    assert "RTX 4090, but torch" in reason
    assert "is a build for the CPU (requirements-gpu.txt has the other)" in reason


@pytest.mark.usefixtures("usable_torch")
@pytest.mark.parametrize(
    ("devices", "expected", "why"),
    [
        (Devices(2, 1 << 33), "int8", "no NVIDIA GPU was found"),
        (machine(capability=(6, 1)), "int8", "older than compute capability 7.0"),
        (machine(free_gib=1, memory_gib=1), "int8", "less than the 2 GiB"),
        (machine(free_gib=1), "float", "less than the 2 GiB"),
        (machine(), "float", "the GPU could not load it"),
    ],
)
def test_what_a_gpu_cannot_do_for_now_the_cpu_does_as_exactly(
    minilm: Path, devices: Devices, expected: str, why: str
) -> None:
    """So that the vectors are those of the GPU; where it never can, the CPU takes its own quick way."""
    embedder, reason = opened(minilm, devices)
    assert precision(embedder) == expected
    assert why in reason
    assert ("for now" in reason) == (expected == "float")


@pytest.mark.usefixtures("usable_torch")
def test_a_gpu_that_was_asked_for_and_cannot_is_an_error(minilm: Path) -> None:
    with pytest.raises(ModelError, match="cannot be loaded on cuda:0"):
        opened(minilm, machine(), "cuda")
    with pytest.raises(ModelError, match="LECTERN_DEVICE=cuda, but no NVIDIA GPU was found"):
        opened(minilm, Devices(2, 1 << 33), "cuda")


@pytest.mark.usefixtures("usable_torch")
def test_the_card_with_the_most_memory_is_named_as_cuda_names_it(minilm: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str]] = []

    class Loaded(TorchEmbedder):
        def __init__(self, _folder: Path, device: str, *, precision: str, **_lock: object) -> None:
            asked.append((device, precision))

    monkeypatch.setattr("models.embedding.torch_embedder.TorchEmbedder", Loaded)
    first, second = machine().gpus[0], Gpu(1, "RTX 4090", 24 << 30, 22 << 30, "580.1", (8, 9))
    embedder, reason = opened(minilm, Devices(2, 1 << 33, (first, second)))
    assert isinstance(embedder, Loaded)
    assert asked == [("cuda:1", "fp16")]
    assert (
        reason == "all-minilm-l6-v2 in fp16 on the GPU, half the memory at the same answers: 22.0 GiB free on RTX 4090"
    )


def test_a_model_that_is_no_bert_runs_on_torch_on_the_cpu_too(make_embedder_folder) -> None:
    folder: Path = make_embedder_folder(pooling="cls")
    embedder, reason = open_embedder(ENTRY, folder, Devices(2, 1 << 33))
    assert isinstance(embedder, TorchEmbedder)
    assert "in fp32 on the CPU" in reason
    assert isinstance(for_ingest(embedder), TorchEmbedder)
    assert for_ingest(embedder) is not embedder


def test_the_embedder_of_the_cpu_is_its_own_for_ingest(minilm: Path) -> None:
    embedder, _ = opened(minilm, Devices(2, 1 << 33))
    assert for_ingest(embedder) is embedder


@pytest.mark.usefixtures("usable_torch")
def test_a_reranker_falls_back_as_well(make_reranker_folder) -> None:
    _, reason = open_reranker(make_reranker_folder(), machine())
    assert "in fp32 on the CPU: the GPU could not load it" in reason


@pytest.mark.parametrize(("exact", "expected"), [(None, "int8"), (False, "int8"), (True, "float")])
def test_the_cpu_goes_on_as_what_is_there_was_embedded(minilm: Path, exact: bool | None, expected: str) -> None:
    embedder, reason = open_embedder(ENTRY, minilm, Devices(2, 1 << 33), exact=exact)
    assert precision(embedder) == expected
    assert ("as what is there was embedded" in reason) == (expected == "float")
