"""Section 3: FAISS on the GPU against FAISS on the CPU: the same answers, how fast, how much memory, and whether a
deleted vector is ever found again."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.gpu.measuring import Meter, card_used_bytes, mib, percentile
from benchmarks.gpu.options import Options
from benchmarks.gpu.report import Report
from benchmarks.gpu.searching import (
    cpu_index,
    ensure_on_gpu,
    gpu_index,
    open_device,
    questions_near,
    vectors_like_texts,
)
from indexes.dense import DenseIndex, Ids, Vectors
from indexes.gpu_index import GpuIndex

if TYPE_CHECKING:
    from indexes.device_copy import CopyKind
    from indexes.faiss_gpu import GpuDevice

DIMENSION = 384
K = 100
"""As many as Lectern's retrieval asks for."""
FEWEST_FOR_APPROXIMATE = 100_000
ADDED = 1_000


@dataclass(frozen=True)
class Task:
    """Vectors and questions; `right` is what FAISS on the CPU answers to each."""

    ids: Ids
    vectors: Vectors
    questions: Vectors
    right: list[tuple[Ids, Vectors]]
    meter: Meter
    report: Report


def measure(options: Options, report: Report) -> None:
    device = None
    with report.step("FAISS on the GPU"):
        device = open_device(options)
    report.note(f"{DIMENSION} dimensions, the best {K} of each question; shares and cosines are against the CPU.")
    for size in (2_000, 10_000) if options.small else (10_000, 100_000, 1_000_000):
        with report.step(f"{size:,} vectors"):
            task = _task(size, options, report)
            for kind in _kinds(size, device):
                with report.step(f"{size:,} vectors, {kind}"):
                    assert device is not None
                    _measure_copy(task, device, kind)


def _task(size: int, options: Options, report: Report) -> Task:
    """Makes it, and measures the CPU on the way."""
    ids, vectors = vectors_like_texts(size, DIMENSION)
    questions = questions_near(vectors, 20 if options.small else 50)
    index = cpu_index(ids, vectors)
    right = [index.search(question, K) for question in questions]
    task = Task(ids, vectors, questions, right, Meter(options.device), report)
    report.row("Search", vectors=size, where="cpu", **_latency(task, index))
    return task


def _kinds(size: int, device: GpuDevice | None) -> tuple[CopyKind, ...]:
    if device is None:
        return ()
    return ("flat",) if size < FEWEST_FOR_APPROXIMATE else ("flat", "ivf-pq", "cagra")


def _measure_copy(task: Task, device: GpuDevice, kind: CopyKind) -> None:
    index = gpu_index(device, kind, cpu_index(task.ids, task.vectors))
    used = card_used_bytes() or 0
    built_s = task.meter.ms(index.prepare) / 1000
    taken = (card_used_bytes() or 0) - used
    figures = {**_latency(task, index), **_agreement(task, index), "built_s": round(built_s, 2)}
    sizes = {"counted_mib": mib(index.device_bytes), "taken_mib": mib(taken)}
    ensure_on_gpu(index)
    task.report.row("Search", vectors=len(index), where=kind, **figures, **sizes)
    best = np.unique(np.concatenate([index.search(question, 10)[0] for question in task.questions]))
    _delete(task, kind, index, "the best deleted", best[: len(index) // 20])
    _delete(task, kind, index, "a fifth deleted", np.random.default_rng(5).permutation(index.ids())[: len(index) // 5])
    _add(task, kind, index)
    index.close()


def _latency(task: Task, index: DenseIndex) -> dict[str, float]:
    for question in task.questions[:5]:
        index.search(question, K)
    times = [task.meter.ms(partial(index.search, question, K)) for question in task.questions]
    return {"p50_ms": percentile(times, 50), "p95_ms": percentile(times, 95)}


def _agreement(task: Task, index: DenseIndex) -> dict[str, float]:
    """`same`: the share of questions with the very same set of chunks; `found`: of the right chunks; how far apart the
    cosines are at each place."""
    found, apart = [], []
    for question, (right_ids, right_cosines) in zip(task.questions, task.right, strict=True):
        ids, cosines = index.search(question, K)
        found.append(len(np.intersect1d(ids, right_ids)) / len(right_ids))
        apart.append(float(np.abs(cosines - right_cosines[: len(cosines)]).max()))
    same = float(np.mean([share == 1 for share in found]))
    return {"same": round(same, 4), "found": round(float(np.mean(found)), 5), "cosine_apart": round(max(apart), 7)}


def _delete(task: Task, kind: str, index: GpuIndex, what: str, gone: Ids) -> None:
    """A few are marked as gone; many make the next search build the copy anew."""
    before = len(index)
    index.remove(gone)
    first_ms = task.meter.ms(partial(index.search, task.questions[0], K))
    latency = _latency(task, index)
    leaked = sum(int(np.isin(index.search(question, K)[0], gone).sum()) for question in task.questions)
    ensure_on_gpu(index)
    cells = {"changed": before - len(index), "first_ms": round(first_ms, 2), **latency, "leaked": leaked}
    task.report.row("Changes", vectors=before, where=kind, what=what, **cells)


def _add(task: Task, kind: str, index: GpuIndex) -> None:
    """Each new vector must be the first answer to itself."""
    before = len(index)
    fresh = questions_near(task.questions, ADDED, seed=6)
    ids = np.arange(ADDED, dtype=np.int64) + int(index.ids()[-1]) + 1
    index.add(ids, fresh)
    first_ms = task.meter.ms(partial(index.search, fresh[0], K))
    missed = sum(int(index.search(vector, 1)[0][0] != i) for i, vector in zip(ids, fresh, strict=True))
    latency = _latency(task, index)
    ensure_on_gpu(index)
    cells = {"changed": ADDED, "first_ms": round(first_ms, 2), **latency, "missed": missed}
    task.report.row("Changes", vectors=before, where=kind, what="added", **cells)
