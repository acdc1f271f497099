"""Section 5: from a question to its answer: the question's vector, the search, the prompt read, 128 tokens made.

transformers launches every kernel by itself, so its tokens a second are a lower bound; Lectern runs TensorRT-LLM.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from benchmarks.gpu.embedder_folder import embedder_folder
from benchmarks.gpu.llama import decode, llamas, prefill, random_llama
from benchmarks.gpu.measuring import Meter, percentile
from benchmarks.gpu.options import Options
from benchmarks.gpu.report import Report
from benchmarks.gpu.searching import Search, open_search, vectors_like_texts
from benchmarks.gpu.texts import questions
from models.embedding.torch_embedder import TorchEmbedder
from models.interfaces import Embedder

FAMILIES = ("llama-3.2-1b-instruct", "llama-3.1-8b-instruct")
CANDIDATES = 100


@dataclass(frozen=True)
class Amounts:
    vectors: int
    prompt_tokens: int
    answer_tokens: int
    rounds: int


FULL = Amounts(250_000, 2048, 128, 8)
SMALL = Amounts(2_000, 64, 4, 2)


@dataclass(frozen=True)
class Turn:
    """The milliseconds of each stage of one question."""

    embed: float
    search: float
    first_token: float
    further_tokens: float


def measure(options: Options, report: Report) -> None:
    amounts = SMALL if options.small else FULL
    folder, what = embedder_folder(options)
    embedder = TorchEmbedder(folder, options.device, precision="fp32" if options.device == "cpu" else "fp16")
    search, kind = open_search(options, *vectors_like_texts(amounts.vectors, embedder.dimension))
    report.note(f"Embedder: {what}. Index: {kind}, {amounts.vectors:,} vectors, the best {CANDIDATES}.")
    report.note("Language model: random weights through transformers in bf16, a lower bound of what TensorRT-LLM does.")
    for name, shape, _ in llamas(FAMILIES, small=options.small):
        with report.step(name):
            model = random_llama(shape, options.device)
            _turn(options.device, amounts, embedder, search, model, "warm up")
            asked = questions(amounts.rounds)
            turns = [_turn(options.device, amounts, embedder, search, model, text) for text in asked]
            report.row("A question", model=name, prompt_tokens=amounts.prompt_tokens, **_figures(turns, amounts))
            del model
        Meter(options.device).release()


def _turn(device: str, amounts: Amounts, embedder: Embedder, search: Search, model: Any, question: str) -> Turn:
    meter = Meter(device)
    meter.synchronise()
    moments = [time.perf_counter()]
    vector = embedder.embed_queries([question])[0]
    moments.append(time.perf_counter())
    search(vector, CANDIDATES)
    moments.append(time.perf_counter())
    cache, token = prefill(model, amounts.prompt_tokens)
    token.cpu()
    moments.append(time.perf_counter())
    decode(model, cache, token, amounts.answer_tokens - 1)
    moments.append(time.perf_counter())
    return Turn(*(1000 * (end - start) for start, end in pairwise(moments)))


def _figures(turns: list[Turn], amounts: Amounts) -> dict[str, float]:
    first = [turn.embed + turn.search + turn.first_token for turn in turns]
    return {
        "embed_p50_ms": percentile([turn.embed for turn in turns], 50),
        "search_p50_ms": percentile([turn.search for turn in turns], 50),
        "prompt_p50_ms": percentile([turn.first_token for turn in turns], 50),
        "first_token_p50_ms": percentile(first, 50),
        "first_token_p95_ms": percentile(first, 95),
        "tokens_per_s_p50": percentile(
            [1000 * (amounts.answer_tokens - 1) / turn.further_tokens for turn in turns], 50
        ),
    }
