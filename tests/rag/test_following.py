"""A followed folder: what happens on the disk happens in the index, whatever happens to the process that does it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ingest.events import InStep
from models.cancellation import CancelToken
from rag.access import LOCAL_USER
from rag.appliance import Appliance

MOST_S = 30.0


def wait_until(holds: Callable[[], object]) -> None:
    until = time.monotonic() + MOST_S
    while not holds():
        assert time.monotonic() < until, "it never came to that"
        time.sleep(0.05)


def files(appliance: Appliance) -> dict[str, str]:
    return {file.path: file.state for file in appliance.status(identity=LOCAL_USER).files}


def found(appliance: Appliance, word: str) -> list[int]:
    """Chunks that hold the word."""
    collection = appliance.collection("default", identity=LOCAL_USER)
    return [chunk_id for chunk_id, _ in collection.lexical.search_chunks([word], 5)]


@pytest.fixture
def appliance(fresh_appliance: Appliance) -> Appliance:
    return fresh_appliance


@pytest.fixture
def followed(appliance: Appliance, tmp_path: Path) -> Path:
    folder = tmp_path / "followed"
    folder.mkdir()
    (folder / "first.txt").write_text("The keeper lights the lamp.")
    appliance.add_folder(folder, identity=LOCAL_USER)
    appliance.follow_all()
    wait_until(lambda: state_of(appliance, folder) == "watching" and found(appliance, "keeper"))
    return folder


def state_of(appliance: Appliance, folder: Path) -> str | None:
    states = appliance._mirrors.folder_states(appliance.collection("default", identity=LOCAL_USER))
    return states[str(folder)].state if str(folder) in states else None


def test_files_come_change_move_and_go(appliance: Appliance, followed: Path) -> None:
    (followed / "new.txt").write_text("A wombat came ashore.")
    wait_until(lambda: found(appliance, "wombat"))
    before = found(appliance, "wombat")
    (followed / "new.txt").rename(followed / "renamed.txt")
    wait_until(lambda: files(appliance).get("renamed.txt") == "indexed")
    assert found(appliance, "wombat") == before
    (followed / "renamed.txt").write_text("A numbat came ashore.")
    wait_until(lambda: found(appliance, "numbat") and not found(appliance, "wombat"))
    (followed / "renamed.txt").unlink()
    wait_until(lambda: not found(appliance, "numbat"))
    assert "renamed.txt" not in files(appliance)
    wait_until(lambda: appliance.status(identity=LOCAL_USER).lag_s == 0)


def test_while_paused_files_wait_and_deleted_ones_go(appliance: Appliance, followed: Path) -> None:
    appliance.pause(True, identity=LOCAL_USER)
    (followed / "new.txt").write_text("A wombat came ashore.")
    (followed / "first.txt").unlink()
    wait_until(lambda: files(appliance).get("new.txt") == "pending" and "first.txt" not in files(appliance))
    appliance.pause(False, identity=LOCAL_USER)
    wait_until(lambda: found(appliance, "wombat"))


def test_a_dead_ingest_process_has_a_successor_that_follows_too(appliance: Appliance, followed: Path) -> None:
    process_id = appliance._mirrors._ingest.process_id
    assert process_id is not None
    os.kill(process_id, signal.SIGKILL)
    (followed / "new.txt").write_text("A wombat came ashore.")
    wait_until(lambda: found(appliance, "wombat"))
    assert appliance._mirrors._ingest.process_id not in (None, process_id)


def test_a_folder_that_goes_away_keeps_its_documents_until_it_is_back(appliance: Appliance, followed: Path) -> None:
    away = followed.rename(followed.with_name("away"))
    wait_until(lambda: state_of(appliance, followed) == "missing")
    assert found(appliance, "keeper")
    (away / "new.txt").write_text("A wombat came ashore.")
    away.rename(followed)
    wait_until(lambda: state_of(appliance, followed) == "watching" and found(appliance, "wombat"))


def test_a_forgotten_folder_is_followed_no_longer(appliance: Appliance, followed: Path) -> None:
    appliance.forget_folder(followed, identity=LOCAL_USER)
    assert files(appliance) == {}
    (followed / "new.txt").write_text("A wombat came ashore.")
    time.sleep(1.5)  # long enough for a watcher that had not ended
    assert files(appliance) == {}
    assert state_of(appliance, followed) == "left"


def test_who_follows_one_folder_hears_each_time_that_it_is_in_step(appliance: Appliance, followed: Path) -> None:
    cancel = CancelToken()
    events = appliance.follow(followed, identity=LOCAL_USER, cancel=cancel)
    (followed / "new.txt").write_text("A wombat came ashore.")
    for event in events:
        if isinstance(event, InStep) and event.counts.get("read"):
            break
    assert found(appliance, "wombat")
    cancel.cancel()
