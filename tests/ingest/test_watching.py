"""A folder is followed: what changed is told once it is whole, and what hinders it is said."""

from __future__ import annotations

import math
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ingest.errors import BadRule
from ingest.folder_events import CannotWatch, FolderEvents
from ingest.rules import Rules, rules_of
from ingest.watching import Watcher

PATIENCE_S = 30.0
SETTLE_S = 0.2


class Told:
    """What a watcher has reported, and a way to wait for it."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self.reports: list[frozenset[str] | None] = []

    def __call__(self, paths: frozenset[str] | None) -> None:
        with self._changed:
            self.reports.append(paths)
            self._changed.notify_all()

    @property
    def paths(self) -> set[str]:
        return set().union(*(report for report in self.reports if report is not None))

    @property
    def whole(self) -> int:
        return self.reports.count(None)

    def until(self, done: Callable[[], bool]) -> bool:
        with self._changed:
            return self._changed.wait_for(done, PATIENCE_S)

    def hears(self, *paths: str) -> bool:
        return self.until(lambda: self.paths >= set(paths))


Follow = Callable[..., tuple[Watcher, Told]]


@pytest.fixture
def follow() -> Iterator[Follow]:
    watchers: list[Watcher] = []

    def start(folder: Path, **options: Any) -> tuple[Watcher, Told]:
        told = Told()
        given = {"hidden": False, "rules": lambda: rules_of(folder, ()), "settle_s": SETTLE_S} | options
        watchers.append(Watcher(folder, told, **given))
        return watchers[-1], told

    yield start
    for watcher in watchers:
        watcher.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("watch ")]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "a.txt").write_text("a")
    return folder


def test_at_the_start_everything_is_to_be_looked_at_then_only_what_changed(follow: Follow, folder: Path) -> None:
    watcher, told = follow(folder)
    assert told.until(lambda: told.reports == [None])
    assert (watcher.state, watcher.message) == ("watching", None)
    (folder / "new.txt").write_text("x")
    assert told.hears("new.txt")
    (folder / "sub" / "a.txt").unlink()
    assert told.hears("sub/a.txt")
    assert told.whole == 1


def test_a_file_is_told_when_its_writer_has_closed_it(follow: Follow, folder: Path) -> None:
    _, told = follow(folder)
    assert told.until(lambda: told.whole == 1)
    with (folder / "slow.txt").open("w") as file:
        for _ in range(10):
            file.write("more")
            file.flush()
            time.sleep(0.1)
        (folder / "meanwhile.txt").touch()
        assert told.hears("meanwhile.txt")
        assert "slow.txt" not in told.paths
    assert told.hears("slow.txt")


def test_a_renamed_folder_is_told_by_both_names_in_one_report(follow: Follow, folder: Path) -> None:
    time.sleep(SETTLE_S)
    _, told = follow(folder)
    assert told.until(lambda: told.whole == 1)
    (folder / "sub").rename(folder / "renamed")
    assert told.hears("sub", "renamed")
    assert {"sub", "renamed"} in told.reports


def test_many_new_files_come_in_few_reports(follow: Follow, folder: Path, tmp_path: Path) -> None:
    many = tmp_path / "many"
    for number in range(600):
        (many / str(number % 20)).mkdir(parents=True, exist_ok=True)
        (many / str(number % 20) / f"{number}.txt").write_text("x")
    _, told = follow(folder)
    assert told.until(lambda: told.whole == 1)
    shutil.copytree(many, folder / "copied")
    expected = {str(Path("copied", path.relative_to(many))) for path in many.rglob("*.txt")}

    def complete() -> bool:
        paths = told.paths
        return all(path in paths or paths & set(_parents(path)) for path in expected)

    assert told.until(complete)
    assert len(told.reports) < 60


def _parents(path: str) -> list[str]:
    return [str(parent) for parent in Path(path).parents]


def test_what_is_hidden_or_left_out_is_not_told(follow: Follow, folder: Path) -> None:
    _, told = follow(folder, rules=lambda: Rules(["*.log", "old/"]))
    assert told.until(lambda: told.whole == 1)
    (folder / "old").mkdir()
    (folder / ".git").mkdir()
    for name in ("a.log", "~$a.docx", ".secret", ".git/config", "old/a.txt", "z.txt"):
        (folder / name).write_text("x")
    assert told.hears("z.txt")
    (folder / "a.log").unlink()
    (folder / "z.txt").unlink()
    assert told.until(lambda: sum("z.txt" in (report or ()) for report in told.reports) == 2)
    assert told.paths == {"z.txt"}


def test_hidden_files_are_told_when_wanted(follow: Follow, folder: Path) -> None:
    _, told = follow(folder, hidden=True)
    assert told.until(lambda: told.whole == 1)
    (folder / ".notes").mkdir()
    time.sleep(0.1)
    (folder / ".notes" / "a.txt").touch()
    assert told.until(lambda: bool(told.paths & {".notes", ".notes/a.txt"}))


def test_when_the_folders_own_rules_change_everything_is_looked_at(follow: Follow, folder: Path) -> None:
    (folder / "old").mkdir()
    (folder / ".lecternignore").write_text("old/\n")
    _, told = follow(folder)
    assert told.until(lambda: told.whole == 1)
    (folder / ".lecternignore").write_text("")
    assert told.until(lambda: told.whole >= 2)
    time.sleep(2 * SETTLE_S)
    (folder / "old" / "back.txt").touch()
    assert told.hears("old/back.txt")


def test_when_the_rules_given_change_everything_is_looked_at(follow: Follow, folder: Path) -> None:
    lines = ["*.log"]
    _, told = follow(folder, rules=lambda: Rules(lines))
    assert told.until(lambda: told.whole == 1)
    lines.append("*.bak")
    assert told.until(lambda: told.whole == 2)


def test_while_the_rules_are_wrong_the_earlier_ones_hold(follow: Follow, folder: Path) -> None:
    lines = ["*.log"]
    _, told = follow(folder, rules=lambda: Rules(lines))
    assert told.until(lambda: told.whole == 1)
    lines.append("[")
    with pytest.raises(BadRule):
        Rules(lines)
    time.sleep(1.5)  # long enough for it to have asked
    (folder / "a.log").touch()
    (folder / "b.txt").touch()
    assert told.hears("b.txt")
    assert told.paths == {"b.txt"}


def test_a_folder_that_goes_away_is_missing_until_it_is_back(follow: Follow, folder: Path, tmp_path: Path) -> None:
    watcher, told = follow(folder)
    assert told.until(lambda: told.whole == 1)
    folder.rename(tmp_path / "away")
    assert _soon(lambda: watcher.state == "missing")
    assert "is not a folder" in (watcher.message or "")
    assert told.whole == 1
    (tmp_path / "away").rename(folder)
    assert told.until(lambda: told.whole == 2)
    assert (watcher.state, watcher.message) == ("watching", None)
    (folder / "new.txt").touch()
    assert told.hears("new.txt")


def test_a_folder_that_is_removed_and_made_anew_is_followed_again(follow: Follow, folder: Path) -> None:
    _, told = follow(folder)
    assert told.until(lambda: told.whole == 1)
    shutil.rmtree(folder)
    folder.mkdir()
    assert told.until(lambda: told.whole >= 2)
    (folder / "new.txt").touch()
    assert told.hears("new.txt")


def test_an_empty_mount_point_on_another_disk_is_a_missing_folder(
    follow: Follow, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    identity = ["1:10"]
    monkeypatch.setattr("ingest.watching.identity_of", lambda _: identity[0])
    watcher, told = follow(folder)
    assert told.until(lambda: told.whole == 1)
    kept = folder / "sub" / "a.txt"
    kept.unlink()
    kept.parent.rmdir()
    identity[0] = "2:2"
    assert _soon(lambda: watcher.state == "missing")
    assert "plugged in" in (watcher.message or "")
    assert told.whole == 1
    identity[0] = "1:10"
    assert told.until(lambda: told.whole == 2)


def test_a_folder_need_not_be_there_at_the_start(follow: Follow, tmp_path: Path) -> None:
    watcher, told = follow(tmp_path / "later")
    assert _soon(lambda: watcher.state == "missing")
    (tmp_path / "later").mkdir()
    assert told.until(lambda: told.whole == 1)


def _refuse(*_: object) -> FolderEvents:
    raise CannotWatch("the system's limit is reached")


def test_without_events_it_looks_at_the_folder_now_and_then_and_says_why(follow: Follow, folder: Path) -> None:
    watcher, told = follow(folder, open_events=_refuse, rescan_s=0.2)
    assert told.until(lambda: told.whole >= 3)
    assert watcher.state == "polling"
    assert "limit is reached" in (watcher.message or "")


def test_a_network_drive_is_looked_at_now_and_then_too(
    follow: Follow, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingest.watching.remote_kind", lambda _: "nfs4")
    watcher, told = follow(folder, rescan_s=0.5)
    assert told.until(lambda: told.whole >= 3)
    assert watcher.state == "polling"
    assert "nfs4" in (watcher.message or "")
    (folder / "from-here.txt").touch()
    assert told.hears("from-here.txt")


def test_the_periodic_look_happens_on_a_local_disk_as_well(follow: Follow, folder: Path) -> None:
    watcher, told = follow(folder, rescan_s=0.3)
    assert told.until(lambda: told.whole >= 3)
    assert watcher.state == "watching"


def test_a_report_that_fails_is_made_again_by_a_look_at_everything(folder: Path) -> None:
    told = Told()
    failures = ["once"]

    def fails_once(paths: frozenset[str] | None) -> None:
        if paths is not None and failures:
            raise RuntimeError(failures.pop())
        told(paths)

    watcher = Watcher(folder, fails_once, hidden=False, rules=Rules, settle_s=SETTLE_S)
    try:
        assert told.until(lambda: told.whole == 1)
        (folder / "new.txt").touch()
        assert told.until(lambda: told.whole == 2)
        assert watcher.state == "watching"
    finally:
        watcher.close()


def test_after_close_nothing_is_told(follow: Follow, folder: Path) -> None:
    watcher, told = follow(folder)
    assert told.until(lambda: told.whole == 1)
    watcher.close()
    (folder / "late.txt").touch()
    time.sleep(3 * SETTLE_S)
    assert told.reports == [None]
    watcher.close()


def test_it_may_be_closed_from_its_own_report(folder: Path) -> None:
    told = Told()
    watchers: list[Watcher] = []
    made = threading.Event()

    def close_it(paths: frozenset[str] | None) -> None:
        made.wait()
        watchers[0].close()
        told(paths)

    watchers.append(Watcher(folder, close_it, hidden=False, rules=Rules))
    made.set()
    assert told.until(lambda: told.whole == 1)
    watchers[0].close()


def _soon(done: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + PATIENCE_S
    while not done() and time.monotonic() < deadline:
        time.sleep(0.05)
    return done()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere names are text")
def test_a_name_that_is_not_utf8_has_the_folder_looked_at_once_in_a_while(
    follow: Follow, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingest.watching.NAMELESS_S", 2.0)
    _, told = follow(folder)
    assert told.until(lambda: told.whole == 1)
    began = time.monotonic()
    while time.monotonic() - began < 1.2:
        for place in (folder, folder / "sub"):
            with (place / os.fsdecode(b"\xff.log")).open("a") as file:
                file.write("x")
        time.sleep(0.03)
    (folder / "last.txt").touch()
    assert told.hears("last.txt")
    assert told.whole <= 1 + math.ceil((time.monotonic() - began) / 2.0)
    whole = told.whole
    assert whole > 1
    assert told.until(lambda: told.whole > whole), "what came after the look is looked at when the time has passed"
    assert all("\udcff" not in path for path in told.paths)
