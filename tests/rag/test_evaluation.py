"""Evaluation: the figures of the shared scorer, and question sets that are none."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import asdict, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from rag.access import LOCAL_USER
from rag.appliance import Appliance
from rag.errors import BadInput
from rag.evaluation import Gold, Outcome, load_set, percentile_ms, score
from rag.events import Passage


@pytest.fixture(scope="module")
def scorer(shared: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("score", shared / "measure" / "score.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def passage_of(gold: Gold) -> Passage:
    return Passage(gold.file, None, gold.page, None, gold.text or "", 1.0, 1, 1, 1, "")


@pytest.mark.parametrize("name", ["hr-handbook", "tables", "multi-turn", "wiki-longanswer"])
def test_figures_are_those_of_the_shared_scorer(name: str, shared: Path, scorer: ModuleType) -> None:
    """For each question the gold passages of its neighbours and then its own: some hits, at several ranks."""
    question_set = load_set(shared / "eval" / name)
    asked = question_set.questions
    outcomes = [
        Outcome(
            question, tuple(passage_of(gold) for near in asked[max(0, n - n % 7) : n + 1] for gold in near.gold), {}
        )
        for n, question in enumerate(asked)
    ]
    run = {outcome.question.id: [asdict(passage) for passage in outcome.passages] for outcome in outcomes}
    ours = score(outcomes, question_set.page_tolerance)
    assert ours == scorer.score(shared / "eval" / name, run)
    assert 0 < ours["file@1"] <= ours["file@10"]


def test_figures_of_a_real_run_are_those_of_the_shared_scorer(
    appliance: Appliance, shared: Path, scorer: ModuleType
) -> None:
    question_set = load_set(shared / "eval" / "hr-handbook")
    outcomes = []
    for question in question_set.questions[::4]:
        passages, timings = appliance.search(question.text, identity=LOCAL_USER)
        # The shared appliance has the handbooks in a folder beside others.
        found = [replace(passage, file=passage.file.removeprefix("handbooks/")) for passage in passages]
        outcomes.append(Outcome(question, tuple(found), timings))
    run = {outcome.question.id: [asdict(passage) for passage in outcome.passages] for outcome in outcomes}
    unasked = [Outcome(question, (), {}) for question in question_set.questions if question.id not in run]
    assert score([*outcomes, *unasked], 1) == scorer.score(shared / "eval" / "hr-handbook", run)
    assert score(outcomes, 1)["page@5"] > 0.8
    assert percentile_ms(outcomes, 0.5) <= percentile_ms(outcomes, 0.95)


def write_set(folder: Path, questions: str, settings: str | None = None) -> Path:
    (folder / "docs").mkdir()
    (folder / "questions.jsonl").write_text(questions)
    if settings is not None:
        (folder / "set.json").write_text(settings)
    return folder


GOOD = json.dumps({"id": "a", "question": "Why?", "gold": [{"file": "docs/a.txt"}]})


def test_a_set_is_read_with_its_histories_and_its_tolerance(tmp_path: Path) -> None:
    turn = {
        "id": 2,
        "question": "And?",
        "gold": [],
        "history": [{"role": "user", "text": "Why?"}, {"role": "assistant", "text": "So."}],
    }
    found = load_set(write_set(tmp_path, f"{GOOD}\n\n{json.dumps(turn)}\n", '{"page_tolerance": 1}'))
    assert [question.id for question in found.questions] == ["a", "2"]
    assert [message.role for message in found.questions[1].history] == ["user", "assistant"]
    assert found.page_tolerance == 1


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "line 2"),
        ("[]", "line 2"),
        ('{"id": 1, "question": "x"}', "gold"),
        ('{"id": 1, "question": "x", "gold": [1]}', "line 2"),
    ],
)
def test_a_line_that_is_no_question_is_named(tmp_path: Path, line: str, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        load_set(write_set(tmp_path, f"{GOOD}\n{line}"))


@pytest.mark.parametrize("settings", ["{", "[]", '{"page_tolerance": "some"}'])
def test_wrong_settings_of_a_set_are_named(tmp_path: Path, settings: str) -> None:
    with pytest.raises(BadInput, match=r"set\.json"):
        load_set(write_set(tmp_path, GOOD, settings))


def test_a_folder_that_is_no_set_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"questions\.jsonl"):
        load_set(tmp_path)


@pytest.mark.parametrize(
    "arguments", [{"limit": 0}, {"limit": -3}, {"k": 0}, {"run_file": "/no/such/folder/run.jsonl"}], ids=str
)
def test_eval_refuses_what_makes_no_sense_before_it_begins(
    appliance: Appliance, shared: Path, arguments: dict[str, Any]
) -> None:
    from models.cancellation import CancelToken
    from rag.commands import run_command

    given = {"set": str(shared / "eval" / "hr-handbook"), "collection": "default", **arguments}
    with pytest.raises(BadInput, match=str(next(iter(arguments.values())))):
        list(run_command(appliance, "eval", given, CancelToken()))


def test_eval_writes_a_line_for_each_question_also_for_refusals(
    appliance: Appliance, shared: Path, tmp_path: Path
) -> None:
    from models.cancellation import CancelToken
    from rag.commands import run_command

    arguments = {
        "set": str(shared / "eval" / "hr-handbook"),
        "collection": "default",
        "limit": 4,
        "k": 3,
        "answers": True,
        "run_file": str(tmp_path / "run.jsonl"),
    }
    result = list(run_command(appliance, "eval", arguments, CancelToken()))[-1]["result"]
    assert isinstance(result, dict)
    assert result["asked"] == 4
    lines = [json.loads(line) for line in (tmp_path / "run.jsonl").read_text().splitlines()]
    assert len(lines) == 4
    for line in lines:
        assert line.keys() == {"id", "passages", "answer", "refused", "confidence", "citations", "timings_ms"}
        assert len(line["passages"]) == 3
