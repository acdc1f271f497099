from __future__ import annotations

from pathlib import Path

import pytest

from models.engines import engine_log
from models.engines.engine_log import EngineLog


def say(log: EngineLog, text: str) -> None:
    with log.open() as file:
        file.write(text.encode())


def test_only_what_was_said_since_the_last_start_is_told(tmp_path: Path) -> None:
    log = EngineLog(tmp_path / "logs" / "engine.log")
    say(log, "Loading weights:  90%|######### | 9/10\nold\n")
    say(log, "one\ntwo\n\nthree\n")
    assert log.tail() == "one\ntwo\nthree"
    assert log.tail(lines=2) == "two\nthree"
    assert log.progress() is None


def test_progress_is_the_last_bar_drawn(tmp_path: Path) -> None:
    log = EngineLog(tmp_path / "engine.log")
    say(log, "\rLoading weights:  10%|#         | 1/10\rLoading weights:  45%|####      | 4/10 [00:01<00:02]")
    assert log.progress() == "Loading weights: 45%"


def test_a_log_that_has_grown_is_put_aside_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_log, "LONGEST_BYTES", 10)
    log = EngineLog(tmp_path / "engine.log")
    for text in ("first, and long\n", "second, and long\n", "third\n"):
        say(log, text)
    assert log.file.read_text() == "third\n"
    assert (tmp_path / "engine.log.1").read_text() == "second, and long\n"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["engine.log", "engine.log.1"]


def test_without_a_log_nothing_is_told(tmp_path: Path) -> None:
    log = EngineLog(tmp_path / "engine.log")
    assert (log.tail(), log.progress()) == ("", None)
