"""What every dense index must do, over each that there is; and FAISS against the exact one in NumPy.

The GPU's index runs over a strict stand-in for a device everywhere, and over FAISS on CUDA where there is a GPU.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Protocol

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexes.dense import DenseIndex
from indexes.device_copy import Lock, OpenCopy
from indexes.errors import DamagedCache
from indexes.faiss_index import FaissIndex
from indexes.gpu_index import GpuIndex
from indexes.numpy_index import NumpyIndex
from tests.standins.device_copy import StandInDevice

DIMENSION = 4
EYE = np.eye(DIMENSION, dtype=np.float32)


def ids(*numbers: int) -> np.ndarray:
    return np.array(numbers, dtype=np.int64)


class Kind(Protocol):
    def __call__(self, dimension: int) -> DenseIndex: ...

    def read(self, path: Path, dimension: int) -> DenseIndex: ...


class OnDevice:
    """A kind of index that is searched on a device."""

    def __init__(self, open_copy: OpenCopy, lock: Lock) -> None:
        self._open_copy, self._lock = open_copy, lock

    def __call__(self, dimension: int) -> DenseIndex:
        return GpuIndex(FaissIndex(dimension), self._open_copy, self._lock)

    def read(self, path: Path, dimension: int) -> DenseIndex:
        return GpuIndex(FaissIndex.read(path, dimension), self._open_copy, self._lock)


@cache
def on_cuda() -> OnDevice:
    """FAISS on the GPU of this machine, opened once."""
    import threading

    import faiss

    if not hasattr(faiss, "StandardGpuResources") or faiss.get_num_gpus() == 0:
        pytest.skip("FAISS has no GPU here: its CPU wheel is installed, or there is no CUDA device")
    from indexes.faiss_gpu import GpuDevice

    lock = threading.Lock()
    device = GpuDevice(0, 1 << 30, lambda: lock)
    return OnDevice(device.open_copy, lambda: lock)


def standing_in(**traits: object) -> OnDevice:
    device = StandInDevice(**traits)  # type: ignore[arg-type]  # by name
    return OnDevice(device.open_copy, device.lock)


KINDS = {
    "numpy": lambda: NumpyIndex,
    "faiss": lambda: FaissIndex,
    "gpu stand-in": standing_in,
    "gpu stand-in that does not grow": lambda: standing_in(grows=False),
    "gpu stand-in of few results": lambda: standing_in(most_results=2),
    "gpu stand-in without memory": lambda: standing_in(capacity=2),
    "faiss on cuda": on_cuda,
}
ALL = [pytest.param(name, marks=[pytest.mark.gpu] * (name == "faiss on cuda")) for name in KINDS]


@pytest.fixture(params=ALL)
def kind(request: pytest.FixtureRequest) -> Kind:
    return KINDS[request.param]()


def filled(kind: Kind) -> DenseIndex:
    index = kind(DIMENSION)
    index.add(ids(7, 3, 5), EYE[:3])
    return index


def test_an_empty_index_finds_nothing(kind: Kind) -> None:
    index = kind(DIMENSION)
    found, cosines = index.search(EYE[0], 5)
    assert (len(index), len(found), len(cosines)) == (0, 0, 0)
    assert index.ids().tolist() == []
    assert index.remove(ids(1, 2)) == 0
    assert index.similarities(EYE[0], ids(1, 2)).tolist() == [0, 0]


def test_nothing_can_be_added_and_removed(kind: Kind) -> None:
    index = filled(kind)
    index.add(ids(), np.empty((0, DIMENSION), dtype=np.float32))
    assert index.remove(ids()) == 0
    assert len(index) == 3


def test_search_gives_the_nearest_first(kind: Kind) -> None:
    query = np.array([0.6, 0.8, 0, 0], dtype=np.float32)
    found, cosines = filled(kind).search(query, 2)
    assert found.tolist() == [3, 7]
    assert cosines == pytest.approx([0.8, 0.6])
    assert (found.dtype, cosines.dtype) == (np.int64, np.float32)


def test_search_for_more_than_there_are_gives_all(kind: Kind) -> None:
    found, cosines = filled(kind).search(EYE[1], 100)
    assert set(found.tolist()) == {3, 5, 7}
    assert cosines.tolist() == [1, 0, 0]


def test_search_for_none_gives_none(kind: Kind) -> None:
    assert len(filled(kind).search(EYE[1], 0)[0]) == 0


def test_adding_an_id_again_replaces_its_vector(kind: Kind) -> None:
    index = filled(kind)
    index.add(ids(3, 9), EYE[[3, 1]])
    assert index.ids().tolist() == [3, 5, 7, 9]
    assert index.search(EYE[3], 1)[0].tolist() == [3]
    assert index.search(EYE[1], 1)[0].tolist() == [9]


def test_of_an_id_given_twice_the_last_counts(kind: Kind) -> None:
    index = kind(DIMENSION)
    index.add(ids(4, 4), EYE[:2])
    assert len(index) == 1
    assert index.similarities(EYE[1], ids(4)).tolist() == [1]


def test_what_is_added_is_a_copy(kind: Kind) -> None:
    index, vectors = kind(DIMENSION), EYE[:1].copy()
    index.add(ids(1), vectors)
    vectors[:] = 0
    assert index.similarities(EYE[0], ids(1)).tolist() == [1]


def test_removed_ids_are_found_no_more(kind: Kind) -> None:
    index = filled(kind)
    assert index.remove(ids(5, 6, 5, 7)) == 2
    assert index.ids().tolist() == [3]
    assert index.search(EYE[0], 3)[0].tolist() == [3]


def test_what_was_there_before_a_search_can_be_removed_and_replaced_after_it(kind: Kind) -> None:
    index = filled(kind)
    assert index.search(EYE[0], 1)[0].tolist() == [7]
    index.remove(ids(7))
    index.add(ids(3, 8), EYE[[3, 0]])
    assert index.search(EYE[0], 1)[0].tolist() == [8]
    assert index.search(EYE[3], 1)[0].tolist() == [3]
    found, cosines = index.search(EYE[1], 5)
    assert sorted(found.tolist()) == [3, 5, 8]
    assert cosines.tolist() == [0, 0, 0]


def test_a_prepared_and_a_closed_index_find_the_same(kind: Kind) -> None:
    index = filled(kind)
    index.prepare()
    assert index.search(EYE[0], 1)[0].tolist() == [7]
    index.close()
    index.add(ids(8), EYE[3:])
    assert index.search(EYE[0], 1)[0].tolist() == [7]
    assert index.search(EYE[3], 1)[0].tolist() == [8]
    assert index.place


def test_similarities_come_in_the_order_asked_and_unknown_ids_count_0(kind: Kind) -> None:
    query = np.array([0.6, 0.8, 0, 0], dtype=np.float32)
    assert filled(kind).similarities(query, ids(5, 99, 3, 7, 3)) == pytest.approx([0, 0, 0.8, 0.6, 0.8])


def test_what_is_written_is_read_again(kind: Kind, tmp_path: Path) -> None:
    index = filled(kind)
    index.write(tmp_path / "index")
    again = kind.read(tmp_path / "index", DIMENSION)
    assert again.ids().tolist() == index.ids().tolist()
    assert again.search(EYE[0], 1)[0].tolist() == [7]
    assert again.remove(ids(7)) == 1
    again.add(ids(8), EYE[3:])
    assert again.search(EYE[3], 1)[0].tolist() == [8]


def test_an_empty_index_is_written_and_read(kind: Kind, tmp_path: Path) -> None:
    kind(DIMENSION).write(tmp_path / "index")
    assert len(kind.read(tmp_path / "index", DIMENSION)) == 0


def test_a_missing_damaged_or_other_file_is_refused(kind: Kind, tmp_path: Path) -> None:
    file = tmp_path / "index"
    with pytest.raises(DamagedCache):
        kind.read(file, DIMENSION)
    filled(kind).write(file)
    with pytest.raises(DamagedCache, match="5 dimensions"):
        kind.read(file, 5)
    for damaged in (file.read_bytes()[:-20], b"", b"something else altogether"):
        file.write_bytes(damaged)
        with pytest.raises(DamagedCache):
            kind.read(file, DIMENSION)


def test_a_place_that_cannot_be_written_is_an_os_error(kind: Kind, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="no folder"):
        filled(kind).write(tmp_path / "no folder" / "index")


# Few distinct directions, so that ties are common; few ids, so that they come again.
_DIRECTIONS = st.sampled_from([(1, 0, 0, 0), (0, 1, 0, 0), (0.6, 0.8, 0, 0), (0, 0, -1, 0), (0.5, 0.5, 0.5, 0.5)])
_IDS = st.integers(1, 12)
_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.lists(st.tuples(_IDS, _DIRECTIONS), max_size=5)),
        st.tuples(st.just("remove"), st.lists(st.tuples(_IDS, st.none()), max_size=5)),
    ),
    max_size=8,
)


@pytest.mark.parametrize("name", [each for each in ALL if each.values != ("numpy",)])
@settings(max_examples=150, deadline=None)
@given(steps=_STEPS, query=_DIRECTIONS, k=st.integers(0, 20))
def test_it_agrees_with_numpy(name: str, steps: list, query: tuple[float, ...], k: int) -> None:
    exact, tested = NumpyIndex(DIMENSION), KINDS[name]()(DIMENSION)
    direction = np.array(query, dtype=np.float32)
    for step, entries in steps:
        numbers = ids(*(number for number, _ in entries))
        if step == "remove":
            assert tested.remove(numbers) == exact.remove(numbers)
        else:
            vectors = np.array([vector for _, vector in entries], dtype=np.float32).reshape(-1, DIMENSION)
            exact.add(numbers, vectors)
            tested.add(numbers, vectors)
        assert set(tested.search(direction, k)[0].tolist()) <= set(exact.ids().tolist())
    assert tested.ids().tolist() == exact.ids().tolist()
    everything = np.arange(14, dtype=np.int64)
    assert tested.similarities(direction, everything) == pytest.approx(exact.similarities(direction, everything))
    (found, cosines), (_, expected) = tested.search(direction, k), exact.search(direction, k)
    assert cosines == pytest.approx(expected)
    assert len(set(found.tolist())) == len(found)
    assert exact.similarities(direction, found) == pytest.approx(cosines)  # of equals, any may come
