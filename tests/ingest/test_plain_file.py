"""A file is opened without waiting, no other is read in its place, and what may pass is told from what stays."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path
from unittest.mock import patch

import pytest

from ingest.errors import NotNow, Unreadable, Vanished
from ingest.plain_file import FileIdentity, open_regular, passing_cause, require_same, translated

posix_only = pytest.mark.skipif(sys.platform == "win32", reason="pipes in folders are POSIX's")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "a.txt"
    file.write_text("ours")
    return file


@posix_only
def test_a_pipe_in_the_place_of_a_file_does_not_keep_anybody_waiting(file: Path) -> None:
    identity = FileIdentity.of(file.stat())
    file.unlink()
    os.mkfifo(file)
    with pytest.raises(Unreadable, match="not a plain file"):
        open_regular(file)
    with pytest.raises(NotNow, match="exchanged"):
        open_regular(file, identity)


@posix_only
def test_a_file_is_not_read_through_a_link_that_was_put_in_its_place(file: Path, tmp_path: Path) -> None:
    identity = FileIdentity.of(file.stat())
    outside = tmp_path / "outside.txt"
    outside.write_text("them")
    os.utime(outside, ns=(identity.mtime_ns, identity.mtime_ns))
    file.rename(tmp_path / "away.txt")
    file.symlink_to(outside)
    for attempt in (open_regular, require_same):
        with pytest.raises(NotNow, match="exchanged"):
            attempt(file, identity)
    file.unlink()
    file.symlink_to(tmp_path / "away.txt")
    with open_regular(file, identity) as opened:
        assert opened.read() == b"ours"


def test_a_file_that_was_written_meanwhile_is_another_one(file: Path) -> None:
    identity = FileIdentity.of(file.stat())
    require_same(file, identity)
    file.write_text("ours and more")
    with pytest.raises(NotNow, match="written"):
        require_same(file, identity)
    file.unlink()
    with pytest.raises(Vanished):
        require_same(file, identity)


def test_no_descriptor_is_left_of_a_file_that_is_refused(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd")) if sys.platform == "linux" else 0
    for _ in range(20):
        with pytest.raises(Unreadable):
            open_regular(tmp_path)
    if sys.platform == "linux":
        assert len(os.listdir("/proc/self/fd")) == before


def test_what_the_system_says_is_told_by_whether_it_may_pass(file: Path) -> None:
    def told(number: int) -> type[BaseException]:
        with patch.object(os, "open", side_effect=OSError(number, os.strerror(number))):
            try:
                open_regular(file).close()
            except (NotNow, Unreadable) as exc:
                return type(exc)
        return AssertionError

    assert {told(number) for number in (errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EBUSY)} == {NotNow}
    assert told(errno.ENOENT) is Vanished
    assert told(errno.EACCES) is Unreadable


def test_behind_a_readers_failure_the_disks_is_found() -> None:
    def failing(number: int) -> Exception:
        try:
            try:
                raise OSError(number, "x")
            except OSError as exc:
                raise Unreadable("it looks damaged") from exc
        except Unreadable as exc:
            return exc

    assert passing_cause(failing(errno.EIO)) is not None
    assert passing_cause(failing(errno.ENOSPC)) is not None
    assert passing_cause(failing(errno.EINVAL)) is None
    assert passing_cause(failing(errno.EMFILE)) is None, (
        "the limit of a parser process, which the file would reach again"
    )
    assert passing_cause(ValueError("damaged")) is None


def test_other_failures_pass_a_translation_as_they_are(file: Path) -> None:
    with pytest.raises(ValueError, match="x"), translated(file):
        raise ValueError("x")
