"""The operating system's word on what has changed: one suite over every way to hear it, and what only inotify can."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ingest.folder_events import CannotWatch, FolderEvents, InotifyEvents, WatchfilesEvents

PATIENCE_S = 20.0

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="inotify is Linux's")


class Heard:
    """Collects what was told until it holds what is awaited."""

    def __init__(self, events: FolderEvents) -> None:
        self._events = events
        self.paths: set[str] = set()
        self.lost = False

    def hears(self, *paths: str) -> bool:
        return self.until(lambda: self.paths >= set(paths))

    def until(self, done: Callable[[], bool]) -> bool:
        deadline = time.monotonic() + PATIENCE_S
        while not done() and time.monotonic() < deadline:
            happened = self._events.wait(0.2)
            self.paths |= happened.paths
            self.lost |= happened.lost
        return done()


def _inotify(folder: Path) -> FolderEvents:
    return InotifyEvents(folder, lambda path: not path.endswith("left-out"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    for name in ("a.txt", "sub/b.txt", "left-out/c.txt"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    return folder


@pytest.fixture(params=[pytest.param(_inotify, id="inotify", marks=linux_only), pytest.param(WatchfilesEvents)])
def heard(request: pytest.FixtureRequest, folder: Path) -> Iterator[Heard]:
    events = request.param(folder)
    yield Heard(events)
    events.close()


def test_new_changed_and_removed_files_are_told(heard: Heard, folder: Path) -> None:
    (folder / "new.txt").write_text("x")
    assert heard.hears("new.txt")
    (folder / "sub" / "b.txt").write_text("y")
    (folder / "a.txt").unlink()
    assert heard.hears("sub/b.txt", "a.txt")
    assert not heard.lost


def test_a_moved_file_is_told_by_both_names(heard: Heard, folder: Path) -> None:
    (folder / "a.txt").rename(folder / "sub" / "z.txt")
    assert heard.hears("a.txt", "sub/z.txt")


def test_inside_a_new_folder_changes_are_told(heard: Heard, folder: Path) -> None:
    (folder / "x" / "y" / "z").mkdir(parents=True)
    assert heard.hears("x")
    time.sleep(0.3)  # watchfiles has no word for when it watches a new folder
    (folder / "x" / "y" / "z" / "deep.txt").write_text("x")
    assert heard.hears("x/y/z/deep.txt")


def test_a_wait_ends_when_woken(heard: Heard) -> None:
    heard._events.wake()
    began = time.monotonic()
    heard._events.wait(PATIENCE_S)
    assert time.monotonic() - began < PATIENCE_S


def test_what_is_not_there_cannot_be_watched(tmp_path: Path) -> None:
    with pytest.raises(CannotWatch):
        WatchfilesEvents(tmp_path / "nothing")
    if sys.platform == "linux":
        with pytest.raises(CannotWatch):
            _inotify(tmp_path / "nothing")


@pytest.fixture
def inotify(folder: Path) -> Iterator[Heard]:
    if sys.platform != "linux":
        pytest.skip("inotify is Linux's")
    events = _inotify(folder)
    yield Heard(events)
    events.close()


def test_after_a_folder_was_moved_its_files_are_told_by_their_new_place(inotify: Heard, folder: Path) -> None:
    (folder / "sub").rename(folder / "moved")
    assert inotify.hears("sub", "moved")
    (folder / "moved" / "b.txt").write_text("y")
    assert inotify.hears("moved/b.txt")
    assert "sub/b.txt" not in inotify.paths


def test_a_folder_moved_out_is_heard_of_no_more(inotify: Heard, folder: Path, tmp_path: Path) -> None:
    (folder / "sub").rename(tmp_path / "out")
    assert inotify.hears("sub")
    (tmp_path / "out" / "b.txt").write_text("y")
    (folder / "last.txt").touch()
    assert inotify.hears("last.txt")
    assert inotify.paths == {"sub", "last.txt"}


def test_a_folder_that_is_made_anew_is_heard_of_again(inotify: Heard, folder: Path) -> None:
    for turn in range(5):
        (folder / "again").mkdir()
        (folder / "again" / f"{turn}.txt").touch()
        assert inotify.until(lambda turn=turn: bool({"again", f"again/{turn}.txt"} & inotify.paths))
        (folder / "again" / f"{turn}.txt").unlink()
        (folder / "again").rmdir()
    (folder / "again").mkdir()
    (folder / "again" / "last.txt").touch()
    inotify.paths.clear()
    assert inotify.until(lambda: bool({"again", "again/last.txt"} & inotify.paths))


def test_links_and_folders_that_are_left_out_are_not_watched(inotify: Heard, folder: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (folder / "link").symlink_to(outside)
    (folder / "loop").symlink_to(folder)
    (outside / "secret.txt").touch()
    (folder / "left-out" / "d.txt").touch()
    (folder / "last.txt").touch()
    assert inotify.hears("last.txt")
    assert inotify.paths == {"link", "loop", "last.txt"}


def test_a_name_that_is_not_utf8_is_told_as_it_is_and_such_a_folder_not_watched(inotify: Heard, folder: Path) -> None:
    odd = os.fsdecode(b"\xff")
    (folder / f"{odd}.txt").touch()
    (folder / "sub" / odd).mkdir()
    assert inotify.hears(f"{odd}.txt", f"sub/{odd}")
    (folder / "sub" / odd / "inside.txt").touch()
    (folder / "last.txt").touch()
    assert inotify.hears("last.txt")
    assert inotify.paths == {f"{odd}.txt", f"sub/{odd}", "last.txt"}


def test_after_its_end_nothing_is_written_to_a_number_that_may_be_another_files(folder: Path) -> None:
    if sys.platform != "linux":
        pytest.skip("inotify is Linux's")
    events = _inotify(folder)
    events.close()
    pipes = [os.pipe() for _ in range(4)]
    events.wake()
    events.close()
    for reading, writing in pipes:
        os.close(writing)
        assert os.read(reading, 1) == b""
        os.close(reading)


def test_it_is_said_when_the_folder_itself_goes_away(inotify: Heard, folder: Path, tmp_path: Path) -> None:
    folder.rename(tmp_path / "elsewhere")
    assert inotify.until(lambda: inotify.lost)


def test_it_is_said_when_the_system_dropped_events(inotify: Heard, folder: Path) -> None:
    most = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    if most > 100_000:
        pytest.skip(f"the system keeps {most:,} events")
    one, other = folder / "sub" / "1", folder / "sub" / "2"
    for _ in range(most // 2 + 10):
        one.touch()  # two names in turn, since equal events in a row count as one
        other.touch()
    assert inotify.until(lambda: inotify.lost)


def test_the_limit_of_the_system_is_an_error_that_names_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if sys.platform != "linux":
        pytest.skip("inotify is Linux's")
    import inotify_simple

    def refuse(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(inotify_simple.INotify, "add_watch", refuse)
    with pytest.raises(CannotWatch, match="max_user_watches"):
        _inotify(folder)
