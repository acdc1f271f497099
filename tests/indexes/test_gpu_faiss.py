"""FAISS's copies and the card that holds them: over stand-ins for its GPU classes, and on CUDA where there is one."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from unittest.mock import Mock

import numpy as np
import pytest

import indexes.faiss_gpu
import indexes.index_device
from indexes.device_copy import CopyKind
from indexes.errors import DeviceFailed, FaissUnusable
from indexes.faiss_gpu import WORKSPACE_BYTES, GpuDevice, probe_count, sample
from indexes.faiss_index import FaissIndex
from indexes.faiss_library import load_faiss
from indexes.gpu_index import GpuIndex
from indexes.index_device import CPU, choose_index_device
from indexes.library import Library
from models.planning.memory import INDEX_SCRATCH_BYTES
from tests.standins.gpu_faiss import IndexOnCpu, gpu_faiss

GIB, DIMENSION, COUNT = 1 << 30, 96, 6_000
LOCK = threading.Lock()
MakeDevice = Callable[..., GpuDevice]


@pytest.fixture(params=["stand-in", pytest.param("cuda", marks=pytest.mark.gpu)])
def make_device(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[MakeDevice]:
    """A card as FAISS sees it, with so many bytes for the index."""
    faiss = load_faiss()
    if request.param == "stand-in":
        monkeypatch.setattr(indexes.faiss_gpu, "load_faiss", lambda: gpu_faiss(cuvs=True))
    else:
        if not hasattr(faiss, "StandardGpuResources") or faiss.get_num_gpus() == 0:
            pytest.skip("FAISS has no GPU here: its CPU wheel is installed, or there is no CUDA device")
    usual = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)  # threads that wait for each other take minutes on a busy machine
    yield lambda budget_bytes=GIB: GpuDevice(0, budget_bytes, lambda: LOCK)
    faiss.omp_set_num_threads(usual)


@pytest.fixture(scope="module")
def vectors() -> np.ndarray:
    """Unit vectors in clusters, as texts have them: themes, and variations of each."""
    random = np.random.default_rng(5)
    themes = random.standard_normal((150, DIMENSION))
    made = themes[random.integers(0, 150, COUNT)] + 0.6 * random.standard_normal((COUNT, DIMENSION))
    unit: np.ndarray = (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float16).astype(np.float32)
    return unit


def master_of(vectors: np.ndarray) -> FaissIndex:
    master = FaissIndex(vectors.shape[1])
    master.add(np.arange(len(vectors)), vectors)
    return master


@pytest.mark.parametrize(("kind", "least_recall"), [("flat", 1.0), ("ivf-pq", 0.95), ("cagra", 0.95)])
def test_a_copy_brings_the_nearest_and_never_the_removed(
    make_device: MakeDevice, vectors: np.ndarray, kind: CopyKind, least_recall: float
) -> None:
    device = make_device()
    if kind == "cagra" and not hasattr(device._faiss, "GpuIndexCagra"):
        pytest.skip("the wheel faiss-gpu has no CAGRA; faiss-gpu-cuvs has")
    copy = device.make_copy(kind, DIMENSION)
    index, exact = GpuIndex(master_of(vectors), lambda *_: (copy, "asked for"), lambda: LOCK), master_of(vectors)
    for each in (index, exact):
        each.remove(np.arange(0, 900))
    found = agreed = 0
    for query in vectors[:900:30]:  # itself removed, as are some of its neighbours
        ids, cosines = index.search(query, 10)
        expected, _ = exact.search(query, 10)
        assert ids.min() >= 900
        assert len(set(ids.tolist())) == 10
        assert cosines == pytest.approx(exact.similarities(query, ids), abs=1e-6)
        found += 10
        agreed += len(np.intersect1d(ids, expected))
    assert agreed / found >= least_recall
    assert copy.kind in index.place


def test_what_comes_later_is_found(make_device: MakeDevice, vectors: np.ndarray) -> None:
    index = make_device().place(master_of(vectors[:5000]))
    index.prepare()
    index.add(np.arange(90_000, 90_100), vectors[5000:5100])
    assert index.search(vectors[5050], 1)[0].tolist() == [90_050]
    assert index.device_bytes == 5100 * DIMENSION * 2


def test_collections_share_the_memory_of_a_card(make_device: MakeDevice, vectors: np.ndarray) -> None:
    room = 6000 * DIMENSION * 2
    device = make_device(WORKSPACE_BYTES + room)
    first, second = device.place(master_of(vectors[:5000])), device.place(master_of(vectors[:2000]))
    first.prepare()
    second.prepare()
    assert "on the GPU, every vector in fp16" in first.place
    assert second.place.startswith("by FAISS on the CPU, exactly: 0 MiB for every vector in fp16 are not free")
    first.close()
    assert second.search(vectors[7], 1)[0].tolist() == [7]
    assert "on the GPU" in second.place, "the first one's memory is free again"


def test_collections_that_grow_stay_within_the_memory_of_a_card_together(
    make_device: MakeDevice, vectors: np.ndarray
) -> None:
    room = 6000 * DIMENSION * 2
    device = make_device(WORKSPACE_BYTES + room)
    first, second = device.place(master_of(vectors[:2000])), device.place(master_of(vectors[:3000]))
    first.prepare()
    second.prepare()
    first.add(np.arange(90_000, 90_900), vectors[5000:5900])
    assert first.search(vectors[5050], 1)[0].tolist() == [90_050]
    assert first.device_bytes == 2000 * DIMENSION * 2, "to grow it would have to be there twice: 2000 and 2900"
    assert first.device_bytes + second.device_bytes <= room
    second.close()
    assert first.search(vectors[5050], 1)[0].tolist() == [90_050]
    assert first.device_bytes == 2900 * DIMENSION * 2, "the second one's memory is free for it"


def test_a_full_card_leaves_the_search_to_the_cpu(monkeypatch: pytest.MonkeyPatch, vectors: np.ndarray) -> None:
    monkeypatch.setattr(indexes.faiss_gpu, "load_faiss", gpu_faiss)
    monkeypatch.setattr(IndexOnCpu, "memory", 5000)
    index = GpuDevice(0, GIB, lambda: LOCK).place(master_of(vectors[:4990]))
    index.prepare()
    index.add(np.arange(90_000, 90_100), vectors[5000:5100])
    assert index.search(vectors[5050], 1)[0].tolist() == [90_050]
    assert index.place == (
        "by FAISS on the CPU, exactly: the GPU failed, 100 vectors could not be added there "
        "(StandardGpuResources: alloc fail (cudaMalloc error out of memory [2]))"
    )


@pytest.mark.parametrize(
    "error", [TypeError, AttributeError, ValueError, NotImplementedError, MemoryError], ids=lambda error: error.__name__
)
def test_a_faiss_with_other_classes_leaves_the_search_to_the_cpu(
    monkeypatch: pytest.MonkeyPatch, vectors: np.ndarray, error: type[Exception]
) -> None:
    faiss = gpu_faiss()
    faiss.GpuIndexFlatIP = Mock(side_effect=error("Wrong number or type of arguments.\n  Possible prototypes are: …"))
    monkeypatch.setattr(indexes.faiss_gpu, "load_faiss", lambda: faiss)
    index = GpuDevice(0, GIB, lambda: LOCK).place(master_of(vectors[:500]))
    for _ in range(2):
        assert index.search(vectors[7], 1)[0].tolist() == [7]
    assert (index.place, index.device_bytes) == (
        "by FAISS on the CPU, exactly: the GPU failed, 500 vectors could not be put there "
        "(Wrong number or type of arguments.)",
        0,
    )


@pytest.mark.parametrize("kind", ["flat", "ivf-pq", "cagra"])
def test_faiss_itself_refusing_is_a_device_that_failed(kind: CopyKind, vectors: np.ndarray) -> None:
    """On the GPU wheels without a GPU this is FAISS's own RuntimeError."""
    faiss = load_faiss()
    if not hasattr(faiss, "StandardGpuResources") or faiss.get_num_gpus() > 0:
        pytest.skip("for a GPU wheel of FAISS on a machine without a GPU")
    if kind == "cagra" and not hasattr(faiss, "GpuIndexCagra"):
        pytest.skip("the wheel faiss-gpu has no CAGRA; faiss-gpu-cuvs has")
    with pytest.raises(DeviceFailed, match="Invalid GPU device 0"):
        GpuDevice(0, GIB, lambda: LOCK).make_copy(kind, DIMENSION).build(vectors[:500])


