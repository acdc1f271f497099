"""A stand-in for a GPU as FAISS offers it: fp16, positions only, strict about what a real one refuses or breaks on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from indexes.dense import Ids, Vectors
from indexes.errors import DeviceFailed


class StandInDevice:
    """Opens copies and counts what becomes of them. `capacity`: vectors that fit; `room`: whether a copy can grow;
    `blind`: every how-manieth vector a search overlooks, as an approximate one may; `failing`: calls that fail now."""

    def __init__(self, *, capacity: int = 10**9, grows: bool = True, most_results: int = 2048, blind: int = 0) -> None:
        self.capacity = capacity
        self.grows = grows
        self.most_results = most_results
        self.blind = blind
        self.failing: set[str] = set()
        self.copies: list[StandInCopy] = []
        self.locked = False
        self.asked: list[int] = []

    @contextmanager
    def lock(self) -> Iterator[None]:
        assert not self.locked, "the lock is not taken twice"
        self.locked = True
        try:
            yield
        finally:
            self.locked = False

    def open_copy(self, vectors: int, dimension: int) -> tuple[StandInCopy | None, str]:
        assert self.locked
        if vectors == 0 or vectors > self.capacity:
            return None, f"{vectors} vectors of at most {self.capacity}"
        self.copies.append(StandInCopy(self, dimension))
        return self.copies[-1], "it fits"

    @property
    def open(self) -> list[StandInCopy]:
        return [copy for copy in self.copies if copy.stored is not None]


class StandInCopy:
    kind = "in fp16 NumPy"

    def __init__(self, device: StandInDevice, dimension: int) -> None:
        self._device = device
        self._dimension = dimension
        self.closed = False
        self.stored: np.ndarray | None = None

    @property
    def most_results(self) -> int:
        return self._device.most_results

    @property
    def surplus(self) -> int:
        return 4 if self._device.blind else 1

    @property
    def room(self) -> int:
        return self._device.capacity - self.bytes // (2 * self._dimension) if self._device.grows else 0

    @property
    def bytes(self) -> int:
        return 0 if self.stored is None else self.stored.nbytes

    def build(self, vectors: Vectors) -> None:
        assert self.stored is None, "it is built once"
        self._take("build", vectors)
        self.stored = vectors.astype(np.float16)

    def append(self, vectors: Vectors) -> None:
        assert self.stored is not None
        assert len(vectors) <= self.room, "it has no room"
        self._take("append", vectors)
        self.stored = np.concatenate([self.stored, vectors.astype(np.float16)])

    def search(self, query: Vectors, k: int) -> Ids:
        assert self.stored is not None
        assert 0 < k <= self.most_results, "a real one refuses"
        assert query.shape == (self._dimension,)
        self._call("search")
        self._device.asked.append(k)
        scores = self.stored.astype(np.float32) @ query.astype(np.float16).astype(np.float32)
        if self._device.blind:
            scores[:: self._device.blind] = -np.inf
        best = np.argsort(-scores, kind="stable")[:k]
        return best[scores[best] > -np.inf].astype(np.int64)

    def close(self) -> None:
        assert self._device.locked
        self.closed = True
        self.stored = None

    def _take(self, call: str, vectors: Vectors) -> None:
        assert vectors.dtype == np.float32
        assert vectors.shape[1:] == (self._dimension,)
        self._call(call)

    def _call(self, call: str) -> None:
        assert self._device.locked, "a device is one thread's at a time"
        assert not self.closed, "a closed copy is not used again"
        if call in self._device.failing:
            raise DeviceFailed(f"{call}: out of memory")
