"""Is a model's sentence supported by a passage? None is shown as fact that is not."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import numpy as np

from models.interfaces import Embedder
from rag.evidence import Sentence

SUPPORTED_FROM = 0.62
"""Least cosine between a model's sentence and the sentence of a document that it stands on. On hr-handbook, answers
written by people reach it for the sentence they were written from; see docs/decisions/0005-answers.md."""

_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_NAME = re.compile(r"(?<=[a-z,;] )[A-Z]\w+")
_END = re.compile(r"[.!?…]+[\"'”’)]*\s+|\n+")


def supporting_sentence(text: str, evidence: Sequence[Sentence], embedder: Embedder) -> Sentence | None:
    """The document's sentence that `text` stands on: near in meaning, and in a passage that holds every number and
    every name of `text`. None when there is none."""
    if not evidence:
        return None
    vector = embedder.embed_passages([text])[0]
    cosines = np.array([sentence.vector for sentence in evidence], dtype=np.float32) @ vector
    order: list[int] = np.argsort(-cosines).tolist()
    for i in order:
        if cosines[i] < SUPPORTED_FROM:
            return None
        if _holds_facts(text, evidence[i].found.chunk.text):
            return evidence[i]
    return None


def whole_sentences(pieces: Iterator[str]) -> Iterator[str]:
    """A stream of text, regrouped: each complete sentence as soon as its end is certain, the rest at the end."""
    waiting = ""
    for piece in pieces:
        waiting += piece
        while match := _END.search(waiting):
            if sentence := waiting[: match.end()].strip():
                yield sentence
            waiting = waiting[match.end() :]
    if waiting.strip():
        yield waiting.strip()


def _holds_facts(text: str, passage: str) -> bool:
    """Numbers as numbers, names as words; both regardless of case."""
    passage_numbers = {number.replace(",", "") for number in _NUMBER.findall(passage)}
    if any(number.replace(",", "") not in passage_numbers for number in _NUMBER.findall(text)):
        return False
    lowered = passage.lower()
    return all(name.lower() in lowered for name in _NAME.findall(text))
