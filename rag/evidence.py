"""Sentences of the passages, each tied to its place on a page, and how well each answers the question."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from indexes.contents import StoredPage
from indexes.lexical import words
from ingest.sentences import sentence_spans
from models.interfaces import Embedder
from rag.question import Question, meaningful, stem
from rag.retrieval import Found, Retrieval

_MOST_SENTENCES = 60  # embedded per question: some 70 ms on two cores
_SHORTEST_CHARACTERS = 12
_MOST_HEADING_WORDS = 8
_FEWEST_WORDS, _FEWEST_NEW_WORDS = 5, 2
_CODE = re.compile(r"\d[\w.:/-]{3,}")
_WORD_WEIGHT, _PASSAGE_WEIGHT = 0.5, 0.3


@dataclass(frozen=True)
class Sentence:
    """Characters `[start:end]` of a page's text, within a passage, with its embedding (length 1). `support` says how
    well it answers the question; `cosine` is the part of it that comes from meaning."""

    found: Found
    page: StoredPage
    start: int
    end: int
    vector: NDArray[np.float32]
    support: float = 0.0
    cosine: float = 0.0

    @property
    def text(self) -> str:
        return self.page.text[self.start : self.end]


@dataclass(frozen=True)
class TermWeights:
    """How much each term of a question tells: its inverse document frequency in the collection."""

    by_term: dict[str, float]

    def coverage(self, text: str) -> float:
        """The share (0–1) of the question's weight whose terms stand in `text`, by stems of their first letters."""
        there = {stem(word) for word in words(text)}
        total = sum(self.by_term.values())
        return sum(weight for term, weight in self.by_term.items() if stem(term) in there) / total if total else 0.0


def term_weights(question: Question, frequencies: dict[str, int], chunks: int) -> TermWeights:
    """Robertson and Sparck Jones' inverse document frequency, ln(1 + (N − n + ½) / (n + ½))."""
    weights = {
        term: float(np.log(1 + (chunks - frequencies.get(term, 0) + 0.5) / (frequencies.get(term, 0) + 0.5)))
        for term in question.terms
    }
    return TermWeights(weights)


def ranked_sentences(
    retrieval: Retrieval,
    weights: TermWeights,
    page_of: Callable[[int], StoredPage | None],
    embedder: Embedder,
) -> list[Sentence]:
    """The sentences of the passages, the best answer first, each once; those too short to say anything left out.

    Support is the cosine to the question, plus the share of the question's words that stand in the sentence, plus the
    relative score of its passage.
    """
    asked = {stem(term) for term in weights.by_term}
    places = [
        (found, page, start, end)
        for found, page, start, end in _places(retrieval.found, page_of)
        if _says_something(page.text[start:end], asked, {stem(word) for word in words(found.chunk.title)})
    ][:_MOST_SENTENCES]
    if not places:
        return []
    vectors = embedder.embed_passages([" ".join(page.text[start:end].split()) for _, page, start, end in places])
    best = max(hit.score for hit in retrieval.found) or 1.0
    ranked = []
    for (found, page, start, end), vector, cosine in zip(places, vectors, vectors @ retrieval.query, strict=True):
        support = (
            float(cosine) + _WORD_WEIGHT * weights.coverage(page.text[start:end]) + _PASSAGE_WEIGHT * found.score / best
        )
        ranked.append(Sentence(found, page, start, end, vector, support, float(cosine)))
    return sorted(ranked, key=lambda sentence: -sentence.support)


def _places(
    found: Sequence[Found], page_of: Callable[[int], StoredPage | None]
) -> list[tuple[Found, StoredPage, int, int]]:
    """(passage, page, start, end) of each sentence, best passage first."""
    places: list[tuple[Found, StoredPage, int, int]] = []
    seen: set[tuple[int, int]] = set()
    for hit in found:
        for page_id, span_start, span_end in hit.chunk.spans:
            page = page_of(page_id)
            if page is None:
                continue
            for first, last in sentence_spans(page.text[span_start:span_end]):
                start, end = span_start + first, span_start + last
                if (page_id, start) not in seen and _can_answer(page.text[start:end]):
                    seen.add((page_id, start))
                    places.append((hit, page, start, end))
    return places


def _can_answer(text: str) -> bool:
    """Not a question, nor a scrap ("Ulta Beauty, Inc."), nor a heading: a few words without an end, which are no list
    item, no row, and hold no number or code ("160.79.104.0/23")."""
    if len(text) < _SHORTEST_CHARACTERS or text.endswith("?"):
        return False
    if " | " in text or _CODE.search(text):
        return True
    length = len(words(text))
    ended = text[-1] in '.!:;…。！।)"”»' or not text[0].isalnum()
    return length >= _FEWEST_WORDS and (ended or length > _MOST_HEADING_WORDS)


def _says_something(text: str, asked: set[str], title: set[str]) -> bool:
    """Words as stems: does it say anything besides what was asked and the document's title? What was asked for word by
    word is an answer, too."""
    said = {stem(word) for word in meaningful(text)}
    return len(said - asked - title) >= _FEWEST_NEW_WORDS or asked <= said
