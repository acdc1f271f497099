"""Files come out when nobody writes them any more, never before, and never not at all."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from ingest.rules import Rules
from ingest.settling import (
    GROWING_S,
    MOST_REPEAT_S,
    OPEN_S,
    REPEAT_S,
    Settling,
    open_for_writing,
)
from ingest.walk import walk

SETTLE_S = 0.4
BEGIN_NS = 1_700_000_000 * 10**9


class Disk:
    """A folder and both clocks, moved by hand."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.now = 100.0
        self.open: set[Path] = set()
        self.settling = Settling(
            folder,
            lambda path: walk(folder, rules=Rules(), below=path),
            settle_s=SETTLE_S,
            is_open=lambda path: path in self.open,
            clock=lambda: self.now,
            wall_clock_ns=self.wall_ns,
        )

    def wall_ns(self) -> int:
        return BEGIN_NS + round(self.now * 1e9)

    def write(self, path: str, text: str = "x") -> None:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("a") as opened:
            opened.write(text)
        os.utime(file, ns=(self.wall_ns(), self.wall_ns()))
        self.settling.note([path])

    def after(self, seconds: float) -> set[str]:
        self.now += seconds
        return set(self.settling.ready())


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return Disk(tmp_path)


def test_a_file_is_ready_when_it_has_stood_still(disk: Disk) -> None:
    disk.write("a.txt")
    assert disk.after(0) == set()
    assert disk.settling.next_look == pytest.approx(disk.now + SETTLE_S)
    assert disk.after(0.39) == set()
    assert disk.after(0.02) == {"a.txt"}
    assert disk.after(60) == set()
    assert disk.settling.next_look is None


def test_a_file_that_grows_is_held_until_it_stands_still(disk: Disk) -> None:
    for _ in range(50):
        disk.write("copy.pdf", "more")
        assert disk.after(0.3) == set()
    assert disk.after(0.3) | disk.after(0.3) == {"copy.pdf"}


def test_a_log_that_never_stands_still_is_reported_now_and_then(disk: Disk) -> None:
    reports = []
    for _ in range(round(4 * GROWING_S / 0.3)):
        disk.write("log.txt", "more")
        if disk.after(0.3):
            reports.append(disk.now)
    assert 3 <= len(reports) <= 4
    assert all(late - early >= REPEAT_S for early, late in pairwise(reports))


def test_a_file_that_is_saved_again_and_again_is_reported_ever_less_often(disk: Disk) -> None:
    reports = []
    for _ in range(90):
        disk.write("log.txt", "more")
        reports += [disk.now for _ in range(2) if disk.after(0.5)]
    rests = [late - early for early, late in pairwise(reports)]
    assert rests[0] <= 2 * REPEAT_S
    assert rests == sorted(rests)
    assert rests[-1] <= MOST_REPEAT_S + 1
    assert len(reports) < 12


def test_a_file_that_is_saved_twice_in_a_row_is_reported_soon_again(disk: Disk) -> None:
    disk.write("a.txt")
    assert disk.after(SETTLE_S) == {"a.txt"}
    disk.write("a.txt", "changed")
    assert disk.after(REPEAT_S) | disk.after(REPEAT_S) == {"a.txt"}


def test_a_late_event_of_a_change_that_was_reported_makes_no_second_report(disk: Disk) -> None:
    disk.write("a.txt")
    assert disk.after(SETTLE_S) == {"a.txt"}
    disk.settling.note(["a.txt"])
    assert disk.after(REPEAT_S * 2) == set()


def test_a_file_held_open_for_writing_is_held_back_though_it_stands_still(disk: Disk) -> None:
    disk.open.add(disk.folder / "a.docx")
    disk.write("a.docx")
    assert disk.after(1) == set()
    disk.open.clear()
    assert disk.after(SETTLE_S) == {"a.docx"}


def test_an_editor_that_keeps_its_file_open_does_not_hide_it_for_ever(disk: Disk) -> None:
    disk.open.add(disk.folder / "a.odt")
    disk.write("a.odt")
    assert disk.after(OPEN_S - 1) == set()
    assert disk.after(1.5) == {"a.odt"}
    assert disk.after(OPEN_S * 3) == set()  # nothing has changed since


def test_what_is_gone_is_ready_at_once(disk: Disk) -> None:
    disk.write("a.txt")
    (disk.folder / "a.txt").unlink()
    disk.settling.note(["a.txt", "never.txt"])
    assert disk.after(0) == {"a.txt", "never.txt"}


def test_a_file_that_goes_away_while_it_is_held_is_ready(disk: Disk) -> None:
    disk.write("a.txt")
    (disk.folder / "a.txt").unlink()
    assert disk.after(1) == {"a.txt"}


def test_a_moved_file_is_ready_at_once_with_both_names(disk: Disk) -> None:
    disk.write("a.txt")
    disk.after(5)
    (disk.folder / "a.txt").rename(disk.folder / "b.txt")
    disk.settling.note(["a.txt", "b.txt"])
    assert disk.after(0) == {"a.txt", "b.txt"}


def test_a_moved_folder_is_told_by_its_two_names(disk: Disk) -> None:
    disk.write("old/a.txt")
    disk.write("old/deep/b.txt")
    disk.after(5)
    (disk.folder / "old").rename(disk.folder / "new")
    disk.settling.note(["old", "new", "old/a.txt", "old/deep"])
    assert disk.after(0) == {"old", "new"}


def test_of_a_folder_that_is_being_filled_only_whole_files_are_told(disk: Disk) -> None:
    disk.write("new/a.txt")
    disk.now += 5
    disk.write("new/b.txt")
    disk.settling.note(["new"])
    assert disk.after(0) == {"new/a.txt"}
    assert disk.after(1) == {"new/b.txt"}


def test_what_the_walk_leaves_out_is_not_told(disk: Disk) -> None:
    for path in ("a.tmp", ".hidden.txt", "node_modules/a.txt"):
        disk.write(path)
    disk.settling.note(["node_modules"])
    assert disk.after(60) == set()


def test_what_cannot_be_read_is_told_at_once_since_the_walk_has_its_reason(disk: Disk) -> None:
    os.mkfifo(disk.folder / "pipe")
    disk.settling.note(["pipe"])
    assert disk.after(0) == {"pipe"}


def test_a_date_in_the_future_does_not_hold_a_file_for_ever(disk: Disk) -> None:
    (disk.folder / "a.txt").touch()
    os.utime(disk.folder / "a.txt", ns=(0, disk.wall_ns() + 10**15))
    disk.settling.note(["a.txt"])
    assert disk.after(SETTLE_S) == {"a.txt"}


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")
def test_the_system_tells_who_has_a_file_open_for_writing(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text("x")
    assert not open_for_writing(file)
    with file.open():
        assert not open_for_writing(file)
    with file.open("a"):
        assert open_for_writing(file)
    assert not open_for_writing(file)
    assert not open_for_writing(tmp_path / "gone.txt")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")
def test_asking_for_a_file_harms_neither_its_writers_nor_us(tmp_path: Path, in_thread: Callable[..., None]) -> None:
    file = tmp_path / "a.txt"

    def write() -> None:
        for _ in range(3000):
            with file.open("a") as opened:
                opened.write("x")

    file.touch()
    in_thread(write, lambda: open_for_writing(file))
    assert file.stat().st_size == 3000


@pytest.fixture
def in_thread() -> Callable[..., None]:
    """Run one thing in a thread, and another here until that has ended."""

    def run(there: Callable[[], None], here: Callable[[], object]) -> None:
        thread = threading.Thread(target=there)
        thread.start()
        while thread.is_alive():
            here()
        thread.join()

    return run
