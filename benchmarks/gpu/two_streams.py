"""Section 6: how long a question waits for its vector while an ingest keeps the card busy.

Lectern makes it short in two ways: the batches of an ingest are short, and a waiting question goes before the next one.
Each is taken away in turn, to see what it is worth.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from benchmarks.gpu.embedder_folder import embedder_folder
from benchmarks.gpu.measuring import Meter, percentile
from benchmarks.gpu.options import Options
from benchmarks.gpu.report import Report
from benchmarks.gpu.texts import chunks, questions
from models.device_lock import DeviceLock
from models.embedding.torch_embedder import TorchEmbedder
from models.embedding.torch_models import TorchPrecision
from models.interfaces import Embedder

PAUSE_S = 0.05
"""Between two questions, so that the ingest is always in the middle of something."""


class NoLock(DeviceLock):
    """Lets both at the card at once, whose kernels then queue on it."""

    @contextmanager
    def query(self) -> Iterator[None]:
        yield

    @contextmanager
    def ingest(self) -> Iterator[None]:
        yield


class OneLine(DeviceLock):
    """First come, first served."""

    @contextmanager
    def query(self) -> Iterator[None]:
        with self.ingest():
            yield


def measure(options: Options, report: Report) -> None:
    folder, what = embedder_folder(options)
    precision: TorchPrecision = "fp32" if options.device == "cpu" else "fp16"
    report.note(f"Weights: {what}, {precision}. One thread embeds chunks without pause, another asks questions.")
    locks: tuple[tuple[str, DeviceLock], ...] = (
        ("none", NoLock()),
        ("one line", OneLine()),
        ("questions first", DeviceLock()),
    )
    for name, lock in locks:
        with report.step(f"lock: {name}"):
            embedder = TorchEmbedder(folder, options.device, precision=precision, lock=lock)
            if name == "one line":
                _measure(name, "full", embedder, embedder, options, report)
            _measure(name, "short", embedder, embedder.for_ingest(), options, report)
            if name == "questions first":
                report.row("A question", lock=name, batches="no ingest", **_waits(embedder, options))


def _measure(
    lock: str, batches: str, embedder: Embedder, ingesting: Embedder, options: Options, report: Report
) -> None:
    texts, group = (chunks(8), 2) if options.small else (chunks(4096), 256)
    ingesting.embed_passages(texts)
    embedder.embed_queries(["Is it warm?"])
    with _ingest(ingesting, texts, group) as counts:
        started = time.perf_counter()
        waits = _waits(embedder, options)
        speed = sum(counts) / (time.perf_counter() - started)
    report.row("A question", lock=lock, batches=batches, **waits, ingest_chunks_per_s=round(speed, 1))


def _waits(embedder: Embedder, options: Options) -> dict[str, float]:
    """Until the vector is there, tokenizing and all."""
    times = []
    for text in questions(5 if options.small else 100):
        times.append(Meter("cpu").ms(partial(embedder.embed_queries, [text])))
        time.sleep(0 if options.small else PAUSE_S)
    return {"p50_ms": percentile(times, 50), "p95_ms": percentile(times, 95), "most_ms": percentile(times, 100)}


@contextmanager
def _ingest(embedder: Embedder, texts: list[str], size: int) -> Iterator[list[int]]:
    """Embeds the texts over and over in a thread, `size` at a time; the list grows by the count of those done."""
    counts: list[int] = []
    enough = threading.Event()

    def work() -> None:
        start = 0
        while not enough.is_set():
            group = texts[start : start + size]
            embedder.embed_passages(group)
            counts.append(len(group))
            start = (start + size) % len(texts)

    thread = threading.Thread(target=work, name="ingest")
    thread.start()
    try:
        yield counts
    finally:
        enough.set()
        thread.join()
