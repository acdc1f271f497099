"""Mirrors under way while something else happens: removed collections, a dead ingest process, the end of it all."""

from __future__ import annotations

import os
import shutil
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from ingest.events import Activity, FileDone, IngestEvent, MirrorDone, MirrorFailed
from models.cancellation import CancelToken
from rag.access import LOCAL_USER
from rag.appliance import Appliance
from rag.errors import BadInput, NotFound, UnknownCollection


@pytest.fixture
def appliance(fresh_appliance: Appliance) -> Appliance:
    return fresh_appliance


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """A folder that takes some seconds."""
    folder = tmp_path / "many"
    folder.mkdir()
    for i in range(300):
        (folder / f"{i:03}.md").write_text(f"# Rule {i}\n\n" + f"The keeper of tower {i} lights the lamp at {i}. " * 20)
    return folder


def begin(appliance: Appliance, folder: Path, collection: str = "default") -> tuple[Iterator[IngestEvent], CancelToken]:
    """A mirror of which some files have been read."""
    cancel = CancelToken()
    events = appliance.mirror(folder, identity=LOCAL_USER, collection=collection, cancel=cancel)
    for event in events:
        if isinstance(event, FileDone):
            return events, cancel
    raise AssertionError("the mirror ended before a file was read")


def last_of(events: Iterator[IngestEvent]) -> IngestEvent:
    return list(events)[-1]


def worker_of(appliance: Appliance) -> psutil.Process:
    process_id = appliance._mirrors._ingest.process_id
    assert process_id is not None
    return psutil.Process(process_id)


def mirror(appliance: Appliance, folder: Path) -> IngestEvent:
    return last_of(appliance.mirror(folder, identity=LOCAL_USER, cancel=CancelToken()))


def test_a_collection_can_be_removed_in_the_middle_of_its_mirror(appliance: Appliance, many: Path) -> None:
    events, _ = begin(appliance, many, "doomed")
    appliance.remove_collection("doomed", identity=LOCAL_USER)
    last = last_of(events)
    assert isinstance(last, MirrorFailed)
    assert last.code == "cancelled"
    assert "doomed" not in appliance.collections(LOCAL_USER)
    with pytest.raises(UnknownCollection):
        appliance.remove_collection("doomed", identity=LOCAL_USER)


def test_a_folder_can_be_forgotten_in_the_middle_of_its_mirror_and_the_others_go_on(
    appliance: Appliance, many: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "a.txt").write_text("The horn sounds in fog.")
    events, _ = begin(appliance, many)
    waiting = appliance.mirror(other, identity=LOCAL_USER, cancel=CancelToken())
    appliance.forget_folder(many, identity=LOCAL_USER)
    assert isinstance(last_of(events), MirrorFailed)
    assert isinstance(last_of(waiting), MirrorDone)
    status = appliance.status(identity=LOCAL_USER)
    assert [file.path for file in status.files] == ["a.txt"]
    assert status.folders == (str(other),)
    with pytest.raises(NotFound, match=str(other)):
        appliance.forget_folder(many, identity=LOCAL_USER)


def test_cancelling_one_mirror_leaves_the_one_that_waits(appliance: Appliance, many: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    events, cancel = begin(appliance, many)
    waiting = appliance.mirror(other, identity=LOCAL_USER, cancel=CancelToken())
    cancel.cancel()
    assert isinstance(last_of(events), MirrorFailed)
    assert isinstance(last_of(waiting), MirrorDone)


def test_everything_under_way_can_be_stopped_at_once(appliance: Appliance, many: Path, tmp_path: Path) -> None:
    events, _ = begin(appliance, many)
    shutil.copytree(many, tmp_path / "other")
    beside, _ = begin(appliance, tmp_path / "other")
    appliance.cancel_ingest(identity=LOCAL_USER)
    assert [type(last_of(found)) for found in (events, beside)] == [MirrorFailed, MirrorFailed]
    assert appliance.status(identity=LOCAL_USER).activity is None


def test_whoever_leaves_off_listening_stops_the_mirror(appliance: Appliance, many: Path) -> None:
    events, _ = begin(appliance, many)
    events.close()  # type: ignore[attr-defined]  # a generator
    (many.parent / "other").mkdir()
    assert isinstance(mirror(appliance, many.parent / "other"), MirrorDone)
    states = {file.state for file in appliance.status(identity=LOCAL_USER).files}
    assert "pending" in states, "the first mirror ran to its end"


def test_a_dead_ingest_process_is_told_to_all_and_the_next_request_starts_another(
    appliance: Appliance, many: Path, tmp_path: Path
) -> None:
    events, _ = begin(appliance, many)
    (tmp_path / "other").mkdir()
    waiting = appliance.mirror(tmp_path / "other", identity=LOCAL_USER, cancel=CancelToken())
    os.kill(worker_of(appliance).pid, signal.SIGKILL)
    for found in (events, waiting):
        last = last_of(found)
        assert isinstance(last, MirrorFailed)
        assert last.code == "worker_died"
        assert "ingest.log" in last.message
    assert isinstance(mirror(appliance, tmp_path / "other"), MirrorDone)


def test_closing_in_the_middle_ends_every_listener_and_every_process(appliance: Appliance, many: Path) -> None:
    events, _ = begin(appliance, many)
    heard: list[IngestEvent] = []
    listening = threading.Thread(target=lambda: heard.extend(events))
    listening.start()
    worker = worker_of(appliance)
    family = [worker, *worker.children(recursive=True)]
    appliance.close()
    listening.join(10)
    assert not listening.is_alive()
    assert isinstance(heard[-1], MirrorFailed)
    assert heard[-1].code in ("closed", "cancelled")
    _, left = psutil.wait_procs(family, timeout=10)
    assert left == []


def test_the_status_tells_what_is_done_now(appliance: Appliance, many: Path) -> None:
    events, cancel = begin(appliance, many)
    seen = appliance.status(identity=LOCAL_USER).activity
    assert seen is not None
    assert isinstance(seen, Activity)
    assert (seen.collection, seen.folder) == ("default", str(many))
    cancel.cancel()
    last_of(events)


def test_a_folder_that_is_none_is_refused(appliance: Appliance, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="nowhere"):
        appliance.add_folder(tmp_path / "nowhere", identity=LOCAL_USER)
