"""The story of an answer: a question becomes text in which every sentence shows the page it stands on.

    understand ─► retrieve ─► select ─► quote, or generate and verify ─► store

Access has been asked before the story begins. It yields events as it goes; what was yielded is never taken back.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field

from indexes.collection import Collection
from indexes.records import StoredChunk
from models.cancellation import CancelToken
from models.interfaces import ChatMessage, ChatModel, Embedder, Usage
from rag.citations import CitationList
from rag.events import Answer, Cited, Event, Mode, Passage, Retrieved, Stage, Token
from rag.evidence import Sentence, TermWeights, ranked_sentences, term_weights
from rag.prompt import ANSWER_TOKENS, NOT_FOUND, build_prompt
from rag.question import Question, understand, years
from rag.quoting import choose_quotes
from rag.refusal import ANSWER_FROM, CALIBRATION, Signals
from rag.retrieval import Retrieval, Retriever
from rag.support import supporting_sentence, whole_sentences

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


@dataclass
class _Draft:
    """What is gathered on the way."""

    question: str
    mode: Mode
    model: str
    text: str = ""
    refused: bool = False
    confidence: float = 0.0
    citations: CitationList = field(default_factory=CitationList)
    timings_ms: dict[str, float] = field(default_factory=dict)
    usage: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def say(self, text: str) -> Token:
        self.text += text
        return Token(text)


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
        cancel: CancelToken,
        k: int = PASSAGES,
    ) -> Iterator[Event | Answered]:
        """Events, then one `Answered`. `model` is needed for mode "generate" only. Raises `Cancelled` and what the
        model's engine raises."""
        started = time.perf_counter()
        draft = _Draft(text, mode, model.name if model and mode == "generate" else "quote")
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
            yield from self._generate(draft, retrieval, ranked, model, history, cancel)
        else:
            yield from _quote(draft, ranked)

        draft.timings_ms["total"] = round(1000 * (time.perf_counter() - started), 2)
        _log.info(
            "answered: %d passages, %d citations, %s", len(passages), len(draft.citations.placed), draft.timings_ms
        )
        answer = Answer(
            question=text,
            text=draft.text.strip(),
            mode=draft.mode,
            refused=draft.refused,
            confidence=round(draft.confidence, 4),
            citations=draft.citations.citations,
            passages=passages,
            model=draft.model,
            timings_ms=draft.timings_ms,
            usage=draft.usage,
            notes=tuple(draft.notes),
        )
        yield Answered(answer, draft.citations)

    def _select(
        self, draft: _Draft, collection: Collection, question: Question, retrieval: Retrieval
    ) -> list[Sentence]:
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

    def _generate(
        self,
        draft: _Draft,
        retrieval: Retrieval,
        ranked: Sequence[Sentence],
        model: ChatModel,
        history: Sequence[ChatMessage],
        cancel: CancelToken,
    ) -> Iterator[Event]:
        """The model's own sentences, each only if a passage supports it; quotes when none does."""
        clock = time.perf_counter()
        prompt = build_prompt(draft.question, retrieval.found, history, model)
        if not prompt.used:
            draft.notes.append(f"The question is too long for {model.name}; these are the passages' own words.")
            yield from _quote(draft, ranked)
            return
        yield Stage("generate", f"{model.name} reads {len(prompt.used)} passages")
        left_out = 0
        written: set[str] = set()
        pieces = self._pieces(draft, prompt.messages, model, cancel)
        for sentence in whole_sentences(pieces):
            if sentence in written:
                pieces.close()  # the model has begun to repeat itself; nothing new comes any more
                break
            written.add(sentence)
            if NOT_FOUND in sentence:
                continue
            evidence = supporting_sentence(sentence, ranked, self._embedder)
            if evidence is None:
                left_out += 1
                continue
            citation, is_new = draft.citations.cite(evidence)
            yield draft.say(f"{sentence} [{citation.n}] ")
            if is_new:
                yield Cited(citation)
        draft.timings_ms["generate"] = round(1000 * (time.perf_counter() - clock), 2)
        if left_out:
            draft.notes.append(f"Sentences of the model left out because no passage supports them: {left_out}.")
        if not draft.citations.placed:
            draft.notes.append("The model wrote nothing that the passages support; these are the passages' own words.")
            draft.mode, draft.model = "quote", "quote"
            yield from _quote(draft, ranked)

    def _pieces(
        self, draft: _Draft, messages: Sequence[ChatMessage], model: ChatModel, cancel: CancelToken
    ) -> Generator[str, None, None]:
        started = time.perf_counter()
        for delta in model.stream(messages, max_tokens=ANSWER_TOKENS, cancel=cancel):
            if delta.text and "first_token" not in draft.timings_ms:
                draft.timings_ms["first_token"] = round(1000 * (time.perf_counter() - started), 2)
            if delta.usage:
                draft.usage = _usage(delta.usage)
            yield delta.text


def signals_of(retrieval: Retrieval, ranked: Sequence[Sentence], weights: TermWeights) -> Signals:
    """What `rag.refusal` judges by."""
    return Signals(
        passage_cosine=max((hit.cosine for hit in retrieval.found), default=0.0),
        sentence_cosine=max((sentence.cosine for sentence in ranked), default=0.0),
        coverage=max((weights.coverage(_with_headings(hit.chunk)) for hit in retrieval.found[:3]), default=0.0),
    )


def _with_headings(chunk: StoredChunk) -> str:
    return f"{chunk.file} {chunk.title} {chunk.heading} {chunk.text}"


def _quote(draft: _Draft, ranked: Sequence[Sentence]) -> Iterator[Event]:
    yield Stage("quote")
    for sentence in choose_quotes(ranked):
        citation, _ = draft.citations.cite(sentence)
        yield draft.say(f"“{' '.join(sentence.text.split())}” [{citation.n}]\n\n")
        yield Cited(citation)


def _refuse(draft: _Draft, passages: Sequence[Passage], collection: Collection) -> Iterator[Event]:
    draft.refused = True
    yield draft.say(REFUSAL if passages else NOTHING_READ)
    if passages:
        draft.notes.append("The closest passages are shown, so that you can judge for yourself.")
    embedded, chunks = collection.vectors.counts()
    if embedded < chunks:
        draft.notes.append(
            f"Reading is not finished: {embedded:,} of {chunks:,} passages can be found by meaning so far."
        )


def _usage(usage: Usage) -> dict[str, int]:
    total = usage.prompt_tokens + usage.completion_tokens
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": total,
    }
