"""The queue of files to be read: the urgent and the small first, nobody twice, nothing lost."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from indexes.collection import Collection
from indexes.database import Database
from indexes.library import Library
from indexes.read_queue import LEASE_S, SCANNED, WANTED, ReadQueue


class Clock:
    """Later than the real one, by which documents are queued."""

    def __init__(self) -> None:
        self.now = time.time() + 60

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return Database(tmp_path / "lectern.sqlite")


@pytest.fixture
def collection(database: Database, tmp_path: Path) -> Collection:
    return Library(database, tmp_path / "indexes").ensure("default", embedder="none", dimension=2)


@pytest.fixture
def folder(collection: Collection) -> int:
    row = collection.documents.add_folder(Path("/folder"), hidden=False)
    collection.documents.add_pending(row.id, [("large", 300, 1), ("small", 100, 1), ("middle", 200, 1)])
    collection.documents.enqueue(list(ids(collection).values()), SCANNED)
    return row.id


def ids(collection: Collection) -> dict[str, int]:
    return {row.path: row.id for row in collection.documents.all()}


def reject(collection: Collection, document_id: int) -> None:
    collection.documents.reject(
        document_id, size_bytes=1, mtime_ns=1, sha256=None, recipe="r", state="failed", reason="damaged"
    )


def test_the_urgent_come_first_then_the_small(database, collection, folder, clock) -> None:
    collection.documents.enqueue([ids(collection)["large"]], WANTED)
    queue = ReadQueue(database, "run", clock)
    names = {i: name for name, i in ids(collection).items()}
    claimed = [queue.claim([folder]) for _ in range(4)]
    assert [names[job.document_id] if job else None for job in claimed] == ["large", "small", "middle", None]


def test_only_the_folders_asked_for_are_worked_on(database, folder, clock) -> None:
    assert ReadQueue(database, "run", clock).claim([folder + 1]) is None


def test_a_job_ends_with_the_verdict_on_its_document(database, collection, folder, clock) -> None:
    queue = ReadQueue(database, "run", clock)
    job = queue.claim([folder])
    reject(collection, job.document_id)
    assert queue.backlog(folder).files == 2
    assert collection.documents.get(job.document_id).queued is None


def test_a_change_that_comes_while_a_file_is_read_has_it_read_again(database, collection, folder, clock) -> None:
    queue = ReadQueue(database, "run", clock)
    clock.now -= 120
    job = queue.claim([folder])
    collection.documents.enqueue([job.document_id], WANTED)
    reject(collection, job.document_id)
    again = queue.claim([folder])
    assert (again.document_id, again.attempts) == (job.document_id, 1)


def test_after_a_fault_a_file_waits_and_the_others_do_not(database, collection, folder, clock) -> None:
    queue = ReadQueue(database, "run", clock)
    job = queue.claim([folder])
    queue.postpone(job.document_id, "the disk does not answer", 15)
    others = {queue.claim([folder]).document_id for _ in range(2)}
    assert job.document_id not in others
    assert queue.claim([folder]) is None
    assert collection.documents.get(job.document_id).queued.fault == "the disk does not answer"
    clock.now += 15
    again = queue.claim([folder])
    assert (again.document_id, again.attempts) == (job.document_id, 2)


def test_what_is_given_back_was_no_attempt(database, folder, clock) -> None:
    queue = ReadQueue(database, "run", clock)
    job = queue.claim([folder])
    queue.release(job.document_id)
    assert queue.claim([folder]).attempts == 1


def test_what_a_dead_run_had_claimed_is_free_again(database, folder, clock) -> None:
    dead, living = ReadQueue(database, "dead", clock), ReadQueue(database, "living", clock)
    claimed = {dead.claim([folder]).document_id for _ in range(3)}
    assert living.claim([folder]) is None
    clock.now += LEASE_S - 1
    dead.heartbeat(dict.fromkeys(claimed, False))
    clock.now += LEASE_S - 1
    assert living.claim([folder]) is None, "it showed signs of life"
    clock.now += 2
    assert living.claim([folder]).document_id in claimed
    living.adopt()
    assert living.claim([folder]).attempts == 2


def test_a_paused_collection_waits(database, collection, folder, clock) -> None:
    queue = ReadQueue(database, "run", clock)
    collection.pause(True)
    assert queue.claim([folder]) is None
    collection.pause(False)
    assert queue.claim([folder]) is not None


def test_a_deleted_document_leaves_the_queue(database, collection, folder, clock) -> None:
    collection.documents.remove(list(ids(collection).values()))
    backlog = ReadQueue(database, "run", clock).backlog(folder)
    assert (backlog.files, backlog.oldest_at) == (0, None)


def test_what_a_run_claimed_and_does_not_hold_is_free_again(database, collection, folder, clock) -> None:
    """Giving it back had failed, since the disk was full."""
    queue = ReadQueue(database, "run", clock)
    lost, held = queue.claim([folder]), queue.claim([folder])
    queue.heartbeat({held.document_id: True})
    assert queue.claim([folder]).document_id == lost.document_id
    assert collection.documents.get(held.document_id).queued.attempts == 1


def test_a_clock_that_is_set_back_holds_nothing_up(database, collection, folder, clock) -> None:
    queue = ReadQueue(database, "run", clock)
    job = queue.claim([folder])
    queue.postpone(job.document_id, "the disk does not answer", 60)
    clock.now -= 86_400
    again = queue.claim([folder])
    while again.document_id != job.document_id:
        again = queue.claim([folder])
    reject(collection, again.document_id)
    assert collection.documents.get(again.document_id).queued is None
