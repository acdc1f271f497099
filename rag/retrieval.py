"""Hybrid retrieval: meaning and words, fused, and maybe ranked anew; the best chunks of a collection for a question."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from indexes.collection import Collection
from indexes.records import StoredChunk
from models.errors import ModelError
from models.interfaces import Embedder, Reranker
from rag.events import Passage
from rag.question import Question

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Fusion:
    """How the signals add up: cosine + `words` · BM25 / best BM25 + `names` · name match / best name match.

    `reranked`: as many of the best a reranker orders anew, where there is one. `joined`: chunks looked at for each
    passage wanted; those that follow one another are joined up to `passage_characters`. The BM25 weight follows the
    prototype that the project began with; `docs/decisions/0004-retrieval.md` has what was measured.
    """

    candidates: int = 100
    words: float = 0.5
    names: float = 0.1
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
        lexical = _shares(collection.lexical.search_chunks(question.terms, candidates))
        names = _shares(collection.lexical.search_documents(question.terms, candidates))
        clock.lap("lexical")
        ids = np.array(sorted({*near_ids.tolist(), *lexical}), dtype=np.int64)
        cosines = dict(zip(ids.tolist(), collection.dense.similarities(query, ids).tolist(), strict=True))
        chunks = collection.chunks(ids.tolist())
        found = [
            self._fuse(chunk, cosines[i], lexical.get(i, 0.0), names.get(chunk.document_id, 0.0))
            for i, chunk in chunks.items()
        ]
        found.sort(key=lambda hit: (-hit.score, hit.chunk.chunk_id))
        ranked = _distinct(found)
        clock.lap("fuse")
        if self._reranker is not None:
            ranked = self._rerank(self._reranker, question.text, ranked)
            clock.lap("rerank")
        return Retrieval(_joined(ranked, k, self._fusion), query, clock.laps_ms)

    def _fuse(self, chunk: StoredChunk, cosine: float, lexical: float, name: float) -> Found:
        score = cosine + self._fusion.words * lexical + self._fusion.names * name
        return Found(chunk, score, cosine, lexical, name)

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
            and sum(len(known.chunk.text) for known in (*self.hits, hit)) <= most_characters
        )

    def add(self, hit: Found) -> None:
        self.hits.append(hit)

    @property
    def found(self) -> Found:
        """One passage: the best chunk's signals and id, all chunks' text and places in reading order."""
        best = self.hits[0]
        chunks = [hit.chunk for hit in sorted(self.hits, key=lambda hit: hit.chunk.ordinal)]
        whole = replace(
            best.chunk,
            heading=chunks[0].heading,
            text="\n\n".join(chunk.text for chunk in chunks),
            spans=tuple(span for chunk in chunks for span in chunk.spans),
            part=chunks[0].part,
            page=chunks[0].page,
            page_end=chunks[-1].page_end,
        )
        return replace(best, chunk=whole)


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


def _shares(scores: Sequence[tuple[int, float]]) -> dict[int, float]:
    """Each score as a share of the best one."""
    best = max((score for _, score in scores), default=0.0) or 1.0
    return {i: score / best for i, score in scores}


class _Clock:
    """Milliseconds of each step."""

    def __init__(self) -> None:
        self.laps_ms: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.laps_ms[name] = round(1000 * (now - self._last), 2)
        self._last = now
