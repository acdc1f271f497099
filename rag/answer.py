"""The story of an answer: a question becomes text in which every sentence shows the page it stands on.

    understand ─► retrieve ─► select ─► quote, or generate and verify ─► store

Access has been asked before the story begins. It yields events as it goes; what was yielded is never taken back.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from indexes.collection import Collection
from indexes.records import StoredChunk
from models.cancellation import CancelToken
from models.interfaces import ChatMessage, ChatModel, Embedder
from rag.citations import CitationList
from rag.draft import Draft
from rag.events import Answer, Event, Mode, Passage, Retrieved, Stage
from rag.evidence import Sentence, TermWeights, ranked_sentences, term_weights
from rag.question import Question, understand, years
from rag.refusal import ANSWER_FROM, CALIBRATION, Signals
from rag.retrieval import Retrieval, Retriever
from rag.writing import Writer, quote

_log = logging.getLogger(__name__)
PASSAGES = 8
_ANOTHER_YEAR = 0.5  # what is left of the confidence when a year of the question stands nowhere
REFUSAL = "The documents do not seem to answer this question."
NOTHING_READ = "There is nothing to answer from yet: no document of this collection has been read."


@dataclass(frozen=True)
class Answered:
    """The finished answer with what has to be stored beside it; the last thing that `Answerer.answer` yields."""

    answer: Answer
    citations: CitationList


class Answerer:
    def __init__(self, retriever: Retriever, embedder: Embedder) -> None:
        self._retriever = retriever
        self._embedder = embedder

    def answer(
        self,
        text: str,
        collection: Collection,
        *,
        mode: Mode,
        model: ChatModel | None,
        history: Sequence[ChatMessage],
        already_read: Sequence[int] = (),
        salt: str | None = None,
        cancel: CancelToken,
        k: int = PASSAGES,
    ) -> Iterator[Event | Answered]:
        """Events, then one `Answered`. `model` is needed for mode "generate" only; where it fails, the documents are
        quoted. Raises `Cancelled`."""
        started = time.perf_counter()
        draft = Draft(text, mode, model.name if model and mode == "generate" else "quote")
        yield Stage("understand")
        question = understand(text, [message.content for message in history if message.role == "user"])
        if question.completed:
            draft.notes.append(f"Read together with the question before it: “{question.text}”")
        cancel.check()

        yield Stage("retrieve", question.text)
        retrieval = self._retriever.retrieve(collection, question, k)
        draft.timings_ms |= retrieval.timings_ms
        passages = tuple(hit.passage for hit in retrieval.found)
        yield Retrieved(passages)
        cancel.check()

        yield Stage("select", f"{len(passages)} passages")
        ranked = self._select(draft, collection, question, retrieval)
        cancel.check()
        if draft.confidence < ANSWER_FROM or not ranked:
            yield from _refuse(draft, passages, collection)
        elif mode == "generate" and model is not None:
            yield from Writer(model, self._embedder, history, already_read, salt, cancel).write(
                draft, retrieval, ranked
            )
        else:
            yield from quote(draft, ranked)

        draft.timings_ms["total"] = round(1000 * (time.perf_counter() - started), 2)
        _log.info(
            "answered: %d passages, %d citations, %s", len(passages), len(draft.citations.placed), draft.timings_ms
        )
        yield Answered(draft.finished(passages), draft.citations)

    def _select(self, draft: Draft, collection: Collection, question: Question, retrieval: Retrieval) -> list[Sentence]:
        """Rank the passages' sentences, and judge whether they answer the question at all."""
        clock = time.perf_counter()
        weights = term_weights(
            question, collection.lexical.frequencies(question.terms), collection.lexical.chunk_count()
        )
        ranked = ranked_sentences(retrieval, weights, collection.contents.page, self._embedder)
        signals = signals_of(retrieval, ranked, weights)
        draft.confidence = CALIBRATION.confidence(signals) if ranked else 0.0
        if absent := years(question.text) - years(" ".join(_with_headings(hit.chunk) for hit in retrieval.found)):
            draft.confidence *= _ANOTHER_YEAR
            draft.notes.append(f"No passage that was found mentions {', '.join(sorted(absent))}.")
        draft.timings_ms["select"] = round(1000 * (time.perf_counter() - clock), 2)
        return ranked


def signals_of(retrieval: Retrieval, ranked: Sequence[Sentence], weights: TermWeights) -> Signals:
    """What `rag.refusal` judges by."""
    return Signals(
        passage_cosine=max((hit.cosine for hit in retrieval.found), default=0.0),
        sentence_cosine=max((sentence.cosine for sentence in ranked), default=0.0),
        coverage=max((weights.coverage(_with_headings(hit.chunk)) for hit in retrieval.found[:3]), default=0.0),
    )


def _with_headings(chunk: StoredChunk) -> str:
    return f"{chunk.file} {chunk.title} {chunk.heading} {chunk.text}"


def _refuse(draft: Draft, passages: Sequence[Passage], collection: Collection) -> Iterator[Event]:
    draft.refused = True
    yield draft.say(REFUSAL if passages else NOTHING_READ)
    if passages:
        draft.notes.append("The closest passages are shown, so that you can judge for yourself.")
    embedded, chunks = collection.vectors.counts()
    if embedded < chunks:
        draft.notes.append(
            f"Reading is not finished: {embedded:,} of {chunks:,} passages can be found by meaning so far."
        )
