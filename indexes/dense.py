"""What a dense index is: nearest vectors by inner product, with additions and removals by chunk id."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.int64]
Vectors = NDArray[np.float32]


class DenseIndex(Protocol):
    """Vectors have length 1, so the inner product is the cosine. Not thread-safe: its owner locks."""

    @property
    def dimension(self) -> int: ...

    @property
    def place(self) -> str:
        """Where it is searched, and why there, for a person to read."""

    def __len__(self) -> int: ...

    def add(self, ids: Ids, vectors: Vectors) -> None:
        """Add (n,) ids with (n, dimension) vectors; an id that is there already gets the new vector, and of an id that
        is given twice the last one counts."""

    def remove(self, ids: Ids) -> int:
        """Remove ids, unknown ones ignored; returns how many were there."""

    def search(self, query: Vectors, k: int) -> tuple[Ids, Vectors]:
        """The best `k` for one (dimension,) query: (ids, cosines), best first; fewer when the index is smaller. Which
        of equal cosines comes first is open."""

    def similarities(self, query: Vectors, ids: Ids) -> Vectors:
        """The cosine of each of `ids` to the (dimension,) query; 0 for an id that is not there."""

    def ids(self) -> Ids:
        """Every id, ascending."""

    def prepare(self) -> None:
        """Do now what the next search would have to do first."""

    def close(self) -> None:
        """Give up what it holds outside of main memory; it can still be searched."""

    def write(self, path: Path) -> None:
        """Write the whole to a file. Raises `OSError`. (What was written is read by the class method `read(path,
        dimension)`, which raises `DamagedCache`.)"""


def last_of_each(ids: Ids, vectors: Vectors) -> tuple[Ids, Vectors]:
    """Ids ascending, each once, with the last of the vectors that were given for it."""
    unique, places = np.unique(ids[::-1], return_index=True)
    return unique, vectors[::-1][places]
