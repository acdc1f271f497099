"""What waits, in which order, and what becomes of files that cannot be read now, or end the process that reads them."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable

import pytest

from indexes.errors import StorageError
from indexes.read_queue import ReadQueue
from ingest import pipeline as pipeline_module
from ingest.errors import NotNow, ParserUnavailable, Paused, Unreadable
from ingest.events import Activity, FileDone, InStep
from ingest.parser_pool import ParserPool
from ingest.pipeline import Pipeline
from models.cancellation import Cancelled, CancelToken

LENS = "A broken lens is paid for by the Harbour Board."


def wait_until(holds: Callable[[], bool], most_s: float = 20) -> None:
    until = time.monotonic() + most_s
    while not holds():
        assert time.monotonic() < until, "it never came to that"
        time.sleep(0.02)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be read now is tried again almost at once."""
    monkeypatch.setattr(pipeline_module, "_RETRY_AFTER_S", (0.01, 0.01, 0.01, 0.01))


def failing(monkeypatch: pytest.MonkeyPatch, times: int, error: Exception, name: str = "") -> list[str]:
    """Have the disk refuse files of that name so many times; returns what was tried."""
    tried: list[str] = []
    real = pipeline_module.FileReader.read

    def read(self: object, row: object, *arguments: object, **options: object) -> object:
        if name in row.path:
            tried.append(row.path)
            if len(tried) <= times:
                raise error
        return real(self, row, *arguments, **options)

    monkeypatch.setattr(pipeline_module.FileReader, "read", read)
    return tried


def until_it_succeeds(mirrored) -> Exception | None:
    """Mirror again and again; the last error on the way."""
    told: Exception | None = None
    for _ in range(10):
        try:
            mirrored.mirror()
            break
        except (StorageError, ParserUnavailable) as exc:
            told = exc
    return told


@pytest.mark.usefixtures("impatient")
def test_a_transient_fault_is_tried_again_until_it_has_passed(mirrored, monkeypatch) -> None:
    mirrored.write("a.txt", LENS)
    tried = failing(monkeypatch, 3, NotNow("the disk does not answer"))
    mirrored.mirror()
    assert len(tried) == 4
    assert mirrored.states == {"a.txt": ("indexed", None)}
    told = [event.reason for event in mirrored.events if isinstance(event, FileDone)]
    assert told[:3] == ["the disk does not answer; it is tried again"] * 3


@pytest.mark.usefixtures("impatient")
def test_a_fault_that_stays_is_told_and_the_next_mirror_tries_again(mirrored, monkeypatch) -> None:
    mirrored.write("a.txt", LENS)
    tried = failing(monkeypatch, 5, NotNow("the disk does not answer"))
    mirrored.mirror()
    state, reason = mirrored.states["a.txt"]
    assert (state, len(tried)) == ("failed", 5)
    assert "the disk does not answer; tried 5 times" in reason
    mirrored.mirror()
    assert mirrored.states == {"a.txt": ("indexed", None)}


@pytest.mark.usefixtures("impatient")
def test_while_a_new_version_cannot_be_read_the_one_before_stays(mirrored, monkeypatch) -> None:
    mirrored.write("a.txt", LENS)
    mirrored.mirror()
    mirrored.write("a.txt", "Another text.")
    failing(monkeypatch, 5, NotNow("the disk does not answer"))
    mirrored.mirror()
    state, reason = mirrored.states["a.txt"]
    assert (state, mirrored.texts()) == ("indexed", {LENS})
    assert "this is the version before" in reason
    mirrored.mirror()
    assert (mirrored.texts(), mirrored.states["a.txt"]) == ({"Another text."}, ("indexed", None))


def test_a_fault_of_ours_costs_one_file_and_says_so(mirrored, monkeypatch) -> None:
    mirrored.write("a.txt", LENS)
    mirrored.write("b.txt", "Another text.")
    failing(monkeypatch, 1, IndexError("list index out of range"), "a.txt")
    mirrored.mirror()
    state, reason = mirrored.states["a.txt"]
    assert state == "quarantined"
    assert "please report it" in reason
    assert mirrored.states["b.txt"][0] == "indexed"
    mirrored.mirror()
    assert mirrored.states["a.txt"][0] == "quarantined", "it stays there until it changes, or somebody asks"
    (row,) = [row for row in mirrored.collection.documents.all() if row.path == "a.txt"]
    mirrored.collection.documents.retry([row.id])
    mirrored.mirror()
    assert mirrored.states["a.txt"] == ("indexed", None)


