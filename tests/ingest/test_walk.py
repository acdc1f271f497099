"""A folder's files: all of them, in order, and a reason for each that is passed over."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from ingest.errors import FolderMissing, Unreadable
from ingest.walk import sha256_of, walk
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


def test_the_digest_is_sha256_and_can_be_cancelled(folder: Path) -> None:
    cancel = CancelToken()
    assert sha256_of(folder / "b.txt", cancel) == hashlib.sha256(b"b.txt").hexdigest()
    with pytest.raises(Unreadable):
        sha256_of(folder / "nothing", cancel)
    cancel.cancel()
    with pytest.raises(Cancelled):
        sha256_of(folder / "b.txt", cancel)
