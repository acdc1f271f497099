"""Quote mode: the answer is the best sentences of the documents, letter for letter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ingest.sentences import sentence_spans
from rag.evidence import Sentence

_MOST_QUOTES = 3
_NEXT_BEST = 0.9  # a further sentence must come this close to the best one
_MOST_LIST_CHARACTERS = 600


def choose_quotes(ranked: Sequence[Sentence]) -> list[Sentence]:
    """The best sentence, then up to two more that support an answer nearly as well. A sentence that announces a list
    ("… are:") takes the list along."""
    if not ranked:
        return []
    chosen: list[Sentence] = []
    for sentence in ranked:
        if len(chosen) == _MOST_QUOTES or sentence.support < _NEXT_BEST * ranked[0].support:
            break
        whole = _with_list(sentence)
        if not any(_overlap(whole, other) or _same_words(whole, other) for other in chosen):
            chosen.append(whole)
    return chosen


def _with_list(sentence: Sentence) -> Sentence:
    """What follows a colon, within the same passage and page."""
    if not sentence.text.endswith(":"):
        return sentence
    limit = next(
        end
        for page_id, start, end in sentence.found.chunk.spans
        if page_id == sentence.page.id and start <= sentence.start < end
    )
    rest = sentence.page.text[sentence.end : min(limit, sentence.end + _MOST_LIST_CHARACTERS)]
    ends = [sentence.end + end for _, end in sentence_spans(rest)]
    return replace(sentence, end=ends[-1]) if ends else sentence


def _overlap(one: Sentence, other: Sentence) -> bool:
    return one.page.id == other.page.id and one.start < other.end and other.start < one.end


def _same_words(one: Sentence, other: Sentence) -> bool:
    return one.text.split() == other.text.split()
