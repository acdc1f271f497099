"""A dense index that is searched on a GPU: a master on the CPU, which is the truth, and a copy on the card."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np

from indexes.dense import Ids, Vectors, last_of_each
from indexes.device_copy import DeviceCopy, Lock, OpenCopy
from indexes.errors import DeviceFailed
from indexes.faiss_index import FaissIndex

_log = logging.getLogger(__name__)

_GONE = -1
_WORN = 0.1
"""The share of the copy that may be gone, or missing there, before it is built anew; never so few as `_FEW`."""
_FEW = 1_000
_LONGEST_TAIL = 20_000
"""As many vectors, of 384 numbers each, the CPU compares in some milliseconds."""
_MARGIN = 32
"""Results asked for beyond those wanted: rounding to fp16 may change places among near equals."""


class GpuIndex:
    """Fulfils `DenseIndex`. What is removed is never found again, whatever the device does:

    The copy knows positions, not ids, and removes nothing. Which chunk lies at which position is known here only; that
    of a removed or replaced chunk is marked as gone, results there are dropped, and enough are asked for that `k`
    remain. Chunks that the copy has not taken in yet (the tail) are compared on the CPU. The master's own vectors rank
    what was found, so ids and cosines are those of the CPU. Where the device fails, the master searches from then on.
    """

    def __init__(self, master: FaissIndex, open_copy: OpenCopy, lock: Lock) -> None:
        """`open_copy` is called with the lock held."""
        self._master = master
        self._open_copy = open_copy
        self._lock = lock
        self._copy: DeviceCopy | None = None
        self._chunk_at = self._tail = _no_ids()
        self._gone = 0
        self._given_up = False
        self._place = f"{master.place}: the GPU has no copy yet"

    @property
    def dimension(self) -> int:
        return self._master.dimension

    @property
    def place(self) -> str:
        return self._place

    @property
    def device_bytes(self) -> int:
        """The device memory that its copy takes."""
        return self._copy.bytes if self._copy else 0

    def __len__(self) -> int:
        return len(self._master)

    def add(self, ids: Ids, vectors: Vectors) -> None:
        ids, vectors = last_of_each(ids, vectors)
        self._bury(ids)
        self._master.add(ids, vectors)
        if self._copy is not None:
            self._tail = np.union1d(self._tail, ids)

    def remove(self, ids: Ids) -> int:
        self._bury(ids)
        return self._master.remove(ids)

    def search(self, query: Vectors, k: int) -> tuple[Ids, Vectors]:
        k = min(k, len(self))
        near = self._near(query, k) if k > 0 else None
        if near is None:
            return self._master.search(query, k)
        ids = np.unique(np.concatenate([near, self._tail]))  # a graph search may bring one twice
        cosines = self._master.similarities(query, ids)
        best = np.argsort(-cosines, kind="stable")[:k]
        return ids[best], cosines[best]

    def similarities(self, query: Vectors, ids: Ids) -> Vectors:
        return self._master.similarities(query, ids)

    def ids(self) -> Ids:
        return self._master.ids()

    def prepare(self) -> None:
        with self._lock():
            try:
                self._follow()
            except DeviceFailed as exc:
                self._give_up(str(exc))

    def close(self) -> None:
        with self._lock():
            self._drop()
        self._given_up = True
        self._place = f"{self._master.place}: its copy on the GPU was given up"

    def write(self, path: Path) -> None:
        self._master.write(path)

    def _bury(self, ids: Ids) -> None:
        """Mark the positions of these ids as gone, and take them out of the tail."""
        ids = ids[self._master.has(ids)]
        if self._copy is None or len(ids) == 0:
            return
        there = np.isin(self._chunk_at, ids)
        self._chunk_at[there] = _GONE
        self._gone += int(there.sum())
        self._tail = np.setdiff1d(self._tail, ids)

    def _near(self, query: Vectors, k: int) -> Ids | None:
        """At least the nearest `k` of what the copy has, or all of that; None where the master has to search."""
        with self._lock():
            try:
                self._follow()
                return self._ask(query, k)
            except DeviceFailed as exc:
                self._give_up(str(exc))
                return None

    def _follow(self) -> None:
        """Bring the copy in step with the master, or as near as the tail allows."""
        if self._given_up:
            return
        if self._copy is None or self._is_worn(self._copy):
            self._build()
        elif 0 < len(self._tail) <= self._copy.room:
            self._copy.append(self._master.vectors(self._tail))
            self._chunk_at = np.concatenate([self._chunk_at, self._tail])
            self._tail = _no_ids()

    def _is_worn(self, copy: DeviceCopy) -> bool:
        most = max(_FEW, int(_WORN * len(self._chunk_at)))
        return self._gone > most or len(self._tail) > max(copy.room, min(_LONGEST_TAIL, most))

    def _build(self) -> None:
        self._drop()
        copy, reason = self._open_copy(len(self), self.dimension)
        if copy is None:
            self._move(f"{self._master.place}: {reason}")
            return
        ids, vectors = self._master.contents()
        try:
            copy.build(vectors)
        except BaseException:
            copy.close()  # nobody searches what is half built
            raise
        self._copy, self._chunk_at = copy, ids
        self._move(f"by FAISS on the GPU, {copy.kind}: {reason}")

    def _ask(self, query: Vectors, k: int) -> Ids | None:
        copy = self._copy
        if copy is None or k > copy.most_results:
            return None
        wanted = min(k, len(self._chunk_at) - self._gone)
        most = min(copy.most_results, len(self._chunk_at))
        asked = wanted * copy.surplus + _MARGIN + min(self._gone, wanted)
        while True:
            asked = min(asked, most)
            found = self._chunk_at[copy.search(query, asked)]
            ids: Ids = found[found != _GONE]
            if len(ids) >= wanted:
                return ids
            if asked == most:
                break
            asked *= 2
        if not self._gone:
            return None  # an approximate copy that looked into too few of its lists
        self._build()
        return self._ask(query, k)

    def _give_up(self, why: str) -> None:
        """Let the master search from now on."""
        self._drop()
        self._given_up = True
        self._place = f"{self._master.place}: {why}"
        _log.warning("dense index of %d vectors is searched %s", len(self), self._place)

    def _drop(self) -> None:
        if self._copy is not None:
            self._copy.close()
        self._copy = None
        self._chunk_at = self._tail = _no_ids()
        self._gone = 0

    def _move(self, place: str) -> None:
        if place != self._place:
            self._place = place
            _log.info("dense index of %d vectors is searched %s", len(self), place)


def _no_ids() -> Ids:
    return np.empty(0, dtype=np.int64)