def test_a_collection_can_be_searched_on_a_gpu(filler, vector, tmp_path: Path, make_device: MakeDevice) -> None:
    filler.publish("a.txt", "one", "two", "three")
    filler.embed()
    library = Library(filler.collection.database, tmp_path / "gpu", make_device())
    collection = library.collection("papers")
    assert collection.dense.place == "not loaded"
    collection.dense.refresh()
    assert "on the GPU" in collection.dense.place
    filler.publish("b.txt", "four")
    filler.embed()
    assert collection.dense.search(vector("four"), 1)[0].tolist() == filler.chunk_ids("b.txt")
    filler.remove("a.txt")
    assert collection.dense.search(vector("one"), 9)[0].tolist() == filler.chunk_ids("b.txt")
    collection.dense.save()
    again = Library(filler.collection.database, tmp_path / "gpu").collection("papers")
    assert again.dense.ids().tolist() == filler.chunk_ids("b.txt")
    assert (again.dense.origin, again.dense.place) == ("read from its cache file", "by FAISS on the CPU, exactly")
    library.remove("papers")
    assert "given up" in collection.dense.place


def test_the_place_of_the_index_is_chosen_with_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def choose(wished: str, *, card: int | None = 0, budget_bytes: int = GIB) -> tuple[object, str]:
        # The wish is a literal, which a parameter of a test is not.
        return choose_index_device(wished, why="as told", card=card, budget_bytes=budget_bytes, lock=lambda: LOCK)  # type: ignore[arg-type]

    assert choose("cpu") == (CPU, "exact search by FAISS on the CPU, as told")
    assert choose("auto", card=None)[1].endswith("no GPU is planned for it")
    assert choose("auto", budget_bytes=100 << 20)[1].endswith("only 100 MiB of the GPU are planned for it")
    monkeypatch.setattr(indexes.index_device, "load_faiss", gpu_faiss)
    monkeypatch.setattr(indexes.faiss_gpu, "load_faiss", gpu_faiss)
    device, reason = choose("cuda", card=1)
    assert device is CPU
    assert "sees 1 GPUs and not GPU 1" in reason
    device, reason = choose("auto")
    assert isinstance(device, GpuDevice)
    assert reason == "FAISS on GPU 0 with 1024 MiB, and on the CPU what does not fit"


