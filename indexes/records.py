"""Rows of the database as frozen records, named as the rest of Lectern names them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

DocumentState = Literal["pending", "indexed", "partial", "skipped", "failed", "quarantined"]
Span = tuple[int, int, int]
"""(page, start, end): characters `[start:end]` of a page's text; `page` is an ordinal while a content is being
built, and the page's id once it is stored."""


@dataclass(frozen=True)
class PageRecord:
    """A page of a content. `lines` holds rows of (start, end, left, top, right, bottom), points from the top left;
    `metadata` is JSON that another program wants back."""

    number: int | None
    part: str | None
    text: str
    elements: tuple[tuple[str, int, int, int, int], ...]  # kind, start, end, level, header_end
    lines: tuple[tuple[int, int, float, float, float, float], ...]
    width: float | None
    height: float | None
    metadata: str | None = None
    confidence: float | None = None


@dataclass(frozen=True)
class ChunkRecord:
    """A chunk to be stored; `spans` count pages by ordinal."""

    heading: str
    text: str
    tokens: int
    spans: tuple[Span, ...]


@dataclass(frozen=True)
class StoredChunk:
    """A chunk that a live document of the collection holds. `page` and `page_end` are page numbers, or None."""

    chunk_id: int
    content_id: int
    ordinal: int
    document_id: int
    file: str
    version: int
    title: str
    heading: str
    text: str
    spans: tuple[Span, ...]
    part: str | None
    page: int | None
    page_end: int | None


@dataclass(frozen=True)
class DocumentRow:
    """A file as last seen on the disk, and what became of it."""

    id: int
    path: str
    size_bytes: int
    mtime_ns: int
    sha256: str | None
    recipe: str | None
    state: DocumentState
    reason: str | None
    version: int | None
    content_id: int | None
    pages_indexed: int
    pages_total: int
    chunks: int
    characters: int
    folder_id: int
    queued: QueuedRead | None = None


@dataclass(frozen=True)
class QueuedRead:
    """A document that waits to be read, or is being read (`claimed`). After a transient `fault` it waits until
    `not_before`. Times are seconds since 1970."""

    enqueued_at: float
    not_before: float
    attempts: int
    fault: str | None
    claimed: bool


@dataclass(frozen=True)
class ReadJob:
    """A claimed document: to be read now."""

    document_id: int
    folder_id: int
    priority: int
    attempts: int


@dataclass(frozen=True)
class Backlog:
    """What is still to be done for some folders. `oldest_at` is when the oldest of it was noticed, None when nothing
    waits; `due_at` when the first of it may be begun."""

    files: int
    size_bytes: int
    reading: int
    oldest_at: float | None
    due_at: float | None


@dataclass(frozen=True)
class FolderRow:
    """`rules` are gitignore lines; `excluded` counts what they left out at the last full scan; `device` tells the
    directory that was scanned then from another at the same place."""

    id: int
    collection_id: int
    path: str
    hidden: bool
    scanned_at: float | None
    rules: tuple[str, ...] = ()
    excluded: int = 0
    device: str | None = None
