"""A file that takes over LibreOffice gains nothing: the program ends with the file, wherever it went."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from ingest.errors import IngestError
from ingest.formats import detect
from ingest.limits import MEBIBYTE, Limits
from models.cancellation import Cancelled, CancelToken
from tests.ingest.test_hostile import pool_with, text_of

WORDPERFECT = b"\xffWPC\x10\x00\x00\x00\x01\x0a\x00\x00" + bytes(500)
MARK = "86399.25"  # seconds that nobody else sleeps


@pytest.fixture
def note(tmp_path: Path) -> Path:
    path = tmp_path / "note.txt"
    path.write_text("A file like any other.")
    return path


CONVERTERS = {
    "goes on for ever": "trap '' TERM INT HUP; while :; do sleep 1; done",
    "talks without end": "exec cat /dev/zero",
    "writes without end": 'cat /dev/zero > "$TMPDIR/much"; exit 1',
    "starts one process after the other": f"for n in 1 2 3 4 5 6 7 8 9 10; do sleep {MARK} & done; wait",
    "leaves a process of another session behind": f"setsid sleep {MARK} & exec sleep {MARK}",
}


@pytest.fixture
def converter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """A LibreOffice that a file has taken over."""

    def install(script: str) -> None:
        programs = tmp_path / "programs"
        programs.mkdir()
        (programs / "soffice").write_text(f"#!/bin/sh\n{script}\n")
        (programs / "soffice").chmod(0o755)
        monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")

    return install


def left_behind() -> list[int]:
    """Processes that sleep for the marked time, once they had a moment to end."""
    left: list[int] = []
    for _ in range(30):
        left = [p.pid for p in psutil.process_iter(["cmdline"]) if MARK in (p.info["cmdline"] or ())]
        if not left:
            break
        time.sleep(0.1)
    return left


@pytest.mark.parametrize("what", CONVERTERS)
def test_a_converter_that_a_file_has_taken_over_ends_with_the_file(
    converter: Callable[[str], None], tmp_path: Path, note: Path, what: str
) -> None:
    converter(CONVERTERS[what])
    path = tmp_path / "old.wpd"
    path.write_bytes(WORDPERFECT)
    with pool_with(Limits(silence_s=4, written_bytes=8 * MEBIBYTE)) as pool:
        with pytest.raises(IngestError, match=r"\w+ \w+ \w+"):
            list(pool.parse(path, detect(path), CancelToken()))
        assert text_of(pool, note) == "A file like any other."
    assert left_behind() == []


def test_cancelling_ends_the_converter_too(converter: Callable[[str], None], tmp_path: Path) -> None:
    converter(f"exec sleep {MARK}")
    path = tmp_path / "old.wpd"
    path.write_bytes(WORDPERFECT)
    cancel = CancelToken()
    threading.Timer(2.0, cancel.cancel).start()
    with pool_with(Limits()) as pool, pytest.raises(Cancelled):
        list(pool.parse(path, detect(path), cancel))
    assert left_behind() == []
