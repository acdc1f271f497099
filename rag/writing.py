"""Mode "generate": a language model writes, and each of its sentences is shown only if a passage supports it. Where it
writes nothing of the kind, or no engine answers, the documents are quoted."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Sequence

from models.cancellation import CancelToken
from models.errors import EngineError
from models.interfaces import ChatMessage, ChatModel, Embedder, Usage
from rag.draft import Draft
from rag.events import Cited, EngineLost, Event, Stage
from rag.evidence import Sentence
from rag.prompt import ANSWER_TOKENS, NOT_FOUND, Prompt, build_prompt
from rag.quoting import choose_quotes
from rag.retrieval import Retrieval
from rag.support import supporting_sentence, whole_sentences


def quote(draft: Draft, ranked: Sequence[Sentence]) -> Iterator[Event]:
    """The best sentences of the documents."""
    draft.quotes()
    yield Stage("quote")
    for sentence in choose_quotes(ranked):
        citation, _ = draft.citations.cite(sentence)
        yield draft.say(f"“{' '.join(sentence.text.split())}” [{citation.n}]\n\n")
        yield Cited(citation)


class Writer:
    """Has one answer written by `model`. `already_read` is what `rag.prompt.build_prompt` takes; `salt` keeps its
    prompt in the engine's cache apart from other users'."""

    def __init__(
        self,
        model: ChatModel,
        embedder: Embedder,
        history: Sequence[ChatMessage],
        already_read: Sequence[int],
        salt: str | None,
        cancel: CancelToken,
    ) -> None:
        self._model = model
        self._embedder = embedder
        self._history = history
        self._already_read = already_read
        self._salt = salt
        self._cancel = cancel

    def write(self, draft: Draft, retrieval: Retrieval, ranked: Sequence[Sentence]) -> Iterator[Event]:
        """Raises `Cancelled`."""
        clock = time.perf_counter()
        try:
            self._model.prepare(self._cancel)
            prompt = build_prompt(draft.question, retrieval.found, self._history, self._model, self._already_read)
        except EngineError as exc:
            yield from _quote_instead(draft, ranked, exc)
            return
        if not prompt.used:
            draft.notes.append(f"The question is too long for {self._model.name}; these are the passages' own words.")
            yield from quote(draft, ranked)
            return
        yield Stage("generate", f"{self._model.name} reads {len(prompt.used)} passages")
        problem = yield from self._written(draft, prompt, ranked)
        draft.timings_ms["generate"] = round(1000 * (time.perf_counter() - clock), 2)
        if problem:
            yield from _quote_instead(draft, ranked, problem)
        elif not draft.citations.placed:
            who = draft.engine or self._model.name
            draft.notes.append(f"{who} wrote nothing that the passages support; these are the passages' own words.")
            yield from quote(draft, ranked)

    def _written(
        self, draft: Draft, prompt: Prompt, ranked: Sequence[Sentence]
    ) -> Generator[Event, None, EngineError | None]:
        """What the model writes. When its engine breaks off, what was shown stays and the answer ends; when nothing was
        shown yet, the next engine writes it. Returns why no engine writes, if so."""
        while True:
            draft.without_writer()
            try:
                yield from self._sentences(draft, self._pieces(draft, prompt), ranked)
            except EngineError as exc:
                if draft.text:
                    draft.notes.append(f"This answer is not whole: {exc}. What was written until then is shown.")
                    yield EngineLost(draft.notes[-1], "end")
                    return None
                if draft.engine is None:
                    return exc
                yield EngineLost(f"{exc}. Nothing was shown yet, so the next engine writes the answer.", "engine")
            else:
                return None

    def _sentences(
        self, draft: Draft, pieces: Generator[str, None, None], ranked: Sequence[Sentence]
    ) -> Iterator[Event]:
        """Each sentence with its citation, if a passage supports it."""
        left_out = 0
        written: set[str] = set()
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
        if left_out:
            draft.notes.append(f"Sentences of the model left out because no passage supports them: {left_out}.")

    def _pieces(self, draft: Draft, prompt: Prompt) -> Generator[str, None, None]:
        started = time.perf_counter()
        deltas = self._model.stream(prompt.messages, max_tokens=ANSWER_TOKENS, salt=self._salt, cancel=self._cancel)
        usage, written = None, 0
        try:
            for delta in deltas:
                if delta.engine:
                    draft.engine, draft.model = delta.engine, delta.engine.model
                if delta.text and "first_token" not in draft.timings_ms:
                    draft.timings_ms["first_token"] = round(1000 * (time.perf_counter() - started), 2)
                usage, written = delta.usage or usage, written + bool(delta.text)
                yield delta.text
        finally:
            # An engine says what it counted at its end; of a reply that is stopped before, each piece is a token.
            draft.usage = _usage(usage or Usage(prompt.tokens, written))


def _quote_instead(draft: Draft, ranked: Sequence[Sentence], problem: EngineError) -> Iterator[Event]:
    draft.notes.append(f"These are the passages' own words, since {problem}.")
    yield EngineLost(draft.notes[-1], "quote")
    yield from quote(draft, ranked)


def _usage(usage: Usage) -> dict[str, int]:
    total = usage.prompt_tokens + usage.completion_tokens
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": total,
    }