def test_a_fault_of_the_machine_is_told_to_who_waits_and_costs_no_file(mirrored, monkeypatch) -> None:
    mirrored.write("a.txt", LENS)
    monkeypatch.setattr(pipeline_module, "_PROBLEM_S", 0.5)
    failing(monkeypatch, 2, ParserUnavailable("No parser process starts."))  # for each reader
    assert isinstance(until_it_succeeds(mirrored), ParserUnavailable)
    assert mirrored.states == {"a.txt": ("indexed", None)}


def test_a_file_that_ended_the_process_again_and_again_is_quarantined(mirrored) -> None:
    mirrored.write("a.txt", LENS)
    row = mirrored.collection.documents.add_folder(mirrored.folder, hidden=False)
    mirrored.collection.documents.add_pending(row.id, [("a.txt", 1, 1)])
    mirrored.collection.documents.enqueue([document.id for document in mirrored.collection.documents.all()], 1)
    for life in range(5):
        queue = ReadQueue(mirrored.library.database, f"life {life}")
        queue.adopt()
        assert queue.claim([row.id]) is not None
    ReadQueue(mirrored.library.database, "the next").adopt()
    mirrored.mirror()
    state, reason = mirrored.states["a.txt"]
    assert (state, reason) == ("quarantined", "the ingest process has ended 5 times while it read this file")


def test_a_paused_collection_reads_nothing_but_forgets_what_is_deleted(mirrored) -> None:
    mirrored.write("a.txt", LENS)
    mirrored.mirror()
    mirrored.write("b.txt", "Another text.")
    (mirrored.folder / "a.txt").unlink()
    mirrored.collection.pause(True)
    with pytest.raises(Paused, match="queue resume"):
        mirrored.mirror()
    assert mirrored.states == {"b.txt": ("pending", None)}
    mirrored.collection.pause(False)
    mirrored.mirror()
    assert mirrored.texts() == {"Another text."}


def test_a_small_folder_need_not_wait_for_a_large_one(mirrored, tmp_path) -> None:
    for i in range(150):
        mirrored.write(f"{i:03}.txt", f"{LENS} Number {i}. " * 4)
    small = tmp_path / "small"
    small.mkdir()
    (small / "urgent.txt").write_text("The horn sounds in fog.")
    cancel = CancelToken()
    large = threading.Thread(target=lambda: mirrored.pipeline.mirror("default", mirrored.folder, cancel=cancel))
    large.start()
    try:
        wait_until(lambda: mirrored.collection.vectors.counts()[0] > 0)
        mirrored.pipeline.mirror("default", small, cancel=CancelToken())
        embedded, chunks = mirrored.collection.vectors.counts()
        assert embedded < chunks or any(state == "pending" for state, _ in mirrored.states.values())
        assert mirrored.states["urgent.txt"][0] == "indexed"
    finally:
        large.join()


def test_asking_for_a_file_anew_has_it_parsed_anew_and_searchable_meanwhile(mirrored, parsers, monkeypatch) -> None:
    mirrored.write("a.txt", LENS)
    mirrored.mirror()
    parsed: list[str] = []
    real = type(parsers).parse

    def parse(self: object, path: object, *arguments: object, **options: object) -> object:
        parsed.append(str(path))
        return real(self, path, *arguments, **options)

    monkeypatch.setattr(type(parsers), "parse", parse)
    mirrored.collection.documents.retry([mirrored.collection.documents.all()[0].id])
    assert mirrored.texts() == {LENS}
    mirrored.mirror()
    assert (len(parsed), mirrored.texts()) == (1, {LENS})
    mirrored.require_whole()


def test_a_skipped_file_that_somebody_asks_for_is_looked_at_once(mirrored) -> None:
    (mirrored.folder / "link.txt").symlink_to("/etc/hostname")
    mirrored.mirror()
    (row,) = mirrored.collection.documents.all()
    mirrored.collection.documents.retry([row.id])
    mirrored.mirror()
    assert mirrored.collection.documents.all()[0].queued is None
    assert mirrored.states["link.txt"][0] == "skipped"


@pytest.mark.usefixtures("impatient")
def test_a_file_that_is_saved_while_it_is_parsed_keeps_its_old_version_until_the_new_one_is_read(
    mirrored, monkeypatch
) -> None:
    file = mirrored.write("a.txt", LENS)
    mirrored.mirror()
    mirrored.write("a.txt", "Half of")
    seen: list[set[str]] = []

    def content(*_: object, **__: object) -> int:
        monkeypatch.undo()
        seen.append(mirrored.texts())
        file.write_text("Half of a sentence, and the rest.")
        raise Unreadable("it looks damaged")

    monkeypatch.setattr("ingest.content_builder.ContentBuilder.content", content)
    mirrored.mirror()
    assert seen == [{LENS}]
    assert mirrored.texts() == {"Half of a sentence, and the rest."}


