"""Dense indexes on one GPU by FAISS: its resources, and the three kinds of copy that it holds there.

Written from FAISS 1.15.1's own sources and checked against the classes of its two GPU wheels; see docs/gpu.md for what
was run on a card. Three traits of FAISS shape it:
- A GPU index cannot remove, and the classic kernels ignore `SearchParameters.sel` without a word, so nothing here is
  filtered by the device. `indexes/gpu_index.py` does it.
- `StandardGpuResources` belongs to one thread at a time, also while an index is freed: every call is made with the
  device's lock held.
- Most failures are a RuntimeError; a wheel with other classes than these shows it by a TypeError or AttributeError.
  All of them become `DeviceFailed`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar
from weakref import WeakSet

import numpy as np

from indexes.dense import Ids, Vectors
from indexes.device_copy import (
    CopyKind,
    DeviceCopy,
    Lock,
    choose_device_copy,
    code_bytes,
    copy_bytes,
    list_count,
)
from indexes.errors import DeviceFailed
from indexes.faiss_index import FaissIndex
from indexes.faiss_library import load_faiss
from indexes.gpu_index import GpuIndex

_TEMPORARY_BYTES = 128 << 20  # FAISS would take 1.5 GiB
_PINNED_BYTES = 32 << 20  # of main memory, for transfers; FAISS would take 256 MiB
WORKSPACE_BYTES = 256 << 20
"""What FAISS needs on a card beside the vectors: its temporary memory, and cuBLAS's."""

_CLASSIC_MOST_RESULTS = 2048
_CAGRA_MOST_RESULTS = 512
_TRAINED_ON = 256  # vectors for each list; FAISS would take no more

FAILURES = (RuntimeError, MemoryError, TypeError, ValueError, AttributeError)
"""What FAISS raises when a card or its wheel does not do what is asked."""


class GpuDevice:
    """Fulfils `IndexDevice` with one card, which all collections share. Raises `FaissUnusable`."""

    def __init__(self, card: int, budget_bytes: int, lock: Lock) -> None:
        """`card` as CUDA counts them; `budget_bytes` is for all copies together and FAISS's own `WORKSPACE_BYTES`."""
        self._faiss = load_faiss()
        self._card = card
        self._budget_bytes = budget_bytes
        self._lock = lock
        self._has_cuvs = hasattr(self._faiss, "GpuIndexCagra")
        self._resources = self._faiss.StandardGpuResources()
        self._resources.setTempMemory(_TEMPORARY_BYTES)
        self._resources.setPinnedMemory(_PINNED_BYTES)
        self._copies: WeakSet[_FaissCopy] = WeakSet()

    def place(self, master: FaissIndex) -> GpuIndex:
        return GpuIndex(master, self.open_copy, self._lock)

    def open_copy(self, vectors: int, dimension: int) -> tuple[DeviceCopy | None, str]:
        """As `OpenCopy`: by the memory that the other copies leave."""
        kind, reason = choose_device_copy(vectors, dimension, self._free_bytes(), has_cuvs=self._has_cuvs)
        return (None if kind == "cpu" else self.make_copy(kind, dimension)), reason

    def make_copy(self, kind: CopyKind, dimension: int) -> DeviceCopy:
        """An empty copy of that kind."""
        classes: dict[str, type[_FaissCopy]] = {"flat": FlatCopy, "ivf-pq": IvfPqCopy, "cagra": CagraCopy}
        copy = classes[kind](self._faiss, self._resources, self._card, dimension, self._free_bytes)
        self._copies.add(copy)
        return copy

    def _free_bytes(self) -> int:
        """What all copies together leave of the budget now."""
        return self._budget_bytes - WORKSPACE_BYTES - sum(copy.bytes for copy in self._copies)


