"""What the ingest process is told, as records that cross the pipe as JSON."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class WorkerSetup:
    """The first line: where things lie and what to use. `parsers` is how many files are read at a time. With
    `lent_embedder` the parent embeds: it owns the GPU; else `exact_vectors` is what `open_embedder` takes. `rescan_s`
    is how often a followed folder is looked at as a whole; None goes by its file system."""

    database: str
    index_cache: str
    weights_cache: str
    embedder: str
    threads: int
    parsers: int
    exact_vectors: bool | None = None
    lent_embedder: bool = False
    ocr: str = "rapidocr"
    ocr_languages: tuple[str, ...] = ("en",)
    rescan_s: float | None = None


@dataclass(frozen=True)
class MirrorRequest:
    """Mirror this folder into that collection; `id` comes back with the last event of it. `rules` are gitignore lines;
    None keeps those that the folder has."""

    id: int
    collection: str
    folder: str
    hidden: bool
    rules: tuple[str, ...] | None = None
