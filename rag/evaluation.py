"""Retrieval and answers measured on a question set with known answers.

A set is a folder with `docs/`, `questions.jsonl` (a line each: id, question, answer, gold = list of {file, page, text},
maybe history) and maybe `set.json` ({"page_tolerance": pages}). The figures, each the mean over the questions that have
gold passages:

  file@k      a gold file is among the top k passages
  page@k      a gold (file, page) is; only questions whose gold has a page; a passage counts for its first two pages
  evidence@k  share of the gold text's word 4-grams in the top k passages, of which the first 8,000 characters are read
  mrr@10      reciprocal rank of the first passage of a gold file
  chars@5     mean length of the top 5 passages together

With answers, also `refused` among the questions without gold (right) and with gold (wrong), and how often the first
citation is on a gold page.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ingest.walk import plain_path
from models.interfaces import ChatMessage
from rag.errors import BadInput
from rag.events import Answer, Passage

CUTS = (1, 5, 10)
_READ_CHARACTERS = 8000
_GRAM_WORDS = 4

Grams = set[tuple[str, ...]]


@dataclass(frozen=True)
class Gold:
    file: str
    page: int | None
    text: str | None


@dataclass(frozen=True)
class SetQuestion:
    id: str
    text: str
    gold: tuple[Gold, ...]
    history: tuple[ChatMessage, ...]


@dataclass(frozen=True)
class QuestionSet:
    folder: Path
    questions: tuple[SetQuestion, ...]
    page_tolerance: int

    @property
    def documents(self) -> Path:
        return self.folder / "docs"


@dataclass(frozen=True)
class Outcome:
    """What came of one question; `answer` only when answers were asked for."""

    question: SetQuestion
    passages: tuple[Passage, ...]
    timings_ms: dict[str, float]
    answer: Answer | None = None


def load_set(folder: Path) -> QuestionSet:
    """Raises BadInput when the folder is not a question set, naming what is missing or which line is wrong."""
    questions_file, settings_file = folder / "questions.jsonl", folder / "set.json"
    if not questions_file.is_file() or not (folder / "docs").is_dir():
        raise BadInput(f"{folder} is not a question set: it needs questions.jsonl and docs/.")
    try:
        lines = questions_file.read_text(encoding="utf-8").split("\n")
    except UnicodeDecodeError as exc:
        raise BadInput(f"{questions_file} is not UTF-8: {exc}") from exc
    questions = tuple(_question(line, number, questions_file) for number, line in enumerate(lines, 1) if line.strip())
    return QuestionSet(plain_path(folder), questions, _page_tolerance(settings_file))


def score(outcomes: Sequence[Outcome], page_tolerance: int) -> dict[str, float]:
    """The figures of the module's docstring, rounded to four places, and the number of `questions` with gold."""
    figures: dict[str, list[float]] = {}
    scored = [outcome for outcome in outcomes if outcome.question.gold]
    for outcome in scored:
        for name, value in _figures(outcome, page_tolerance).items():
            figures.setdefault(name, []).append(value)
    means: dict[str, float] = {name: round(sum(v) / len(v), 4) for name, v in sorted(figures.items())}
    return {**means, **_answer_figures(outcomes, page_tolerance), "questions": len(scored)}


def percentile_ms(outcomes: Sequence[Outcome], share: float) -> float:
    """The time of retrieval that `share` of the questions stayed within, in milliseconds."""
    totals = sorted(sum(outcome.timings_ms.values()) for outcome in outcomes)
    return round(totals[min(len(totals) - 1, int(share * len(totals)))], 2) if totals else 0.0


def _figures(outcome: Outcome, page_tolerance: int) -> dict[str, float]:
    gold, passages = outcome.question.gold, outcome.passages
    paged = [item for item in gold if item.page]
    wanted: Grams = set()
    for item in gold:
        wanted |= _grams(item.text) if item.text else set()
    figures: dict[str, float] = {}
    for k in CUTS:
        top = passages[:k]
        figures[f"file@{k}"] = float(any(_same_file(item, p) for item in gold for p in top))
        if paged:
            figures[f"page@{k}"] = float(any(_on_page(item, p, page_tolerance) for item in paged for p in top))
        if wanted:
            figures[f"evidence@{k}"] = len(wanted & _grams_read(top)) / len(wanted)
    figures["chars@5"] = float(sum(len(passage.text) for passage in passages[:5]))
    ranks = (i for i, passage in enumerate(passages[:10], 1) if any(_same_file(item, passage) for item in gold))
    rank = next(ranks, 0)
    figures["mrr@10"] = 1 / rank if rank else 0.0
    return figures


