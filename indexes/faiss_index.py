"""The dense index by FAISS: exact inner product on the CPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexes.dense import Ids, Vectors, last_of_each
from indexes.errors import DamagedCache
from indexes.faiss_library import load_faiss


class FaissIndex:
    """Fulfils `DenseIndex` with `IndexIDMap2(IndexFlatIP)`: exact, with removal, float32 in memory. Raises
    `FaissUnusable` when FAISS cannot be loaded."""

    def __init__(self, dimension: int) -> None:
        faiss = load_faiss()
        self._index = faiss.IndexIDMap2(faiss.IndexFlatIP(dimension))
        # Ascending; FAISS can look ids up, but not ask whether one is there.
        self._ids: Ids = np.empty(0, dtype=np.int64)

    @property
    def dimension(self) -> int:
        return int(self._index.d)

    @property
    def place(self) -> str:
        return "by FAISS on the CPU, exactly"

    def __len__(self) -> int:
        return len(self._ids)

    def add(self, ids: Ids, vectors: Vectors) -> None:
        ids, vectors = last_of_each(ids, vectors)
        if len(ids) == 0:
            return
        self.remove(ids)
        self._index.add_with_ids(np.ascontiguousarray(vectors, dtype=np.float32), ids)
        self._ids = np.insert(self._ids, np.searchsorted(self._ids, ids), ids)

    def remove(self, ids: Ids) -> int:
        import faiss

        present = np.unique(ids[self.has(ids)])
        if len(present):
            self._index.remove_ids(faiss.IDSelectorBatch(present))
            self._ids = np.delete(self._ids, np.searchsorted(self._ids, present))
        return len(present)

    def search(self, query: Vectors, k: int) -> tuple[Ids, Vectors]:
        k = min(k, len(self))
        if k <= 0:
            return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float32)
        cosines, ids = self._index.search(np.ascontiguousarray(query[None], dtype=np.float32), k)
        return ids[0], cosines[0]

    def similarities(self, query: Vectors, ids: Ids) -> Vectors:
        found = np.zeros(len(ids), dtype=np.float32)
        there = self.has(ids)
        if there.any():
            found[there] = self.vectors(ids[there]) @ query
        return found

    def ids(self) -> Ids:
        return self._ids.copy()

    def has(self, ids: Ids) -> NDArray[np.bool_]:
        """For each of `ids`, whether it is there."""
        if len(self) == 0:
            return np.zeros(len(ids), dtype=np.bool_)
        places = np.minimum(np.searchsorted(self._ids, ids), len(self) - 1)
        return np.equal(self._ids[places], ids)

    def vectors(self, ids: Ids) -> Vectors:
        """The vectors (n, dimension) of ids that are there."""
        if len(ids) == 0:
            return np.empty((0, self.dimension), dtype=np.float32)
        found: Vectors = self._index.reconstruct_batch(np.ascontiguousarray(ids))
        return found

    def contents(self) -> tuple[Ids, Vectors]:
        """Everything, in the order in which it lies in memory. The vectors are a view, good until the next change."""
        import faiss

        ids: Ids = faiss.vector_to_array(self._index.id_map)
        if len(ids) == 0:
            return ids, self.vectors(ids)
        flat: Any = faiss.downcast_index(self._index.index)
        return ids, faiss.rev_swig_ptr(flat.get_xb(), flat.ntotal * flat.d).reshape(flat.ntotal, flat.d)

    def prepare(self) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Nothing to give up."""

    def write(self, path: Path) -> None:
        import faiss

        try:
            faiss.write_index(self._index, str(path))
        except RuntimeError as exc:
            raise OSError(f"FAISS could not write {path}: {exc}") from exc

    @classmethod
    def read(cls, path: Path, dimension: int) -> FaissIndex:
        """Raises `DamagedCache` when the file is not such an index."""
        import faiss

        index = cls(dimension)
        try:
            stored = faiss.read_index(str(path))
        except (RuntimeError, MemoryError) as exc:
            raise DamagedCache(f"{path} cannot be read as a FAISS index: {exc}") from exc
        if not isinstance(stored, faiss.IndexIDMap2) or stored.d != dimension:
            raise DamagedCache(f"{path} is not an index of {dimension} dimensions by chunk id")
        index._index = stored
        index._ids = np.unique(faiss.vector_to_array(stored.id_map))
        if len(index._ids) != stored.ntotal:
            raise DamagedCache(f"{path} names {len(index._ids)} ids for {stored.ntotal} vectors")
        return index