def test_an_urgent_file_need_not_wait_for_long_ones(mirrored, monkeypatch) -> None:
    """Both readers are at files that take for ever; then somebody saves a small one."""
    monkeypatch.setattr(pipeline_module, "_LONG_S", 0.2)
    for name in ("long1.txt", "long2.txt"):
        mirrored.write(name, f"{LENS} {name}")
    real = pipeline_module.FileReader.read
    begun: list[str] = []

    def read(self: object, row: object, *arguments: object, cancel: CancelToken, **options: object) -> object:
        begun.append(row.path)
        if row.path.startswith("long") and begun.count(row.path) == 1:
            cancel.wait(30)
            cancel.check()
        return real(self, row, *arguments, cancel=cancel, **options)

    monkeypatch.setattr(pipeline_module.FileReader, "read", read)
    stop = CancelToken()

    def mirror() -> None:
        with pytest.raises(Cancelled):
            mirrored.pipeline.mirror("default", mirrored.folder, cancel=stop)

    mirroring = threading.Thread(target=mirror)
    mirroring.start()
    wait_until(lambda: len(begun) == 2)
    mirrored.write("urgent.txt", "The horn sounds in fog.")
    (row,) = mirrored.collection.documents.folders()
    with mirrored.pipeline.hold(mirrored.collection, row) as work:
        mirrored.pipeline.look(work, ["urgent.txt"])
        wait_until(lambda: mirrored.states.get("urgent.txt", ("",))[0] == "indexed")
    stop.cancel()
    mirroring.join(10)
    assert not mirroring.is_alive()


@pytest.mark.usefixtures("impatient")
def test_what_is_said_of_a_file_is_true_again_once_it_is_readable(mirrored, monkeypatch) -> None:
    file = mirrored.write("a.txt", LENS)
    mirrored.mirror()
    os.utime(file, (1, 1))
    failing(monkeypatch, 5, NotNow("the disk does not answer"))
    mirrored.mirror()
    assert "version before" in str(mirrored.states["a.txt"][1])
    mirrored.mirror()
    assert mirrored.states["a.txt"] == ("indexed", None)


def test_progress_counts_files_pages_bytes_and_chunks_and_ends_in_step(mirrored) -> None:
    for i in range(60):
        mirrored.write(f"{i}.txt", f"{LENS} Number {i}.")
    mirrored.mirror()
    activities = [event for event in mirrored.events if isinstance(event, Activity)]
    assert activities
    # What is in a reader's hands while it is counted may count twice.
    assert all(event.files_done <= event.files_total <= 62 for event in activities)
    assert all(event.bytes_done <= event.bytes_total for event in activities)
    (last,) = [event for event in mirrored.events if isinstance(event, InStep)]
    assert (last.counts["read"], last.folder) == (60, str(mirrored.folder))


def test_a_full_disk_is_told_and_nothing_is_lost(mirrored, monkeypatch) -> None:
    mirrored.write("a.txt", LENS)
    monkeypatch.setattr(pipeline_module, "_PROBLEM_S", 0.5)
    real, faults = (
        type(mirrored.collection.contents).begin,
        [sqlite3.OperationalError("database or disk is full") for _ in range(2)],
    )

    def begin(self: object, *arguments: object) -> int:
        with mirrored.library.database.write():
            if faults:
                raise faults.pop()
        return real(self, *arguments)

    monkeypatch.setattr(type(mirrored.collection.contents), "begin", begin)
    assert "full" in str(until_it_succeeds(mirrored))
    assert mirrored.states == {"a.txt": ("indexed", None)}


def test_closing_in_the_middle_gives_back_what_was_being_read(mirrored, parsers: ParserPool, embedder) -> None:
    for i in range(40):
        mirrored.write(f"{i}.txt", f"{LENS} Number {i}.")

    def stopped() -> None:
        with pytest.raises(Cancelled):
            mirrored.mirror()

    ended = threading.Thread(target=stopped)
    ended.start()
    wait_until(lambda: any(isinstance(event, FileDone) for event in mirrored.events))
    mirrored.pipeline.close()
    ended.join(10)
    assert not ended.is_alive()
    attempts = [row.queued.attempts for row in mirrored.collection.documents.all() if row.queued]
    assert set(attempts) <= {0}
    mirrored.pipeline = Pipeline(mirrored.library, parsers, embedder, report=mirrored.hear)
    mirrored.mirror()
    assert {state for state, _ in mirrored.states.values()} == {"indexed"}
    mirrored.require_whole()
