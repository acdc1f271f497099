"""An answer's events, or a bare model's deltas, as the same pieces: what one chunk of a completion adds."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field

from models.interfaces import ChatDelta, Engine, Usage
from rag.events import Answer, Citation, Cited, Done, EngineLost, Event, Failed, Passage, Retrieved, Token
from web.api_errors import failure

JsonObject = dict[str, object]
SEARCH_STEPS = ("retrieve", "embed", "dense", "lexical", "fuse")


@dataclass(frozen=True)
class Piece:
    """Text to append, and what is known now. `extras` are fields beside `choices`: `citations`, `metrics`, `lectern`;
    a later value replaces an earlier one. Only the last piece has a `finish_reason`."""

    text: str = ""
    finish_reason: str | None = None
    usage: Usage | None = None
    extras: JsonObject = field(default_factory=dict)


def pieces_of_chat(deltas: Iterable[ChatDelta]) -> Iterator[Piece]:
    """The bare language model's reply; its first piece says which engine makes it. A stream that ends without a reason
    was cut short: `length`."""
    finished = False
    for delta in deltas:
        finished = finished or delta.finish_reason is not None
        extras: JsonObject = {"lectern": {"engine": _engine(delta.engine)}} if delta.engine else {}
        yield Piece(delta.text, delta.finish_reason, delta.usage, extras)
    if not finished:
        yield Piece(finish_reason="length")


def pieces_of_answer(
    events: Iterable[Event], *, with_citations: bool, clock: Callable[[], float] = time.perf_counter
) -> Iterator[Piece]:
    """The reply from documents. Citations are known only once their sentence is written and checked: each piece after
    a new one carries all so far, the last piece carries the final list. Raises `ApiError` where the events fail."""
    started_s = clock()
    first_token_s: float | None = None
    passages: tuple[Passage, ...] = ()
    citations: list[Citation] = []
    broke_off = False
    for event in events:
        match event:
            case Retrieved():
                passages = event.passages
            case Token():
                first_token_s = first_token_s or clock() - started_s
                yield Piece(event.text)
            case Cited():
                citations.append(event.citation)
                if with_citations:
                    yield Piece(extras={"citations": citation_list(citations, passages)})
            case EngineLost():
                broke_off = event.next == "end"
                yield Piece(extras={"lectern": {"engine_lost": asdict(event)}})
            case Failed():
                raise failure(event.code, event.message)
            case Done():
                yield _last_piece(event.answer, with_citations, first_token_s, broke_off)


def _last_piece(answer: Answer, with_citations: bool, first_token_s: float | None, broke_off: bool) -> Piece:
    extras: JsonObject = {"metrics": _metrics(answer, first_token_s), "lectern": _verdict(answer)}
    if with_citations:
        extras["citations"] = citation_list(answer.citations, answer.passages)
    usage = Usage(answer.usage.get("prompt_tokens", 0), answer.usage.get("completion_tokens", 0))
    # "length" tells every client, also one that reads no extension, that the answer is not whole.
    return Piece(finish_reason="length" if broke_off else "stop", usage=usage, extras=extras)


def citation_list(citations: Sequence[Citation], passages: Sequence[Passage]) -> JsonObject:
    """The RAG Blueprint's `citations`: one result for each citation, with our number, quote and check beside it."""
    by_chunk = {passage.chunk_id: passage for passage in passages}
    results = [_citation(citation, by_chunk.get(citation.chunk_id)) for citation in citations]
    return {"total_results": len(results), "results": results}


def _citation(citation: Citation, passage: Passage | None) -> JsonObject:
    metadata: JsonObject = {
        "page_number": citation.page,
        "part": citation.part,
        "heading": passage.heading if passage else None,
        "chunk_id": citation.chunk_id,
        "version": citation.version,
    }
    return {
        "document_id": str(passage.document_id) if passage else "",
        "document_name": citation.file,
        "document_type": "text",
        "content": passage.text if passage else citation.quote,
        "score": passage.score if passage else 0.0,
        "metadata": metadata,
        "id": citation.id,
        "n": citation.n,
        "quote": citation.quote,
        "verified": citation.verified,
    }


def _metrics(answer: Answer, first_token_s: float | None) -> JsonObject:
    timings = answer.timings_ms
    searched = [timings[name] for name in SEARCH_STEPS if name in timings]
    return {
        "rag_ttft_ms": None if first_token_s is None else round(first_token_s * 1000, 1),
        "llm_ttft_ms": timings.get("first_token"),
        "retrieval_time_ms": round(sum(searched), 2) if searched else None,
        "context_reranker_time_ms": timings.get("rerank"),
        "llm_generation_time_ms": timings.get("generate"),
    }


def _verdict(answer: Answer) -> JsonObject:
    return {
        "mode": answer.mode,
        "refused": answer.refused,
        "confidence": answer.confidence,
        "model": answer.model,
        "engine": _engine(answer.engine),
        "notes": list(answer.notes),
    }


def _engine(engine: Engine | None) -> JsonObject | None:
    return asdict(engine) if engine else None