class _FaissCopy(ABC):
    """What the three kinds have in common; each makes its own index."""

    kind: ClassVar[str]
    shape: ClassVar[CopyKind]
    most_results: ClassVar[int]
    surplus: ClassVar[int]

    def __init__(self, faiss: Any, resources: Any, card: int, dimension: int, free: Callable[[], int]) -> None:
        self._faiss, self._resources, self._card = faiss, resources, card
        self._dimension = dimension
        self._free = free  # the bytes that no copy has taken, at the time it is called
        self._index: Any = None
        self._vectors = 0

    @property
    def room(self) -> int:
        return 0

    @property
    def bytes(self) -> int:
        return copy_bytes(self.shape, self._vectors, self._dimension)

    def build(self, vectors: Vectors) -> None:
        self._vectors = len(vectors)
        with _translated(f"{len(vectors):,} vectors could not be put there"):
            self._fill(vectors)

    def append(self, vectors: Vectors) -> None:
        self._vectors += len(vectors)
        with _translated(f"{len(vectors):,} vectors could not be added there"):
            self._index.add(np.ascontiguousarray(vectors, dtype=np.float32))

    def search(self, query: Vectors, k: int) -> Ids:
        with _translated("it could not be searched there"):
            _, positions = self._search(np.ascontiguousarray(query[None], dtype=np.float32), k)
        found: Ids = positions[0]
        return found[found >= 0]  # -1 stands for "no more"

    def close(self) -> None:
        self._index = None
        self._vectors = 0

    @abstractmethod
    def _fill(self, vectors: Vectors) -> None:
        """Make the index of all vectors."""

    def _search(self, queries: Vectors, k: int) -> tuple[Vectors, Ids]:
        found: tuple[Vectors, Ids] = self._index.search(queries, k)
        return found


class FlatCopy(_FaissCopy):
    """Every vector in fp16, which is how the database keeps them: only the question is rounded."""

    kind = "every vector in fp16"
    shape: ClassVar[CopyKind] = "flat"
    most_results = _CLASSIC_MOST_RESULTS
    surplus = 1

    @property
    def room(self) -> int:
        # As it grows, FAISS allocates the whole anew and copies: for a moment both are there.
        whole = self._free() // copy_bytes("flat", 1, self._dimension)
        return max(0, whole - self._vectors)

    def _fill(self, vectors: Vectors) -> None:
        config = self._faiss.GpuIndexFlatConfig()
        config.device = self._card
        config.use_cuvs = False
        config.useFloat16 = True
        self._index = self._faiss.GpuIndexFlatIP(self._resources, self._dimension, config)
        self._index.add(vectors)


class IvfPqCopy(_FaissCopy):
    """Vectors as codes of some bytes, sorted into lists of which a search reads the nearest."""

    kind = "compressed by IVF-PQ"
    shape: ClassVar[CopyKind] = "ivf-pq"
    most_results = _CLASSIC_MOST_RESULTS
    surplus = 8

    def _fill(self, vectors: Vectors) -> None:
        faiss, lists = self._faiss, list_count(len(vectors))
        config = faiss.GpuIndexIVFPQConfig()
        config.device = self._card
        config.use_cuvs = False
        config.useFloat16LookupTables = True
        config.indicesOptions = faiss.INDICES_32_BIT
        self._index = faiss.GpuIndexIVFPQ(
            self._resources, self._dimension, lists, code_bytes(self._dimension), 8, faiss.METRIC_INNER_PRODUCT, config
        )
        self._index.nprobe = probe_count(lists)
        self._index.train(sample(vectors, _TRAINED_ON * lists))
        self._index.add(vectors)
        self._index.reclaimMemory()


class CagraCopy(_FaissCopy):
    """cuVS's graph of neighbours. Of unit vectors the nearest by distance are the nearest by cosine."""

    kind = "by CAGRA's graph"
    shape: ClassVar[CopyKind] = "cagra"
    most_results = _CAGRA_MOST_RESULTS
    surplus = 2

    def _fill(self, vectors: Vectors) -> None:
        config = self._faiss.GpuIndexCagraConfig()
        config.device = self._card
        self._index = self._faiss.GpuIndexCagra(self._resources, self._dimension, self._faiss.METRIC_L2, config)
        self._index.train(vectors)

    def _search(self, queries: Vectors, k: int) -> tuple[Vectors, Ids]:
        parameters = self._faiss.SearchParametersCagra()
        parameters.itopk_size = max(64, 32 * -(-k // 32))  # at least k, in steps of 32
        found: tuple[Vectors, Ids] = self._index.search(queries, k, params=parameters)
        return found


def probe_count(lists: int) -> int:
    """How many of the lists a search reads."""
    return min(lists, max(32, lists // 64))


def sample(vectors: Vectors, most: int) -> Vectors:
    """At most `most` of them, evenly chosen."""
    step = -(-len(vectors) // most)
    return np.ascontiguousarray(vectors[::step])


@contextmanager
def _translated(what: str) -> Iterator[None]:
    try:
        yield
    except FAILURES as exc:
        # "Error in FUNCTION at FILE: Error: 'CONDITION' failed: REASON"
        # SWIG says in the first line what is wrong, and then lists every constructor there is.
        reason = str(exc).rpartition("failed: ")[2].strip().partition("\n")[0] or type(exc).__name__
        raise DeviceFailed(f"the GPU failed, {what} ({reason})") from exc
