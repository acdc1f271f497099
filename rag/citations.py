"""Citations: numbered, checked against the text of their page, and placed on it."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass, field

from indexes.contents import StoredPage
from rag.events import Citation
from rag.evidence import Sentence

Rectangle = tuple[float, float, float, float]


@dataclass(frozen=True)
class PlacedCitation:
    """A citation with what the database keeps of it: the page and the characters `[start:end]` of its text."""

    citation: Citation
    document_id: int
    content_id: int
    page_id: int
    start: int
    end: int


@dataclass
class CitationList:
    """The citations of one answer, numbered from 1 as they come; the same place is cited once."""

    placed: list[PlacedCitation] = field(default_factory=list)

    def cite(self, sentence: Sentence) -> tuple[Citation, bool]:
        """The citation of that sentence, and whether it is a new one."""
        place = (sentence.page.id, sentence.start, sentence.end)
        for known in self.placed:
            if (known.page_id, known.start, known.end) == place:
                return known.citation, False
        chunk = sentence.found.chunk
        citation = Citation(
            id=secrets.token_urlsafe(12),
            n=len(self.placed) + 1,
            file=chunk.file,
            part=sentence.page.part,
            page=sentence.page.number,
            quote=sentence.text,
            chunk_id=chunk.chunk_id,
            version=chunk.version,
            verified=stands_in(sentence.text, sentence.page.text),
        )
        self.placed.append(PlacedCitation(citation, chunk.document_id, chunk.content_id, *place))
        return citation, True

    @property
    def citations(self) -> tuple[Citation, ...]:
        return tuple(placed.citation for placed in self.placed)


def stands_in(quote: str, page_text: str) -> bool:
    """Does the quote stand in the text, letter for letter but for white space?"""
    wanted = " ".join(quote.split())
    return bool(wanted) and wanted in " ".join(page_text.split())


def rectangles(page: StoredPage, start: int, end: int) -> tuple[Rectangle, ...]:
    """Where the characters `[start:end]` stand on the page: (left, top, right, bottom) of each line's part, as shares
    of the page's width and height. A line that is cited in part is cut in proportion to its characters; empty where
    the format has no coordinates."""
    if not page.width or not page.height:
        return ()
    found = []
    for line_start, line_end, left, top, right, bottom in page.lines:
        first, last = max(start, line_start), min(end, line_end)
        if first >= last:
            continue
        step = (right - left) / (line_end - line_start)
        found.append(
            (
                (left + step * (first - line_start)) / page.width,
                top / page.height,
                (left + step * (last - line_start)) / page.width,
                bottom / page.height,
            )
        )
    return tuple(found)


def without_markers(text: str) -> str:
    """An answer's text without its [1] markers."""
    return re.sub(r"\s?\[\d+\]", "", text)
