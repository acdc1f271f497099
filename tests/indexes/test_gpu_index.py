"""An index on a GPU: what was removed is never found, cosines are the CPU's, and a failing device costs time only."""

from __future__ import annotations

import logging
from unittest.mock import Mock

import numpy as np
import pytest

from indexes.faiss_index import FaissIndex
from indexes.gpu_index import GpuIndex
from tests.standins.device_copy import StandInCopy, StandInDevice

DIMENSION = 16


def unit(count: int, seed: int = 0) -> np.ndarray:
    vectors = np.random.default_rng(seed).standard_normal((count, DIMENSION)).astype(np.float16).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def ids(*numbers: int) -> np.ndarray:
    return np.array(numbers, dtype=np.int64)


def pair(device: StandInDevice, count: int) -> tuple[GpuIndex, FaissIndex, np.ndarray]:
    """An index on the device, one on the CPU with the same vectors (ids from 1000 on), and a query."""
    masters = FaissIndex(DIMENSION), FaissIndex(DIMENSION)
    for master in masters:
        master.add(np.arange(1000, 1000 + count), unit(count))
    return GpuIndex(masters[0], device.open_copy, device.lock), masters[1], unit(1, seed=9)[0]


def require_equal(index: GpuIndex, exact: FaissIndex, query: np.ndarray, k: int) -> None:
    found, cosines = index.search(query, k)
    expected, expected_cosines = exact.search(query, k)
    assert found.tolist() == expected.tolist()
    assert cosines == pytest.approx(expected_cosines, abs=1e-6)


@pytest.mark.parametrize("grows", [True, False])
def test_ids_and_cosines_are_those_of_the_cpu(grows: bool) -> None:
    index, exact, query = pair(StandInDevice(grows=grows), 3000)
    for k in (1, 10, 500):
        require_equal(index, exact, query, k)
    assert "on the GPU, in fp16 NumPy: it fits" in index.place


@pytest.mark.parametrize("grows", [True, False])
def test_new_vectors_are_found_at_once(grows: bool) -> None:
    device = StandInDevice(grows=grows)
    index, exact, query = pair(device, 3000)
    index.prepare()
    for each in (index, exact):
        each.add(np.arange(1, 401), unit(400, seed=1))
    require_equal(index, exact, query, 50)
    assert len(device.copies) == 1, "neither appended nor compared vectors need a new copy"
    stored = device.open[0].stored
    assert stored is not None
    assert len(stored) == (3400 if grows else 3000)


def test_a_long_tail_goes_into_a_new_copy() -> None:
    device = StandInDevice(grows=False)
    index, exact, query = pair(device, 3000)
    index.prepare()
    for each in (index, exact):
        each.add(np.arange(10_000, 11_500), unit(1500, seed=1))
    require_equal(index, exact, query, 50)
    assert [len(copy.stored) for copy in device.open if copy.stored is not None] == [4500]


@pytest.mark.parametrize("grows", [True, False])
@pytest.mark.parametrize("most_results", [64, 2048])
def test_removed_and_replaced_vectors_are_never_found(grows: bool, most_results: int) -> None:
    """The nearest ones go, so that the device's best results are all of the dead."""
    device = StandInDevice(grows=grows, most_results=most_results)
    index, exact, query = pair(device, 3000)
    for _ in range(6):
        nearest = index.search(query, 40)[0]
        assert index.remove(nearest[:30]) == exact.remove(nearest[:30]) == 30
        for each in (index, exact):
            each.add(nearest[30:], -np.tile(query, (10, 1)))
        found = index.search(query, 40)[0]
        assert not set(found.tolist()) & set(nearest.tolist())
        require_equal(index, exact, query, 40)
    assert max(device.asked) <= most_results


def test_many_removals_lead_to_a_new_copy_without_them() -> None:
    device = StandInDevice()
    index, exact, query = pair(device, 3000)
    index.prepare()
    for each in (index, exact):
        each.remove(np.arange(1000, 2200))
    require_equal(index, exact, query, 10)
    assert [len(copy.stored) for copy in device.open if copy.stored is not None] == [1800]


