"""A folder's files: all of them, in order, and a reason for each that is passed over."""

from __future__ import annotations

import errno
import hashlib
import os
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ingest.errors import FolderMissing, NotNow, Vanished
from ingest.plain_file import FileIdentity
from ingest.rules import Rules
from ingest.walk import Found, identity_of, sha256_of, walk
from models.cancellation import Cancelled, CancelToken


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    for name in ("b.txt", "a/z.txt", "a/ä ö.txt", ".hidden", "a/.git/config"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return folder


def test_files_come_sorted_with_relative_paths(folder: Path) -> None:
    found = list(walk(folder))
    assert [file.path for file in found] == ["a/z.txt", "a/ä ö.txt", "b.txt"]
    assert found[0].size_bytes == 7
    assert found[0].mtime_ns == (folder / "a/z.txt").stat().st_mtime_ns
    assert all(file.reason is None and file.absolute.is_file() for file in found)


def test_names_with_a_dot_only_when_asked_for(folder: Path) -> None:
    assert [file.path for file in walk(folder, hidden=True)] == [
        ".hidden",
        "a/.git/config",
        "a/z.txt",
        "a/ä ö.txt",
        "b.txt",
    ]


def test_links_out_of_the_folder_and_loops_are_passed_over_with_a_reason(folder: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside.txt"
    outside.write_text("secret")
    (folder / "c-out.txt").symlink_to(outside)
    (folder / "d-in.txt").symlink_to(folder / "b.txt")
    (folder / "e-loop").symlink_to(folder)
    (folder / "f-broken").symlink_to(folder / "nothing")
    os.mkfifo(folder / "g-pipe")
    reasons = {file.path: file.reason for file in walk(folder)}
    assert "out of the folder" in (reasons["c-out.txt"] or "")
    assert reasons["d-in.txt"] is None
    assert "link to a folder" in (reasons["e-loop"] or "")
    assert "cannot be read" in (reasons["f-broken"] or "")
    assert "not a plain file" in (reasons["g-pipe"] or "")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read_is_reported(folder: Path) -> None:
    (folder / "a").chmod(0)
    (folder / "b.txt").chmod(0)
    reasons = {file.path: file.reason for file in walk(folder)}
    (folder / "a").chmod(0o700)
    assert "cannot be listed" in (reasons["a"] or "")
    assert reasons["b.txt"] == "no permission to read it"


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FolderMissing, match="nowhere"):
        list(walk(tmp_path / "nowhere"))


def test_what_rules_leave_out_is_told_with_the_rule_and_not_entered(folder: Path) -> None:
    found = {file.path: file.left_out_by for file in walk(folder, rules=Rules(["/a/", "b*", "!*.md"]))}
    assert found == {"a": "/a/", "b.txt": "b*"}
    assert [file.left_out_by for file in walk(folder, rules=Rules())] == [None, None, None]


def test_names_of_every_kind_come_as_they_are_on_the_disk(tmp_path: Path) -> None:
    composed = unicodedata.normalize("NFC", "ü.txt")
    names = {composed, unicodedata.normalize("NFD", composed), "line\nbreak.txt", "x" * 251 + ".txt", "-rf", " a "}
    for name in names:
        (tmp_path / name).write_text(name)
    assert {file.path: file.reason for file in walk(tmp_path)} == dict.fromkeys(names)
    (tmp_path / os.fsdecode(b"\xff.txt")).touch()
    (odd,) = (file for file in walk(tmp_path) if file.path not in names)
    assert odd.path == "\\xff.txt"
    assert "not UTF-8" in (odd.reason or "")


def test_hard_links_are_files_of_their_own(folder: Path) -> None:
    os.link(folder / "b.txt", folder / "c.txt")
    assert [file.path for file in walk(folder)][-2:] == ["b.txt", "c.txt"]


def test_folders_may_be_nested_deeper_than_calls(tmp_path: Path) -> None:
    nested = [f"{tmp_path}{'/d' * depth}" for depth in range(1, 1201)]
    for path in nested:
        os.mkdir(path)
    try:
        assert list(walk(tmp_path)) == []
    finally:  # pytest's own clean-up cannot go so deep
        for path in reversed(nested):
            os.rmdir(path)


@pytest.mark.parametrize("hidden", [False, True])
@pytest.mark.parametrize("rules", [None, Rules(), Rules(["/a/"]), Rules(["*", "!*/", "!z*"])])
def test_a_part_of_the_walk_is_that_part_of_the_whole(folder: Path, hidden: bool, rules: Rules | None) -> None:
    (folder / "a" / "deep").mkdir()
    (folder / "a" / "deep" / "c.txt").touch()
    (folder / "link").symlink_to(folder / "a")
    (folder / "a" / "b-link.txt").symlink_to(folder / "b.txt")
    whole = list(walk(folder, hidden=hidden, rules=rules))
    starts = ["a", "a/deep", "a/deep/c.txt", "a/.git", "a/.git/config", ".hidden", "b.txt", "link", "link/z.txt"]
    for start in [*starts, "a/b-link.txt", "gone", "gone/x", "b.txt/x", "..", "a/../b.txt", "/etc", "a/"]:
        part = [file for file in whole if file.path == start or file.path.startswith(f"{start}/")]
        assert list(walk(folder, hidden=hidden, rules=rules, below=start)) == part, start


def _while_walking(folder: Path, happens: Callable[[], object]) -> list[Found]:
    walking = walk(folder)
    first = next(walking)
    happens()
    return [first, *walking]


def test_what_goes_away_during_the_walk_is_not_there(folder: Path) -> None:
    found = _while_walking(folder, (folder / "b.txt").unlink)
    assert [file.path for file in found] == ["a/z.txt", "a/ä ö.txt"]


def test_a_folder_that_goes_away_during_the_walk_is_no_emptied_one(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(FolderMissing):
        _while_walking(folder, lambda: folder.rename(tmp_path / "away"))
    folder.mkdir()
    away = tmp_path / "away"
    with pytest.raises(FolderMissing, match="another folder"):
        _while_walking(away, lambda: (away.rename(tmp_path / "further"), folder.rename(away)))


def test_an_identity_is_the_folders_not_its_names(folder: Path, tmp_path: Path) -> None:
    before = identity_of(folder)
    (folder / "new.txt").touch()
    folder.rename(tmp_path / "renamed")
    assert identity_of(tmp_path / "renamed") == before
    folder.mkdir()
    assert identity_of(folder) != before
    with pytest.raises(FolderMissing, match="nowhere"):
        identity_of(tmp_path / "nowhere")


def _failing(number: int, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
    """A call of the system that fails for paths that end so."""

    def calls(path: Any, *rest: Any, **named: Any) -> Any:
        if os.fspath(path).endswith(name):
            raise OSError(number, os.strerror(number))
        return call(path, *rest, **named)

    return calls


class _UnreadableListing:
    """A folder that can be opened, while its names cannot be read."""

    def __init__(self, listing: Any) -> None:
        self._listing = listing

    def __enter__(self) -> _UnreadableListing:
        return self

    def __exit__(self, *_: object) -> None:
        self._listing.close()

    def __iter__(self) -> Iterator[object]:
        raise OSError(errno.EIO, "Input/output error")


def test_a_folder_whose_names_cannot_be_read_is_no_emptied_one(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: _UnreadableListing(scandir(path)))
    with pytest.raises(FolderMissing, match="Input/output error"):
        list(walk(folder))


@pytest.mark.parametrize(("number", "passing"), [(errno.ESTALE, True), (errno.EIO, True), (errno.ELOOP, False)])
def test_what_cannot_be_looked_at_says_whether_that_may_pass(
    folder: Path, monkeypatch: pytest.MonkeyPatch, number: int, passing: bool
) -> None:
    monkeypatch.setattr(os, "lstat", _failing(number, "b.txt", os.lstat))
    monkeypatch.setattr(os, "scandir", _failing(number, "docs/a", os.scandir))
    found = {file.path: file for file in walk(folder)}
    assert [found[path].passing for path in ("a", "b.txt")] == [passing, passing]
    assert "cannot be listed" in (found["a"].reason or "")
    assert "cannot be read" in (found["b.txt"].reason or "")
    assert [file.passing for file in walk(folder, below="b.txt")] == [passing]


def test_a_drive_that_does_not_answer_is_no_lack_of_permission(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    monkeypatch.setattr(os, "open", _failing(errno.ESTALE, "b.txt", os.open))
    assert next(walk(folder, below="b.txt")).passing
    monkeypatch.setattr(os, "open", _failing(errno.EACCES, "b.txt", os.open))
    denied = next(walk(folder, below="b.txt"))
    assert (denied.reason, denied.passing) == ("no permission to read it", False)


def test_a_find_has_the_identity_of_the_file_that_a_link_leads_to(folder: Path) -> None:
    (folder / "c-in.txt").symlink_to(folder / "b.txt")
    (folder / "d-circle").symlink_to(folder / "d-circle")
    found = {file.path: file for file in walk(folder)}
    assert found["c-in.txt"].identity == found["b.txt"].identity == FileIdentity.of((folder / "b.txt").stat())
    assert "in a circle" in (found["d-circle"].reason or "")


def test_the_digest_is_of_the_file_that_was_found_and_of_no_other(folder: Path, tmp_path: Path) -> None:
    found = next(walk(folder, below="b.txt"))
    outside = tmp_path / "outside.txt"
    outside.write_text("secret")
    (folder / "b.txt").unlink()
    (folder / "b.txt").symlink_to(outside)
    with pytest.raises(NotNow, match="exchanged"):
        sha256_of(found.absolute, CancelToken(), found.identity)


def test_the_digest_is_sha256_and_can_be_cancelled(folder: Path) -> None:
    cancel = CancelToken()
    assert sha256_of(folder / "b.txt", cancel) == hashlib.sha256(b"b.txt").hexdigest()
    with pytest.raises(Vanished):
        sha256_of(folder / "nothing", cancel)
    cancel.cancel()
    with pytest.raises(Cancelled):
        sha256_of(folder / "b.txt", cancel)
