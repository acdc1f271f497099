"""Section 2: how fast texts become vectors, by precision and by tokens a batch, and how near they are to the CPU's."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.gpu.embedder_folder import embedder_folder
from benchmarks.gpu.measuring import Meter, mib, percentile
from benchmarks.gpu.options import Options
from benchmarks.gpu.report import Report
from benchmarks.gpu.texts import chunks, questions
from models.embedding.batching import TokenBudget
from models.embedding.tokenization import WindowTokenizer
from models.embedding.torch_embedder import TorchEmbedder
from models.embedding.torch_models import TorchPrecision
from models.interfaces import Vectors

PRECISIONS: tuple[TorchPrecision, ...] = ("fp32", "bf16", "fp16")


@dataclass(frozen=True)
class Amounts:
    """How much is embedded. `compared` chunks are embedded on the CPU as well."""

    chunks: int
    compared: int
    budgets: tuple[int, ...]
    rounds: int
    questions: int


FULL = Amounts(2048, 128, (2048, 8192, 16384, 65536, 262144), 3, 100)
SMALL = Amounts(4, 4, (1024,), 1, 2)


def measure(options: Options, report: Report) -> None:
    folder, what = embedder_folder(options)
    amounts = SMALL if options.small else FULL
    if folder.parent == options.scratch:
        report.skip("MiniLM's own weights", "they are neither carried nor cached (carry.py weights, or --embedder)")
    report.note(f"Weights: {what}. {amounts.chunks} chunks of 150 words.")
    report.note("Throughput counts tokenizing and the way back. Cosines are to the same weights in fp32 on the CPU.")
    texts = chunks(amounts.chunks)
    tokenizer = WindowTokenizer(folder)
    tokens = sum(window.weight for window in tokenizer.windows(texts))
    times = Meter("cpu").repeat_ms(lambda: tokenizer.windows(texts), amounts.rounds)
    report.row("Tokenizing alone", **_speed(times, len(texts), tokens))
    reference: list[Vectors] = []
    with report.step("the reference: fp32 on the CPU"):
        reference.append(TorchEmbedder(folder, "cpu", precision="fp32").embed_passages(texts[: amounts.compared]))
    for precision in PRECISIONS:
        with report.step(f"MiniLM in {precision}"):
            _budgets(folder, precision, texts, tokens, options, report)
        with report.step(f"parity of {precision}"):
            _parity(folder, precision, texts, reference, options, report)


def _budgets(
    folder: Path, precision: TorchPrecision, texts: list[str], tokens: int, options: Options, report: Report
) -> None:
    amounts = SMALL if options.small else FULL
    for budget in amounts.budgets:
        with report.step(f"{precision}, {budget} tokens a batch"):
            embedder = TorchEmbedder(folder, options.device, precision=precision)
            embedder._budget = TokenBudget(budget)  # Lectern itself has one for every card
            _throughput(embedder, precision, f"{budget:,}", texts, tokens, options, report)
    with report.step(f"{precision}, as an ingest does it"):
        paced = TorchEmbedder(folder, options.device, precision=precision).for_ingest()
        _throughput(paced, precision, "ingest", texts, tokens, options, report)


def _throughput(
    embedder: TorchEmbedder,
    precision: str,
    batch: str,
    texts: list[str],
    tokens: int,
    options: Options,
    report: Report,
) -> None:
    """`ended_with` is the budget at the end: less than at the start when the device had no memory for it; for an ingest
    what the device was seen to do in the time that one batch may take."""
    amounts, meter = SMALL if options.small else FULL, Meter(options.device)
    embed = partial(embedder.embed_passages, texts)
    peak = meter.peak_bytes(embed)
    speed = _speed(meter.repeat_ms(embed, amounts.rounds, warm_up=0), len(texts), tokens)
    cells = {**speed, "ended_with": embedder._budget.tokens, "peak_mib": mib(peak)}
    report.row("Throughput", precision=precision, batch_tokens=batch, **cells)


def _parity(
    folder: Path,
    precision: TorchPrecision,
    texts: list[str],
    reference: list[Vectors],
    options: Options,
    report: Report,
) -> None:
    amounts, meter = SMALL if options.small else FULL, Meter(options.device)
    before = meter.allocated_bytes() or 0
    embedder = TorchEmbedder(folder, options.device, precision=precision)
    after = meter.allocated_bytes()
    asked = questions(amounts.questions + 3)
    embedder.embed_queries(asked[:3])
    times = [meter.ms(partial(embedder.embed_queries, [text])) for text in asked[3:]]
    cosines: dict[str, float] = {}
    for vectors in reference:
        near = np.sum(vectors * embedder.embed_passages(texts[: amounts.compared]), axis=1)
        cosines = {"cosine_mean": round(float(near.mean()), 6), "cosine_min": round(float(near.min()), 6)}
    question = {"question_p50_ms": percentile(times, 50), "question_p95_ms": percentile(times, 95)}
    weights = None if after is None else mib(after - before)
    report.row("Parity and one question", precision=precision, **cosines, **question, weights_mib=weights)


def _speed(times_ms: list[float], texts: int, tokens: int) -> dict[str, float]:
    seconds = statistics.median(times_ms) / 1000
    return {"chunks_per_s": round(texts / seconds, 1), "tokens_per_s": round(tokens / seconds)}
