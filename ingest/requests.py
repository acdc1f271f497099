"""What the ingest process is told, as records that cross the pipe as JSON."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class WorkerSetup:
    """The first line: where things lie and what to use. `parsers` is how many files are read at a time. With
    `lent_embedder` the parent embeds: it owns the GPU; else `exact_vectors` is what `open_embedder` takes."""

    database: str
    index_cache: str
    weights_cache: str
    embedder: str
    threads: int
    parsers: int
    exact_vectors: bool | None = None
    lent_embedder: bool = False


@dataclass(frozen=True)
class MirrorRequest:
    """Mirror this folder into that collection; `id` comes back with every event of it."""

    id: int
    collection: str
    folder: str
    hidden: bool
