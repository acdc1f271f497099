"""What a parser process says of a failure: the file's is told as such, the disk's as one that may pass."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from ingest.elements import Element, Page, Summary
from ingest.errors import IngestError, NotNow, Unreadable, Vanished
from ingest.limits import Limits
from ingest.messages import decode, decode_error, encode, encode_task
from ingest.parser_process import _answers
from ingest.plain_file import FileIdentity
from ingest.readers import registry
from ingest.readers.members import Members
from ingest.readers.second_opinion import read_with_second_opinion
from ingest.task import OcrOptions, Task

PAGE = Page(None, None, "text", (Element("paragraph", 0, 4),))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "a.txt"
    file.write_text("text")
    return file


def failure_of(path: Path, identity: FileIdentity | None = None) -> IngestError:
    request = decode(encode(encode_task(str(path), "plain", OcrOptions(), 0, identity)))
    *_, last = _answers(request, Limits())
    return decode_error(last["error"])


def read_by(monkeypatch: pytest.MonkeyPatch, *items: Page | Summary, then: Exception | None = None) -> None:
    def read(*_: object) -> Iterator[Page | Summary]:
        yield from items
        if then is not None:
            raise then

    monkeypatch.setattr(registry, "reader_named", lambda _: SimpleNamespace(read=read))


def test_a_disk_that_fails_is_no_damage_of_the_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read_by(monkeypatch, PAGE, then=OSError(errno.EIO, "Input/output error"))
    assert type(failure_of(file)) is NotNow
    wrapped = Unreadable("it looks damaged")
    wrapped.__cause__ = OSError(errno.ESTALE, "Stale file handle")
    read_by(monkeypatch, then=wrapped)
    assert "Stale file handle" in str(failure_of(file))
    read_by(monkeypatch, then=OSError("cannot identify image file"))
    assert "looks damaged" in str(failure_of(file))
    read_by(monkeypatch, PAGE)
    assert "before the end" in str(failure_of(file))


def test_what_was_read_of_an_exchanged_file_is_not_finished_and_its_failure_not_believed(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    identity = FileIdentity.of(file.stat())

    def read(path: Path, _: Task) -> Iterator[Page | Summary]:
        yield PAGE
        os.utime(path, (1, 1))
        raise Unreadable("half a file looks damaged")

    monkeypatch.setattr(registry, "reader_named", lambda _: SimpleNamespace(read=read))
    failure = failure_of(file, identity)
    assert type(failure) is NotNow
    assert "exchanged or written" in str(failure)
    file.unlink()
    assert "gone" in str(failure_of(file, identity))
    assert Vanished.code == NotNow.code


def test_neither_a_second_opinion_nor_a_member_hides_a_failing_disk(file: Path) -> None:
    def failing(*_: object) -> Iterator[Page | Summary]:
        raise OSError(errno.EIO, "Input/output error")
        yield PAGE

    with pytest.raises(OSError, match="Input/output error"):
        list(read_with_second_opinion("word", failing, file, Task()))

    def content() -> Iterator[bytes]:
        raise OSError(errno.EIO, "Input/output error")
        yield b""

    with pytest.raises(OSError, match="Input/output error"):
        list(Members(file, Task()).pages("a.txt", content()))
