"""Hybrid retrieval: meaning and words, fused, and maybe ranked anew; the best chunks of a collection for a question.

A table often says nothing of what it is about: only its file's name does. So words of the question that stand in the
name or title of a document, and not in the chunk, count for each of its chunks like words of the text.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from indexes.collection import Collection
from indexes.lexical import path_words, words
from indexes.records import Span, StoredChunk
from models.errors import ModelError
from models.interfaces import Embedder, Reranker
from rag.events import Passage
from rag.question import Question, stem

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Fusion:
    """How the signals add up: cosine + `words` · BM25 / best BM25 + `names` · name match / best name match. BM25 is
    that of the chunk, and of the document's name by its words that the chunk lacks.

    `named`: as many of the documents that match best by name bring their `nearest` chunks along. `reranked`: as many
    of the best a reranker orders anew, where there is one. `joined`: chunks looked at for each passage wanted; those
    that follow one another are joined up to `passage_characters`. The BM25 weight follows the prototype that the
    project began with; `docs/decisions/0004-retrieval.md` has what was measured.
    """

    candidates: int = 100
    words: float = 0.5
    names: float = 0.1
    named: int = 5
    nearest: int = 3
    reranked: int = 30
    joined: int = 3
    passage_characters: int = 1600


@dataclass(frozen=True)
class Found:
    """A chunk with the signals that brought it; `lexical` and `name` are shares (0–1) of the best in this search."""

    chunk: StoredChunk
    score: float
    cosine: float
    lexical: float
    name: float

    @property
    def passage(self) -> Passage:
        chunk = self.chunk
        return Passage(
            file=chunk.file,
            part=chunk.part,
            page=chunk.page,
            page_end=chunk.page_end,
            text=chunk.text,
            score=round(self.score, 4),
            chunk_id=chunk.chunk_id,
            document_id=chunk.document_id,
            version=chunk.version,
            heading=chunk.heading or chunk.title,
        )


@dataclass(frozen=True)
class Retrieval:
    """What was found, best first, with the question's vector and the milliseconds of each step."""

    found: tuple[Found, ...]
    query: NDArray[np.float32]
    timings_ms: dict[str, float]


class Retriever:
    """With a `reranker`, the order of the best is its own; it says nothing of how good a passage is for another
    question, so the fused scores stay, the highest with the first."""

    def __init__(self, embedder: Embedder, reranker: Reranker | None = None, fusion: Fusion | None = None) -> None:
        self._embedder = embedder
        self._reranker = reranker
        self._fusion = fusion or Fusion()

    def retrieve(self, collection: Collection, question: Question, k: int) -> Retrieval:
        """The best `k` chunks of live documents. The caller has asked `rag.access` already."""
        clock = _Clock()
        query = self._embedder.embed_queries([question.text])[0]
        clock.lap("embed")
        candidates = max(self._fusion.candidates, k)
        near_ids, _ = collection.dense.search(query, candidates)
        clock.lap("dense")
        lexical = dict(collection.lexical.search_chunks(question.terms, candidates))
        names = dict(collection.lexical.search_documents(question.terms, candidates))
        clock.lap("lexical")
        cosines = self._cosines(collection, query, {*near_ids.tolist(), *lexical}, names)
        chunks = collection.chunks(list(cosines))
        found = _fused(self._fusion, list(chunks.values()), question, cosines, lexical, names)
        found.sort(key=lambda hit: (-hit.score, hit.chunk.chunk_id))
        ranked = _distinct(found)
        clock.lap("fuse")
        if self._reranker is not None:
            ranked = self._rerank(self._reranker, question.text, ranked)
            clock.lap("rerank")
        return Retrieval(_joined(ranked, k, self._fusion), query, clock.laps_ms)

    def _cosines(
        self, collection: Collection, query: NDArray[np.float32], ids: set[int], names: dict[int, float]
    ) -> dict[int, float]:
        """The cosine of each of `ids`, and of the nearest chunks of the documents that match best by name."""
        best_named = list(names)[: self._fusion.named]
        groups = [sorted(ids), *collection.chunks_of_documents(best_named).values()]
        everything = np.array(list(dict.fromkeys(i for group in groups for i in group)), dtype=np.int64)
        cosines = dict(zip(everything.tolist(), collection.dense.similarities(query, everything).tolist(), strict=True))
        for group in groups[1:]:
            ids.update(sorted(group, key=lambda i: -cosines[i])[: self._fusion.nearest])
        return {i: cosines[i] for i in sorted(ids)}

    def _rerank(self, reranker: Reranker, question: str, found: tuple[Found, ...]) -> tuple[Found, ...]:
        best, rest = found[: self._fusion.reranked], found[self._fusion.reranked :]
        try:
            scores = reranker.scores(question, [_read_text(hit.chunk) for hit in best]).tolist()
        except ModelError as exc:  # a worse order is better than no answer
            _log.warning("the passages keep their fused order: %s", exc)
            return found
        # Sorting keeps the fused order of equals.
        ordered = [hit for _, hit in sorted(zip(scores, best, strict=True), key=lambda pair: -pair[0])]
        return (*(replace(hit, score=best[rank].score) for rank, hit in enumerate(ordered)), *rest)