def test_everything_can_be_removed_and_come_again() -> None:
    index, exact, query = pair(StandInDevice(), 50)
    index.prepare()
    for each in (index, exact):
        each.remove(each.ids())
    assert index.search(query, 5)[0].tolist() == []
    for each in (index, exact):
        each.add(ids(1000, 7), unit(2, seed=3))
    require_equal(index, exact, query, 5)


def test_more_results_than_the_device_gives_come_from_the_cpu() -> None:
    device = StandInDevice(most_results=64)
    index, exact, query = pair(device, 300)
    require_equal(index, exact, query, 65)
    assert device.asked == []
    require_equal(index, exact, query, 64)


def test_an_approximate_copy_that_brings_too_few_is_helped_out_by_the_cpu() -> None:
    index, exact, query = pair(StandInDevice(blind=1), 300)
    require_equal(index, exact, query, 10)


def test_an_approximate_copy_never_brings_the_removed() -> None:
    index, _, query = pair(StandInDevice(blind=3, grows=False), 3000)
    for _ in range(5):
        nearest = index.search(query, 100)[0]
        assert len(set(nearest.tolist())) == 100
        index.remove(nearest)
        assert not set(index.search(query, 100)[0].tolist()) & set(nearest.tolist())


def test_what_does_not_fit_is_searched_on_the_cpu_and_says_so() -> None:
    device = StandInDevice(capacity=100)
    index, exact, query = pair(device, 101)
    require_equal(index, exact, query, 5)
    assert index.place == "by FAISS on the CPU, exactly: 101 vectors of at most 100"
    index.remove(ids(1000))
    exact.remove(ids(1000))
    require_equal(index, exact, query, 5)
    assert "on the GPU" in index.place, "it fits now"
    for each in (index, exact):
        each.add(np.arange(5000, 6199), unit(1199, seed=1))
    require_equal(index, exact, query, 5)
    assert "1299 vectors of at most 100" in index.place
    assert device.open == []


@pytest.mark.parametrize("call", ["build", "append", "search"])
def test_a_failing_device_is_never_an_error_to_who_searches(call: str, caplog: pytest.LogCaptureFixture) -> None:
    device = StandInDevice()
    index, exact, query = pair(device, 300)
    if call != "build":
        index.prepare()
    for each in (index, exact):
        each.remove(ids(1004))
        each.add(ids(7), unit(1, seed=3))
    device.failing = {call}
    with caplog.at_level(logging.WARNING):
        require_equal(index, exact, query, 20)
    assert index.place == f"by FAISS on the CPU, exactly: {call}: out of memory"
    assert index.place in caplog.text
    assert device.open == []
    device.failing = set()
    require_equal(index, exact, query, 20)
    assert len(device.copies) == 1, "a device that failed once is left alone"


def test_a_copy_that_was_not_built_to_the_end_is_closed_and_never_searched(monkeypatch: pytest.MonkeyPatch) -> None:
    device = StandInDevice()
    index, exact, query = pair(device, 300)
    with monkeypatch.context() as interrupted:
        interrupted.setattr(StandInCopy, "build", Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            index.search(query, 5)
    assert device.copies[0].closed
    assert index.device_bytes == 0
    require_equal(index, exact, query, 5)
    assert "on the GPU" in index.place, "the next search has built another"


def test_a_device_that_fails_as_it_is_prepared_is_given_up() -> None:
    device = StandInDevice()
    device.failing = {"build"}
    index, exact, query = pair(device, 30)
    index.prepare()
    assert "out of memory" in index.place
    require_equal(index, exact, query, 5)


def test_a_closed_index_has_freed_the_device_and_is_still_searched() -> None:
    device = StandInDevice()
    index, exact, query = pair(device, 300)
    index.prepare()
    assert index.device_bytes == 300 * DIMENSION * 2
    index.close()
    assert (index.device_bytes, device.open) == (0, [])
    require_equal(index, exact, query, 5)
    assert len(device.copies) == 1
