"""One at a time, questions first, and otherwise in the order of coming."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest

from models.device_lock import DeviceLock

WAIT_S = 10


def wait_in(
    lock: DeviceLock, line: Callable[[], AbstractContextManager[None]], ran: list[str], name: str
) -> threading.Thread:
    """A thread that waits for the lock, started only when it is known to be in line."""
    before = len(lock._queries) + len(lock._ingests)

    def run() -> None:
        with line():
            ran.append(name)

    thread = threading.Thread(target=run)
    thread.start()
    for _ in range(1000 * WAIT_S):
        if len(lock._queries) + len(lock._ingests) > before:
            return thread
        threading.Event().wait(0.001)
    raise AssertionError(f"{name} never came")


def test_a_question_goes_before_those_who_wait_to_ingest() -> None:
    lock, ran, threads = DeviceLock(), [], []
    with lock.ingest():
        for name in ("ingest 1", "query 1", "ingest 2", "query 2"):
            line = lock.query if name.startswith("query") else lock.ingest
            threads.append(wait_in(lock, line, ran, name))
        assert ran == []
    for thread in threads:
        thread.join(WAIT_S)
    assert ran == ["query 1", "query 2", "ingest 1", "ingest 2"]


def test_a_thread_that_comes_back_does_not_pass_those_who_wait() -> None:
    lock, ran = DeviceLock(), []
    with lock.ingest():
        thread = wait_in(lock, lock.ingest, ran, "the other")
    with lock.ingest():
        ran.append("again")
    thread.join(WAIT_S)
    assert ran == ["the other", "again"]


def test_it_is_one_threads_at_a_time_and_each_gets_it() -> None:
    lock, inside, most, counts = DeviceLock(), [0], [0], {"query": 0, "ingest": 0}
    start = threading.Barrier(8)

    def work(name: str) -> None:
        start.wait()
        for _ in range(200):
            with getattr(lock, name)():
                inside[0] += 1
                most[0] = max(most[0], inside[0])
                counts[name] += 1
                inside[0] -= 1

    threads = [threading.Thread(target=work, args=(name,)) for name in ("query", "ingest") * 4]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_S)
    assert (most[0], counts) == (1, {"query": 800, "ingest": 800})
    assert not lock._held


@pytest.mark.parametrize("line", ["query", "ingest"])
def test_an_error_inside_gives_it_back(line: str) -> None:
    lock = DeviceLock()
    with pytest.raises(ZeroDivisionError), getattr(lock, line)():
        raise ZeroDivisionError
    with lock.query():
        pass


@pytest.mark.parametrize("granted", [False, True])
def test_an_interrupt_while_waiting_loses_no_turn(monkeypatch: pytest.MonkeyPatch, granted: bool) -> None:
    """The interrupt comes before the turn, or in the moment after it."""
    lock = DeviceLock()

    def interrupted(turn: threading.Event) -> bool:
        if granted:
            lock._release()  # the holder ends just now, and the turn is given
            assert turn.is_set()
        raise KeyboardInterrupt

    holder = lock.ingest()
    holder.__enter__()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Event, "wait", interrupted)
        with pytest.raises(KeyboardInterrupt), lock.query():
            pass
    assert not lock._queries
    if not granted:
        holder.__exit__(None, None, None)
    assert not lock._held
