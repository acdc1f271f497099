"""Is a model's sentence supported by a passage? None is shown as fact that is not."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import numpy as np

from indexes.lexical import words
from ingest.sentences import sentence_spans
from models.interfaces import Embedder
from rag.citations import without_markers
from rag.evidence import Sentence
from rag.question import meaningful, stem

LEAST_COSINE, LEAST_WORDS = 0.65, 0.7
"""What a model's sentence needs: so near to a sentence of the documents, and so large a share of its words of meaning
in that sentence's passage. Of the sentences of hr-handbook's reference answers 80 % pass against their own question's
passages, 1.3 % against another question's (with the check of denials 74 % and 0.8 %); see docs/decisions."""
_REPEATED_WORDS = 4
_FEWEST_WORDS = 4

_DENIAL = re.compile(
    r"\b(?:not|no|never|none|neither|nor|without|cannot|except|unless|exclud\w+|nicht|kein\w*|nie|ohne|ne|pas|jamais|sans|nunca|sin)\b"
    r"|n['’]t\b",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_NAME = re.compile(r"(?<=[a-z,;] )[A-Z]\w+")
_LIST_MARK = re.compile(r"^(?:[-*•]|\d{1,3}[.)])\s+")


def supporting_sentence(text: str, evidence: Sequence[Sentence], embedder: Embedder) -> Sentence | None:
    """The document's sentence that `text` stands on: near in meaning, denying where `text` denies, and in a passage
    that holds its words, with every number and every name. None when there is none, or when `text` goes round in
    circles."""
    if not evidence or _goes_round(text) or len(words(text)) < _FEWEST_WORDS:
        return None
    vector = embedder.embed_passages([text])[0]
    cosines = np.array([sentence.vector for sentence in evidence], dtype=np.float32) @ vector
    order: list[int] = np.argsort(-cosines).tolist()
    for i in order:
        if cosines[i] < LEAST_COSINE:
            return None
        passage = evidence[i].found.chunk.text
        agrees = _denies(text) == _denies(evidence[i].text)
        if agrees and _holds_facts(text, passage) and _share_held(text, passage) >= LEAST_WORDS:
            return evidence[i]
    return None


def whole_sentences(pieces: Iterator[str]) -> Iterator[str]:
    """A stream of text, regrouped: each complete sentence as soon as the next one has begun, the rest at the end;
    without the marks of lists, and without the model's own [1], which point to nothing here."""
    waiting = ""
    for piece in pieces:
        waiting += piece
        *complete, last = sentence_spans(waiting) or [(0, 0)]
        for start, end in complete:
            yield from _spoken(waiting[start:end])
        waiting = waiting[last[0] :]
    yield from _spoken(waiting)


def _spoken(sentence: str) -> Iterator[str]:
    # A model copies the line breaks of a page; they are no part of what it says.
    if said := " ".join(without_markers(_LIST_MARK.sub("", sentence.strip())).split()):
        yield said


def _holds_facts(text: str, passage: str) -> bool:
    """Numbers as numbers, names as words; both regardless of case."""
    passage_numbers = {number.replace(",", "") for number in _NUMBER.findall(passage)}
    if any(number.replace(",", "") not in passage_numbers for number in _NUMBER.findall(text)):
        return False
    lowered = passage.lower()
    return all(name.lower() in lowered for name in _NAME.findall(text))


def _denies(text: str) -> bool:
    """Does the sentence say that something is not so? A denial and its opposite are near to each other in meaning."""
    return bool(_DENIAL.search(text))


def _share_held(text: str, passage: str) -> float:
    """The share (0–1) of the text's words of meaning that stand in the passage, by stems."""
    wanted = {stem(word) for word in meaningful(text)}
    return len(wanted & {stem(word) for word in words(passage)}) / len(wanted) if wanted else 0.0


def _goes_round(text: str) -> bool:
    """Small models fall into a rut: the same four words twice in one sentence."""
    found = words(text)
    runs = [tuple(found[i : i + _REPEATED_WORDS]) for i in range(len(found) - _REPEATED_WORDS + 1)]
    return len(set(runs)) < len(runs)
