"""Vector indexes to measure, and vectors that lie together as those of texts do."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.gpu.options import Options
from benchmarks.gpu.report import Missing
from indexes.dense import Ids, Vectors
from indexes.errors import FaissUnusable
from indexes.faiss_index import FaissIndex
from indexes.index_device import choose_index_device
from models.device_lock import DeviceLock

if TYPE_CHECKING:
    from indexes.device_copy import CopyKind, DeviceCopy
    from indexes.faiss_gpu import GpuDevice
    from indexes.gpu_index import GpuIndex

BUDGET_BYTES = 8 << 30
PER_TOPIC = 100
SPREAD = 0.06


class FellBack(Exception):
    """The copy on the GPU failed, and the CPU has answered in its place; the message is the index's own reason."""


Search = Callable[[Vectors, int], object]


def vectors_like_texts(count: int, dimension: int, seed: int = 3) -> tuple[Ids, Vectors]:
    """Unit vectors around topics, about 0.4 from one to the next of the same topic by cosine; rounded to fp16, as the
    database keeps them."""
    random = np.random.default_rng(seed)
    topics = _unit(random.standard_normal((max(1, count // PER_TOPIC), dimension), dtype=np.float32))
    noise = random.standard_normal((count, dimension), dtype=np.float32)
    vectors = _unit(topics[random.integers(len(topics), size=count)] + SPREAD * noise)
    return np.arange(count, dtype=np.int64), vectors.astype(np.float16).astype(np.float32)


def questions_near(vectors: Vectors, count: int, seed: int = 4) -> Vectors:
    """Unit vectors, each some way from one of `vectors`."""
    random = np.random.default_rng(seed)
    chosen = vectors[random.integers(len(vectors), size=count)]
    return _unit(chosen + SPREAD * random.standard_normal(chosen.shape, dtype=np.float32))


def cpu_index(ids: Ids, vectors: Vectors) -> FaissIndex:
    """Raises `Missing` without FAISS."""
    try:
        index = FaissIndex(vectors.shape[1])
    except FaissUnusable as exc:
        raise Missing(str(exc)) from exc
    index.add(ids, vectors)
    return index


def open_device(options: Options) -> GpuDevice:
    """The GPU for indexes, as Lectern opens it. Raises `Missing` with Lectern's own reason for the CPU."""
    if options.device == "cpu":
        raise Missing("this run is on the CPU")
    import torch  # noqa: F401  # first, since its CUDA libraries are those that FAISS's wheel needs

    from indexes.faiss_gpu import GpuDevice

    lock = DeviceLock()
    device, reason = choose_index_device(
        "cuda", why="as the benchmark asks", card=0, budget_bytes=BUDGET_BYTES, lock=lock.query
    )
    if not isinstance(device, GpuDevice):
        raise Missing(reason)
    return device


def gpu_index(device: GpuDevice, kind: CopyKind, master: FaissIndex) -> GpuIndex:
    """The master with a copy of that kind, whatever Lectern would choose."""
    from indexes.gpu_index import GpuIndex

    def open_copy(_: int, dimension: int) -> tuple[DeviceCopy, str]:
        return device.make_copy(kind, dimension), "as the benchmark asks"

    return GpuIndex(master, open_copy, DeviceLock().query)


def ensure_on_gpu(index: GpuIndex) -> None:
    """Raises `FellBack`, so that no figure of the CPU is taken for one of the GPU."""
    if not index.device_bytes:
        raise FellBack(index.place)


def open_search(options: Options, ids: Ids, vectors: Vectors) -> tuple[Search, str]:
    """The best search that this machine has, and what it is: FAISS on the GPU, on the CPU, or without FAISS NumPy."""
    try:
        index = open_device(options).place(cpu_index(ids, vectors))
    except Missing as exc:
        return _search_on_cpu(ids, vectors, str(exc))
    index.prepare()
    return index.search, index.place


def _search_on_cpu(ids: Ids, vectors: Vectors, why: str) -> tuple[Search, str]:
    try:
        return cpu_index(ids, vectors).search, f"FAISS on the CPU, because {why}"
    except Missing:
        return lambda query, k: np.argsort(vectors @ query)[-k:], f"a matrix product by NumPy, because {why}"


def _unit(vectors: Vectors) -> Vectors:
    lengths: Vectors = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / lengths
