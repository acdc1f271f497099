"""A dense index's copy on a GPU: what it can do, and which kind of it suits so many vectors and so much memory."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Literal, Protocol

from indexes.dense import Ids, Vectors

CopyKind = Literal["cpu", "flat", "ivf-pq", "cagra"]

LARGE = 5_000_000
"""Up to here every vector is compared: in fp16 and with 384 numbers, 5 million are 3.8 GB, which a data centre's card
reads in 1 to 4 ms. Above, a graph is worth its memory."""

CODE_BYTES = (64, 56, 48, 40, 32, 28, 24, 20, 16, 12, 8, 4)
"""The lengths of a compressed vector that FAISS's own kernels know, longest and so most exact first; more than 64 would
not fit into the shared memory of every card."""
SUBSPACE_DIMENSIONS = frozenset({1, 2, 3, 4, 6, 8, 10, 12, 16, 20, 24, 28, 32})
"""How many numbers one byte of it may stand for."""

_HALF = 2
_GRAPH_BYTES = 4 * (64 + 128)  # CAGRA's own graph, and the wider one that it is cut from
_LIST_BYTES = 4  # the position that goes with a compressed vector
_LIST_SLACK = 1.5  # lists grow in steps
_FEWEST_TO_TRAIN = 40_000  # 256 centroids for each byte of a code, with 150 vectors for each


class DeviceCopy(Protocol):
    """Vectors on a device, known by their position from 0. It has no ids, removes nothing, and is used by one thread at
    a time. Every method raises `DeviceFailed`; after that it is closed and not used again."""

    @property
    def kind(self) -> str:
        """For a person to read: "in fp16", "compressed by IVF-PQ"."""

    @property
    def most_results(self) -> int:
        """The largest `k` of a search."""

    @property
    def surplus(self) -> int:
        """How many times as many results as wanted are to be asked for, so that those wanted are among them."""

    @property
    def room(self) -> int:
        """How many vectors can be appended; 0 when it takes them only as it is built."""

    @property
    def bytes(self) -> int:
        """The device memory that it takes."""

    def build(self, vectors: Vectors) -> None:
        """Take in (n, dimension) vectors as the positions from 0; once, and first."""

    def append(self, vectors: Vectors) -> None:
        """Take in up to `room` further vectors at the positions that follow."""

    def search(self, query: Vectors, k: int) -> Ids:
        """Up to `k` positions for the (dimension,) query, about best first."""

    def close(self) -> None:
        """Free its memory."""


OpenCopy = Callable[[int, int], tuple[DeviceCopy | None, str]]
"""(vectors, dimension) to an empty copy for so many, None where the CPU is to search, and the reason."""

Lock = Callable[[], AbstractContextManager[None]]
"""Gives the device to one thread for the length of a block; made anew for each block."""


def choose_device_copy(
    vectors: int, dimension: int, free_bytes: int, *, has_cuvs: bool = False
) -> tuple[CopyKind, str]:
    """How `vectors` are searched on a device with `free_bytes` for them, and why."""
    if vectors == 0:
        return "cpu", "there is nothing to search yet"
    exact = copy_bytes("flat", vectors, dimension)
    if vectors > LARGE and has_cuvs and copy_bytes("cagra", vectors, dimension) <= free_bytes:
        return "cagra", f"more than {LARGE:,} vectors, and room for a graph of them"
    if exact <= free_bytes:
        return "flat", f"{_mib(exact)} for every vector in fp16, of {_mib(free_bytes)}"
    short = f"{_mib(exact)} for every vector in fp16 are not free ({_mib(free_bytes)} are)"
    if vectors < _FEWEST_TO_TRAIN:
        return "cpu", f"{short}, and {vectors:,} vectors are too few to compress"
    if code_bytes(dimension) is None:
        return "cpu", f"{short}, and FAISS cannot compress {dimension} dimensions"
    if copy_bytes("ivf-pq", vectors, dimension) <= free_bytes:
        return "ivf-pq", short
    return "cpu", f"{short}, nor {_mib(copy_bytes('ivf-pq', vectors, dimension))} for compressed ones"


def copy_bytes(kind: CopyKind, vectors: int, dimension: int) -> int:
    """The device memory that so many vectors take, while they are built."""
    if kind == "flat":
        return vectors * dimension * _HALF
    if kind == "cagra":
        return vectors * (dimension * 4 + _GRAPH_BYTES)
    if kind == "ivf-pq":
        code = code_bytes(dimension) or 0
        return int(vectors * (code + _LIST_BYTES) * _LIST_SLACK) + list_count(vectors) * dimension * 4
    return 0


def code_bytes(dimension: int) -> int | None:
    """The length of a compressed vector; None where no length fits the dimension."""
    fitting = (n for n in CODE_BYTES if dimension % n == 0 and dimension // n in SUBSPACE_DIMENSIONS)
    return next(fitting, None)


def list_count(vectors: int) -> int:
    """Into how many lists IVF-PQ sorts them: FAISS's own advice is 4 to 16 times the square root."""
    return max(1, int(4 * vectors**0.5))


def _mib(count: int) -> str:
    return f"{count / 2**20:,.0f} MiB"
