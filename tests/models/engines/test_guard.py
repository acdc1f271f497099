from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from models.engines.families import MARK_VARIABLE, end_family, find_family, new_mark
from tests.standins.supervised import processes_with, wait_until

ROOT = Path(__file__).resolve().parents[3]

FORGETFUL = "(sleep 3600 &) ; setsid sleep 3600 & env -i sleep 3600 & sleep 3600"
"""Children that left: for another parent, another session, without the mark in their environment."""


@contextmanager
def guarded(script: str, mark: dict[str, str], folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "models.engines.guard", str(folder), "--", "sh", "-c", script]
    process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **mark}, stdin=subprocess.PIPE)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()
        end_family(mark, grace_s=0, limit_s=1)


def sleepers(guard: int) -> set[int]:
    return {member.pid for member in find_family({MARK_VARIABLE: "nobody's"}, guard) if member.name() == "sleep"}


def test_the_status_of_the_program_is_passed_on(tmp_path: Path) -> None:
    with guarded("exit 7", new_mark(), tmp_path) as guard:
        assert guard.wait(10) == 7
    with guarded("kill -SEGV $$", new_mark(), tmp_path) as guard:
        assert guard.wait(10) == 128 + signal.SIGSEGV


def test_the_program_runs_in_its_folder_and_cannot_read_our_standard_input(tmp_path: Path) -> None:
    with guarded("pwd > where; cat > input", new_mark(), tmp_path) as guard:
        assert guard.wait(10) == 0
    assert (tmp_path / "where").read_text().strip() == str(tmp_path.resolve())
    assert (tmp_path / "input").read_text() == ""


def test_a_program_that_does_not_exist_is_named(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "models.engines.guard", str(tmp_path), "--", "/no/such/program"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 1
    assert "/no/such/program cannot be run" in done.stderr


@pytest.mark.parametrize("how", ["standard input ends", "SIGTERM"])
def test_all_descendants_end_wherever_they_went(tmp_path: Path, how: str) -> None:
    with guarded(FORGETFUL, new_mark(), tmp_path) as guard:
        wait_until(lambda: len(sleepers(guard.pid)) == 4)
        family = sleepers(guard.pid)
        if how == "SIGTERM":
            guard.terminate()
        else:
            assert guard.stdin is not None
            guard.stdin.close()
        guard.wait(10)
        assert not any(Path(f"/proc/{pid}").exists() for pid in family)


def test_descendants_of_a_program_that_has_crashed_end_too(tmp_path: Path) -> None:
    with guarded("sleep 3600 & sleep 3600 & exit 1", new_mark(), tmp_path) as guard:
        assert guard.wait(10) == 1
        assert sleepers(guard.pid) == set()


def test_those_that_ignore_sigterm_are_killed(tmp_path: Path) -> None:
    mark = new_mark()
    with guarded("trap '' TERM; sleep 3600 & sleep 3600", mark, tmp_path) as guard:
        wait_until(lambda: len(sleepers(guard.pid)) == 2)
        guard.terminate()
        assert guard.wait(10) == 128 + signal.SIGKILL
        assert processes_with(MARK_VARIABLE, mark[MARK_VARIABLE]) == []
