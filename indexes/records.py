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
    elements: tuple[tuple[str, int, int, int], ...]  # kind, start, end, level
    lines: tuple[tuple[int, int, float, float, float, float], ...]
    width: float | None
    height: float | None
    metadata: str | None = None


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


@dataclass(frozen=True)
class FolderRow:
    id: int
    collection_id: int
    path: str
    hidden: bool
    scanned_at: float | None
