"""What is said of a collection: how far it is behind the disk, what waits, which files are listed."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from indexes.database import Database
from indexes.library import Library
from indexes.read_queue import SCANNED, ReadQueue
from ingest.events import FolderState, FollowState
from rag.durations import roughly
from rag.errors import BadInput, NotFound
from rag.file_paths import find_documents
from rag.status import NO_FILES, CollectionStatus, Wanted, collection_status, status_json
from tests.rag.mirrored import DIMENSION, Mirrored


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(tmp_path / "lectern.sqlite")
    yield database
    database.close()


@pytest.fixture
def mirrored(database: Database, tmp_path: Path) -> Mirrored:
    collection = Library(database, tmp_path / "cache").ensure("papers", embedder="toy", dimension=DIMENSION)
    return Mirrored(collection, tmp_path / "folder")


def status_of(
    mirrored: Mirrored, *, followed: bool = False, after_s: float = 0.0, **wanted: object
) -> CollectionStatus:
    path = str(mirrored.folder)
    states = {path: FolderState("papers", path, "watching")} if followed else {}
    now = time.time() + after_s
    if not wanted:
        return collection_status(mirrored.collection, None, states, now)
    return collection_status(mirrored.collection, None, states, now, Wanted(**wanted))  # type: ignore[arg-type]


def test_a_followed_folder_with_nothing_waiting_is_not_behind_however_long_ago_the_last_look_was(
    mirrored: Mirrored,
) -> None:
    mirrored.collection.documents.mark_scanned(mirrored.row.id)
    assert status_of(mirrored, followed=True, after_s=500).lag_s == 0


def test_the_index_is_behind_by_the_age_of_the_oldest_file_that_waits(mirrored: Mirrored) -> None:
    mirrored.collection.documents.enqueue([mirrored.pending("a.txt").id], SCANNED)
    status = status_of(mirrored, followed=True, after_s=30)
    assert 30 <= status.lag_s < 40
    assert (status.queue.waiting, status.queue.reading, status.queue.bytes) == (
        1,
        0,
        len("The lamp is lit before sunset."),
    )


def test_a_folder_that_nobody_follows_is_behind_since_its_last_look(mirrored: Mirrored) -> None:
    assert status_of(mirrored).folder_states[0].lag_s is None
    mirrored.collection.documents.mark_scanned(mirrored.row.id, excluded=3)
    status = status_of(mirrored, after_s=100)
    assert 100 <= status.lag_s < 110
    assert (status.folder_states[0].state, status.folder_states[0].excluded) == ("not followed", 3)


def test_vectors_are_behind_until_every_chunk_has_one(mirrored: Mirrored) -> None:
    mirrored.read("a.txt", "one", "two")
    assert 60 <= status_of(mirrored, after_s=60).vectors_lag_s < 70
    mirrored.embed()
    status = status_of(mirrored, after_s=60)
    assert status.vectors_lag_s == 0
    assert (status.totals["chunks_embedded"], status.totals["chunks"]) == (2, 2)


def test_a_changed_file_that_waits_keeps_its_state_and_says_that_a_newer_version_waits(mirrored: Mirrored) -> None:
    row = mirrored.read("a.txt", "one")
    mirrored.collection.documents.enqueue([row.id], SCANNED)
    (file,) = status_of(mirrored).files
    assert file.state == "indexed"
    assert file.waiting is not None
    assert file.waiting.said == "a newer version waits"


def test_a_file_in_the_queue_says_where_it_stands(mirrored: Mirrored, database: Database) -> None:
    queue = ReadQueue(database, "run")
    mirrored.collection.documents.enqueue([mirrored.pending("a.txt").id], SCANNED)
    assert said(mirrored) == "waiting"
    job = queue.claim([mirrored.row.id])
    assert job is not None
    assert said(mirrored) == "being read"
    queue.postpone(job.document_id, "a.txt cannot be read just now (Stale file handle).", 60.0)
    assert said(mirrored) == "tried once: a.txt cannot be read just now (Stale file handle); next try in 1 min"
    waiting = status_of(mirrored).files[0].waiting
    assert waiting is not None
    assert (waiting.state, waiting.attempts) == ("retrying", 1)
    assert waiting.next_try_s is not None
    assert 50 < waiting.next_try_s <= 60


def said(mirrored: Mirrored) -> str:
    (file,) = status_of(mirrored).files
    assert file.waiting is not None
    return file.waiting.said


def test_the_json_keeps_its_fields_and_can_be_printed(mirrored: Mirrored) -> None:
    mirrored.read("a.txt", "one", omissions=(("page 2", "no text"),), total=2)
    document = json.loads(json.dumps(status_json(status_of(mirrored), 0.5)))
    assert document.keys() >= {"collection", "folders", "files", "totals", "activity", "lag_s", "seconds", "queue"}
    (file,) = document["files"]
    assert (file["path"], file["state"], file["reason"]) == ("a.txt", "partial", "page 2: no text")
    assert file["pages"] == {"indexed": 1, "total": 2}
    assert document["folders"] == [str(mirrored.folder)]
    assert document["queue"] == {"waiting": 0, "reading": 0, "retrying": 0, "paused": False, "bytes": 0}


def test_counting_lists_no_file(mirrored: Mirrored) -> None:
    mirrored.read("a.txt", "one")
    mirrored.reject("b.bin", "skipped", "nothing here reads it")
    status = collection_status(mirrored.collection, None, {}, time.time(), NO_FILES)
    assert status.files == ()
    assert (status.totals["files"], status.totals["indexed"], status.totals["skipped"]) == (2, 1, 1)


def test_files_are_chosen_by_state_and_name_and_those_that_need_a_person_come_first(mirrored: Mirrored) -> None:
    mirrored.read("Rules/fine.txt", "one")
    mirrored.reject("rules/broken.pdf", "failed", "damaged")
    mirrored.reject("x.bin", "skipped", "nothing here reads it")
    mirrored.collection.documents.enqueue([mirrored.pending("new.txt").id], SCANNED)
    assert paths(status_of(mirrored, limit=9)) == ["rules/broken.pdf", "new.txt", "x.bin", "Rules/fine.txt"]
    assert paths(status_of(mirrored, limit=9, name="RULES/")) == ["rules/broken.pdf", "Rules/fine.txt"]
    assert paths(status_of(mirrored, limit=9, state="waiting")) == ["new.txt"]
    assert paths(status_of(mirrored, limit=9, state="skipped", name="txt")) == []
    few = status_of(mirrored, limit=1)
    assert (paths(few), few.matching) == (["rules/broken.pdf"], 4)


def paths(status: CollectionStatus) -> list[str]:
    return [file.path for file in status.files]


def found(mirrored: Mirrored, path: str, absolute: str | None = None) -> list[str]:
    folders = {folder.id: Path(folder.path).name for folder in mirrored.collection.documents.folders()}
    return [f"{folders[row.folder_id]}/{row.path}" for row in find_documents(mirrored.collection, path, absolute)]


def test_a_document_is_found_by_all_its_spellings_and_one_alike_is_named(mirrored: Mirrored) -> None:
    mirrored.read("sub/a.txt", "one")
    for path in ("sub/a.txt", "./sub/a.txt", "sub/../sub/a.txt", "../folder/sub/a.txt", f"{mirrored.folder}/sub/a.txt"):
        assert found(mirrored, path) == ["folder/sub/a.txt"]
    with pytest.raises(NotFound, match=r"'sub/a\.txt'"):
        find_documents(mirrored.collection, "a.txt")
    with pytest.raises(BadInput, match="No file is named"):
        find_documents(mirrored.collection, "")


def test_of_two_folders_with_such_a_path_the_one_in_which_the_asker_stands_comes_first(
    mirrored: Mirrored, tmp_path: Path
) -> None:
    other = Mirrored(mirrored.collection, tmp_path / "other")
    mirrored.read("a.txt", "one")
    other.pending("a.txt")
    assert found(mirrored, "a.txt") == ["folder/a.txt", "other/a.txt"]
    assert found(mirrored, "a.txt", str(other.folder / "a.txt")) == ["other/a.txt", "folder/a.txt"]


def test_what_an_earlier_process_had_claimed_waits_while_none_lives(mirrored: Mirrored, database: Database) -> None:
    mirrored.collection.documents.enqueue([mirrored.pending("a.txt").id], SCANNED)
    assert ReadQueue(database, "run").claim([mirrored.row.id]) is not None
    status = collection_status(mirrored.collection, None, {}, time.time(), working=False)
    assert (status.queue.waiting, status.queue.reading) == (1, 0)
    assert status.files[0].waiting is not None
    assert status.files[0].waiting.said == "waiting"


@pytest.mark.parametrize(
    ("state", "message", "fault"),
    [
        ("watching", None, False),
        ("watching", "The rule '[' cannot be used.", True),
        ("missing", "/usb is not a folder.", True),
        ("polling", "no events: the limit is reached. The folder is looked at every 60 s", False),
        ("polling", "watching failed and begins anew: x", True),
    ],
)
def test_a_followed_folder_that_cannot_be_looked_at_is_behind_since_the_last_good_look(
    mirrored: Mirrored, state: FollowState, message: str | None, fault: bool
) -> None:
    mirrored.collection.documents.mark_scanned(mirrored.row.id)
    path = str(mirrored.folder)
    states = {path: FolderState("papers", path, state, message)}
    status = collection_status(mirrored.collection, None, states, time.time() + 100)
    assert status.folder_states[0].fault is fault
    assert (status.lag_s >= 100) is fault


def test_files_that_hold_nothing_are_counted_apart(mirrored: Mirrored) -> None:
    mirrored.write("void.txt", "")
    mirrored.collection.documents.add_pending(mirrored.row.id, [("void.txt", 0, 1)])
    void = mirrored.of("void.txt")
    mirrored.collection.documents.reject(
        void.id, size_bytes=0, mtime_ns=1, sha256=None, recipe=None, state="failed", reason="void.txt is empty."
    )
    mirrored.reject("bad.pdf", "failed", "damaged")
    totals = status_of(mirrored).totals
    assert (totals["failed"], totals["empty"]) == (2, 1)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.4, "0 s"), (59, "59 s"), (60, "1 min"), (7200, "2 h"), (100_000, "28 h"), (260_000, "3 days")],
)
def test_lengths_of_time_are_said_for_people(seconds: float, words: str) -> None:
    assert roughly(seconds) == words
