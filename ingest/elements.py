"""What a reader makes of a file, whatever its format: pages of text, and elements as slices of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["title", "heading", "paragraph", "list_item", "table", "code", "caption", "header", "footer", "picture"]
"""`picture`: text that was recognised in a picture inside of a page of text."""


@dataclass(frozen=True)
class Element:
    """A slice `[start:end]` of its page's text, in characters.

    `level` is 1–6 for headings and 0 otherwise. `header_end`: for a table whose first row names the columns, the
    offset in the page's text at which that row ends, so that pieces of the table can repeat it; 0 otherwise.
    """

    kind: Kind
    start: int
    end: int
    level: int = 0
    header_end: int = 0


@dataclass(frozen=True)
class Line:
    """Where the characters `[start:end]` of the page's text stand: a box in points, origin at the top left."""

    start: int
    end: int
    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True)
class Page:
    """One unit of text. `number` counts from 1 where the format has pages (PDF page, slide), else None; `part` is the
    member of an archive, the attachment of a message, or the sheet. `width` and `height` are points, where known.
    `confidence` (0–1) says how sure text recognition was, where the page's text was recognised."""

    number: int | None
    part: str | None
    text: str
    elements: tuple[Element, ...]
    lines: tuple[Line, ...] = ()
    width: float | None = None
    height: float | None = None
    confidence: float | None = None


@dataclass(frozen=True)
class Omission:
    """Something that was found and not read: what ("pages 3–5", "attachment photo.png") and why, for a person."""

    what: str
    reason: str


@dataclass(frozen=True)
class Summary:
    """Said once, after the last page."""

    title: str | None
    pages_total: int
    omissions: tuple[Omission, ...] = ()