def _fused(
    fusion: Fusion,
    chunks: Sequence[StoredChunk],
    question: Question,
    cosines: dict[int, float],
    lexical: dict[int, float],
    names: dict[int, float],
) -> list[Found]:
    """The chunks with their signals, in no order; `lexical` and `names` are BM25 by chunk and by document."""
    asked = {stem(term) for term in question.terms}
    said = [
        lexical.get(chunk.chunk_id, 0.0) + names.get(chunk.document_id, 0.0) * _only_in_name(chunk, asked)
        for chunk in chunks
    ]
    most_said, best_name = max(said, default=0.0) or 1.0, max(names.values(), default=0.0) or 1.0
    found = []
    for chunk, by_words in zip(chunks, said, strict=True):
        cosine, share = cosines[chunk.chunk_id], by_words / most_said
        name = names.get(chunk.document_id, 0.0) / best_name
        found.append(Found(chunk, cosine + fusion.words * share + fusion.names * name, cosine, share, name))
    return found


def _only_in_name(chunk: StoredChunk, asked: set[str]) -> float:
    """Of the stems in `asked` that stand in the document's name or title, the share that the chunk itself lacks."""
    in_name = asked & {stem(word) for word in words(f"{path_words(chunk.file)} {chunk.title}")}
    if not in_name:
        return 0.0
    in_chunk = {stem(word) for word in words(f"{chunk.heading} {chunk.text}")}
    return len(in_name - in_chunk) / len(in_name)


def _read_text(chunk: StoredChunk) -> str:
    """What a reranker reads: the headings say what the text is about."""
    return "\n".join(part for part in (chunk.heading or chunk.title, chunk.text) if part)


def _joined(found: Sequence[Found], k: int, fusion: Fusion) -> tuple[Found, ...]:
    """The first `k` passages, where chunks that follow one another in a document and were both found are one passage,
    at the rank of the better one. Only the first `joined` · k chunks are looked at."""
    passages: list[_Run] = []
    for hit in found[: fusion.joined * k]:
        run = next((run for run in passages if run.takes(hit, fusion.passage_characters)), None)
        if run:
            run.add(hit)
        elif len(passages) < k:
            passages.append(_Run([hit]))
    return tuple(run.found for run in passages)


@dataclass
class _Run:
    """Chunks of one content without a gap, the best one first."""

    hits: list[Found]

    def takes(self, hit: Found, most_characters: int) -> bool:
        ordinals = [known.chunk.ordinal for known in self.hits]
        return (
            hit.chunk.document_id == self.hits[0].chunk.document_id
            and hit.chunk.ordinal in (min(ordinals) - 1, max(ordinals) + 1)
            and _characters([*self.hits, hit]) <= most_characters
        )

    def add(self, hit: Found) -> None:
        self.hits.append(hit)

    @property
    def found(self) -> Found:
        """One passage: the best chunk's signals and id, all chunks' text and places in reading order. What several of
        them repeat, the header of a table, stands there once."""
        if len(self.hits) == 1:
            return self.hits[0]
        best = self.hits[0]
        chunks = [hit.chunk for hit in sorted(self.hits, key=lambda hit: hit.chunk.ordinal)]
        said: dict[Span, str] = {}
        texts = []
        for chunk in chunks:
            new = {span: text for span, text in _slices(chunk).items() if not _is_within(span, said)}
            texts.append("\n".join(new.values()))
            said |= new
        whole = replace(
            best.chunk,
            heading=chunks[0].heading,
            text="\n\n".join(texts),
            spans=tuple(said),
            part=chunks[0].part,
            page=chunks[0].page,
            page_end=chunks[-1].page_end,
        )
        return replace(best, chunk=whole)


def _slices(chunk: StoredChunk) -> dict[Span, str]:
    """The text of each span; a chunk's text is that of its spans, a line each."""
    slices, at = {}, 0
    for span in chunk.spans:
        length = span[2] - span[1]
        slices[span] = chunk.text[at : at + length]
        at += length + 1
    return slices


def _is_within(span: Span, others: Iterable[Span]) -> bool:
    return any(page == span[0] and start <= span[1] and span[2] <= end for page, start, end in others)


def _characters(hits: Sequence[Found]) -> int:
    return sum(end - start for _, start, end in {span for hit in hits for span in hit.chunk.spans})


def _distinct(found: Sequence[Found]) -> tuple[Found, ...]:
    """Each text once, at its best rank; the same words again come last."""
    first: dict[str, Found] = {}
    again = []
    for hit in found:
        text = " ".join(hit.chunk.text.split())
        if text in first:
            again.append(hit)
        else:
            first[text] = hit
    return (*first.values(), *again)


class _Clock:
    """Milliseconds of each step."""

    def __init__(self) -> None:
        self.laps_ms: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.laps_ms[name] = round(1000 * (now - self._last), 2)
        self._last = now
