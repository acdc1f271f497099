"""An exact dense index in NumPy: small, obvious, and the oracle that every other one is tested against."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from indexes.dense import Ids, Vectors
from indexes.errors import DamagedCache


class NumpyIndex:
    """Fulfils `DenseIndex` by one matrix product a search."""

    def __init__(self, dimension: int) -> None:
        self._dimension = dimension
        self._rows: dict[int, Vectors] = {}

    @property
    def dimension(self) -> int:
        return self._dimension

    @property
    def place(self) -> str:
        return "by NumPy on the CPU"

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, ids: Ids, vectors: Vectors) -> None:
        self._rows.update({int(i): np.array(row, dtype=np.float32) for i, row in zip(ids, vectors, strict=True)})

    def remove(self, ids: Ids) -> int:
        return sum(self._rows.pop(int(i), None) is not None for i in ids)

    def search(self, query: Vectors, k: int) -> tuple[Ids, Vectors]:
        ids = self.ids()
        cosines = self.similarities(query, ids)
        best = np.argsort(-cosines, kind="stable")[: max(k, 0)]
        return ids[best], cosines[best]

    def similarities(self, query: Vectors, ids: Ids) -> Vectors:
        zero = np.zeros(self._dimension, dtype=np.float32)
        rows = [self._rows.get(int(i), zero) for i in ids]
        return np.array(rows, dtype=np.float32).reshape(len(rows), self._dimension) @ query

    def ids(self) -> Ids:
        return np.array(sorted(self._rows), dtype=np.int64)

    def prepare(self) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Nothing to give up."""

    def write(self, path: Path) -> None:
        ids = self.ids()
        matrix = np.array([self._rows[int(i)] for i in ids], dtype=np.float32).reshape(len(ids), self._dimension)
        with path.open("wb") as file:
            np.savez(file, ids=ids, vectors=matrix)

    @classmethod
    def read(cls, path: Path, dimension: int) -> NumpyIndex:
        """Raises `DamagedCache` when the file is not such an index."""
        index = cls(dimension)
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
                ids, vectors = stored["ids"], stored["vectors"]
        except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as exc:
            raise DamagedCache(f"{path} cannot be read as an index: {exc}") from exc
        if vectors.shape != (len(ids), dimension):
            raise DamagedCache(f"{path} is not an index of {dimension} dimensions by chunk id")
        index.add(ids, vectors)
        return index