def test_a_cpu_build_of_faiss_is_a_reason() -> None:
    if hasattr(load_faiss(), "StandardGpuResources"):
        pytest.skip("a GPU wheel of FAISS is installed")
    device, reason = choose_index_device("auto", why="", card=0, budget_bytes=GIB, lock=lambda: LOCK)
    assert device is CPU
    assert "is a build for the CPU (requirements-gpu.txt has the other)" in reason


@pytest.mark.parametrize("error", [RuntimeError("libcudart.so.13 is missing"), ImportError("libcuvs.so: no such file")])
def test_a_faiss_that_cannot_be_loaded_says_what_to_install(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    class Broken:
        def find_spec(self, name: str, *_: object) -> None:
            if name == "faiss":
                raise error

    monkeypatch.delitem(sys.modules, "faiss", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Broken(), *sys.meta_path])
    with pytest.raises(FaissUnusable, match=r"(?s)(is missing|no such file).*requirements-gpu\.txt"):
        FaissIndex(4)
    device, reason = choose_index_device("auto", why="", card=0, budget_bytes=GIB, lock=lambda: LOCK)
    assert device is CPU
    assert str(error) in reason


def test_the_memory_plan_counts_what_faiss_is_given() -> None:
    assert INDEX_SCRATCH_BYTES == WORKSPACE_BYTES


def test_training_takes_an_even_sample() -> None:
    vectors = np.arange(100, dtype=np.float32).reshape(50, 2)
    assert sample(vectors, 50).tolist() == vectors.tolist()
    assert sample(vectors, 20)[:, 0].tolist() == list(range(0, 100, 6))
    assert [probe_count(lists) for lists in (5, 800, 12_649)] == [5, 32, 197]


def test_the_module_of_the_stand_in_has_only_what_faiss_has() -> None:
    faiss: ModuleType = load_faiss()
    if not hasattr(faiss, "StandardGpuResources"):
        pytest.skip("the names are checked where a GPU wheel of FAISS is installed")
    assert {name for name in vars(gpu_faiss(cuvs=hasattr(faiss, "GpuIndexCagra"))) if not hasattr(faiss, name)} == set()
    config = faiss.GpuIndexIVFPQConfig()
    assert all(hasattr(config, name) for name in type(gpu_faiss().GpuIndexIVFPQConfig()).known)
