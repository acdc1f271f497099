"""Scratch folders end with their owner, also with one that was killed."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from ingest.scratch import PREFIX, Scratch, sweep

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="folders cannot be locked there")

REPOSITORY = Path(__file__).parents[2]
OWNER = """
import sys, time
from pathlib import Path
from ingest.scratch import Scratch
scratch = Scratch(Path(sys.argv[1]))
(scratch.path / "inside").mkdir()
(scratch.path / "inside" / "half.txt").write_text("x")
print(scratch.path, flush=True)
time.sleep(600)
"""


def test_a_folder_of_a_killed_process_is_swept_one_of_a_living_process_is_not(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", OWNER, str(tmp_path)], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True
    ) as owner:
        try:
            assert owner.stdout is not None
            left = Path(owner.stdout.readline().strip())
            assert (left / "inside" / "half.txt").is_file()
            assert sweep(tmp_path) == 0
            assert left.is_dir()
        finally:
            owner.kill()
    assert sweep(tmp_path) == 1
    assert list(tmp_path.iterdir()) == []


def test_our_own_folder_is_not_swept_and_goes_when_closed(tmp_path: Path) -> None:
    scratch = Scratch(tmp_path)
    (scratch.path / "a.txt").touch()
    assert sweep(tmp_path) == 0
    scratch.close()
    scratch.close()
    assert list(tmp_path.iterdir()) == []


def test_only_folders_of_ours_are_swept(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "a.txt").touch()
    (tmp_path / f"{PREFIX}link").symlink_to(outside)
    (tmp_path / f"{PREFIX}file").touch()
    (tmp_path / f"{PREFIX}dead").mkdir()
    (tmp_path / f"{PREFIX}dead" / "link").symlink_to(outside)
    assert sweep(tmp_path) == 1
    assert (outside / "a.txt").is_file()
    assert {entry.name for entry in os.scandir(tmp_path)} == {"outside", f"{PREFIX}link", f"{PREFIX}file"}


def test_a_sweep_never_takes_a_folder_from_one_who_just_made_it(tmp_path: Path) -> None:
    stop = threading.Event()
    faults: list[BaseException] = []

    def sweep_on() -> None:
        try:
            while not stop.is_set():
                sweep(tmp_path)
        except BaseException as exc:
            faults.append(exc)

    sweeper = threading.Thread(target=sweep_on)
    sweeper.start()
    try:
        for _ in range(100):
            scratch = Scratch(tmp_path)
            assert scratch.path.is_dir()
            scratch.close()
    finally:
        stop.set()
        sweeper.join()
    assert faults == []
    assert list(tmp_path.iterdir()) == []