def _answer_figures(outcomes: Sequence[Outcome], page_tolerance: int) -> dict[str, float]:
    answered = [outcome for outcome in outcomes if outcome.answer is not None]
    if not answered:
        return {}
    answerable = [outcome for outcome in answered if outcome.question.gold]
    others = [outcome for outcome in answered if not outcome.question.gold]
    citations = [c for o in answered if o.answer for c in o.answer.citations]
    figures = {
        "false_refusals": _share([_refused(o) for o in answerable]),
        "right_refusals": _share([_refused(o) for o in others]),
        "citations_verified": _share([citation.verified for citation in citations]),
    }
    if any(item.page for o in answerable for item in o.question.gold):
        figures["first_citation_on_page"] = _share([_first_citation_right(o, page_tolerance) for o in answerable])
    return figures


def _refused(outcome: Outcome) -> bool:
    return outcome.answer is not None and outcome.answer.refused


def _first_citation_right(outcome: Outcome, page_tolerance: int) -> bool:
    if outcome.answer is None or not outcome.answer.citations:
        return False
    first = outcome.answer.citations[0]
    return any(
        _is_file(item.file, first.file) and item.page and first.page and abs(item.page - first.page) <= page_tolerance
        for item in outcome.question.gold
    )


def _share(values: Sequence[bool]) -> float:
    return round(sum(values) / len(values), 4) if values else 0.0


def _page_tolerance(file: Path) -> int:
    if not file.is_file():
        return 0
    try:
        return int(json.loads(file.read_text(encoding="utf-8")).get("page_tolerance", 0))
    except (ValueError, TypeError, AttributeError) as exc:
        raise BadInput(f'{file} is not a set\'s settings, such as {{"page_tolerance": 1}}: {exc}') from exc


def _question(line: str, number: int, file: Path) -> SetQuestion:
    try:
        fields = json.loads(line)
        return SetQuestion(
            id=str(fields["id"]),
            text=fields["question"],
            gold=tuple(Gold(item["file"], item.get("page"), item.get("text")) for item in fields["gold"]),
            history=tuple(_message(turn) for turn in fields.get("history") or []),
        )
    except (ValueError, KeyError, TypeError) as exc:
        raise BadInput(f"{file}, line {number} is not a question with id, question and gold: {exc!r}") from exc


def _message(turn: dict[str, str]) -> ChatMessage:
    return ChatMessage("assistant" if turn["role"] == "assistant" else "user", turn["text"])


def _same_file(gold: Gold, passage: Passage) -> bool:
    return _is_file(gold.file, passage.file)


def _is_file(gold: str, file: str) -> bool:
    """Is `file` (absolute, or relative to the set or to its docs/) the gold one?"""
    gold, file = gold.replace("\\", "/"), file.replace("\\", "/")
    inner = gold.split("docs/", 1)[-1]
    return file in (gold, inner) or file.endswith((f"/{gold}", f"/docs/{inner}"))


def _on_page(gold: Gold, passage: Passage, tolerance: int) -> bool:
    if passage.page is None or gold.page is None or not _same_file(gold, passage):
        return False
    last = min(passage.page_end or passage.page, passage.page + 1)
    return passage.page - tolerance <= gold.page <= last + tolerance


def _grams_read(passages: Sequence[Passage]) -> Grams:
    """The word 4-grams of the passages' first 8,000 characters together."""
    left, grams = _READ_CHARACTERS, set[tuple[str, ...]]()
    for passage in passages:
        text = passage.text[:left]
        left -= len(text)
        grams |= _grams(text)
    return grams


def _grams(text: str | None) -> Grams:
    words = re.findall(r"\w+", (text or "").lower())
    if not words:
        return set()
    return {tuple(words[i : i + _GRAM_WORDS]) for i in range(max(1, len(words) - _GRAM_WORDS + 1))}
