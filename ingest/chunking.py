"""Pages to chunks: along headings and elements, within the embedder's window, nothing lost.

A chunk is made of whole elements while they fit; a longer element is cut at sentences, a table at rows (each piece
repeats the row that names the columns), and only a sentence longer than the window between tokens. The path of the
headings above a chunk goes into its `heading`; headings inside of it are part of its text.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from indexes.records import ChunkRecord
from ingest.elements import Element, Page
from ingest.sentences import sentence_spans

TokenOffsets = Callable[[str], list[tuple[int, int]]]

CHUNKING = "chunks/1"
"""Names this way of chunking in a content's recipe; change it when the chunks change."""

_HEADING_TOKENS = 40  # room left in the window for title and headings
_HEADING_SEPARATOR = " › "


@dataclass(frozen=True)
class _Piece:
    """A slice of a page that is never cut further. `header` is the table row to repeat when a chunk begins here."""

    page: Page
    ordinal: int
    start: int
    end: int
    tokens: int
    level: int = 0
    header: tuple[int, int] | None = None


@dataclass
class _Draft:
    """The chunk being filled."""

    heading: str = ""
    pieces: list[_Piece] = field(default_factory=list)

    @property
    def tokens(self) -> int:
        return sum(piece.tokens for piece in self.pieces)

    @property
    def has_body(self) -> bool:
        """Headings alone are never full: they move into the room that a chunk's path of headings would take."""
        return any(piece.level == 0 for piece in self.pieces)


class Chunker:
    """Makes chunks of at most `most_tokens` tokens; a heading, or a new page, begins a new one once `least_tokens` are
    reached."""

    def __init__(self, token_offsets: TokenOffsets, window_tokens: int, *, least_tokens: int = 90) -> None:
        self._token_offsets = token_offsets
        self._most_tokens = window_tokens - _HEADING_TOKENS
        self._least_tokens = min(least_tokens, self._most_tokens // 2)

    def chunks(self, pages: Iterable[Page]) -> Iterator[ChunkRecord]:
        """Chunks in reading order; spans name pages by their place in `pages`, from 0."""
        headings: list[tuple[int, str]] = []
        draft = _Draft()
        for ordinal, page in enumerate(pages):
            if draft.tokens >= self._least_tokens:
                yield from self._close(draft, headings)
            for piece in self._pieces(page, ordinal):
                full = draft.has_body and draft.tokens + piece.tokens > self._most_tokens
                section_begins = piece.level > 0 and draft.tokens >= self._least_tokens
                if full or section_begins:
                    yield from self._close(draft, headings)
                if piece.level:
                    headings[:] = [heading for heading in headings if heading[0] < piece.level]
                if not draft.pieces:
                    draft.heading = _path(headings)
                draft.pieces.append(piece)
                if piece.level:
                    headings.append((piece.level, _one_line(page.text[piece.start : piece.end])))
        if draft.pieces:
            yield _record(draft)

    def _close(self, draft: _Draft, headings: list[tuple[int, str]]) -> Iterator[ChunkRecord]:
        """Yield the draft and begin the next one; headings at its end move on with what they head."""
        kept = len(draft.pieces)
        while kept > 1 and draft.pieces[kept - 1].level:
            kept -= 1
        carried = draft.pieces[kept:] if draft.pieces[kept - 1].level == 0 else []
        draft.pieces = draft.pieces[: len(draft.pieces) - len(carried)]
        yield _record(draft)
        above = headings[: len(headings) - len(carried)] if carried else headings
        draft.heading = _path(above)
        draft.pieces = carried

    def _pieces(self, page: Page, ordinal: int) -> Iterator[_Piece]:
        starts = [start for start, _ in self._token_offsets(page.text)]

        def count(start: int, end: int) -> int:
            return bisect_left(starts, end) - bisect_left(starts, start)

        for element in page.elements:
            header = (element.start, element.header_end) if element.header_end else None
            for start, end in self._cuts(page.text, element, starts, count):
                repeated = header if header and start >= header[1] else None
                tokens = count(start, end) + (count(*repeated) if repeated else 0)
                level = max(1, element.level) if element.kind in ("heading", "title") else 0
                yield _Piece(page, ordinal, start, end, tokens, level, repeated)

    def _cuts(
        self, text: str, element: Element, starts: list[int], count: Callable[[int, int], int]
    ) -> Iterator[tuple[int, int]]:
        """The element whole if it fits, else its sentences or rows, joined as far as they fit."""
        if count(element.start, element.end) <= self._most_tokens:
            yield element.start, element.end
            return
        units = _rows(text, element) if element.kind in ("table", "code") else _sentences(text, element)
        most = self._most_tokens - (count(element.start, element.header_end) if element.header_end else 0)
        most = max(most, self._most_tokens // 2)  # a header row of half a window and more is not worth repeating whole
        first = last = element.start
        for start, end in units:
            if count(first, end) > most and last > first:
                yield first, last
                first = start
            while count(first, end) > most:
                cut = starts[bisect_left(starts, first) + most]
                yield first, cut
                first = cut
            last = end
        if first < last:
            yield first, last


def _record(draft: _Draft) -> ChunkRecord:
    """Neighbouring slices of one page become one span, with the white space between them."""
    spans: list[tuple[Page, int, int, int]] = []
    for piece in draft.pieces:
        begins = not spans or spans[-1][1] != piece.ordinal
        if begins and piece.header and piece is draft.pieces[0]:
            spans.append((piece.page, piece.ordinal, *piece.header))
            spans.append((piece.page, piece.ordinal, piece.start, piece.end))
        elif begins:
            spans.append((piece.page, piece.ordinal, piece.start, piece.end))
        else:
            page, ordinal, start, _ = spans[-1]
            spans[-1] = (page, ordinal, start, piece.end)
    return ChunkRecord(
        heading=draft.heading,
        text="\n".join(page.text[start:end] for page, _, start, end in spans),
        tokens=draft.tokens,
        spans=tuple((ordinal, start, end) for _, ordinal, start, end in spans),
    )


def _path(headings: list[tuple[int, str]]) -> str:
    return _HEADING_SEPARATOR.join(text for _, text in headings)


def _one_line(text: str) -> str:
    return " ".join(text.split())[:200]


def _sentences(text: str, element: Element) -> list[tuple[int, int]]:
    spans = sentence_spans(text[element.start : element.end])
    return [(element.start + start, element.start + end) for start, end in spans]


def _rows(text: str, element: Element) -> list[tuple[int, int]]:
    rows, start = [], element.start
    for line in text[element.start : element.end].splitlines(keepends=True):
        rows.append((start, start + len(line.rstrip())))
        start += len(line)
    return [row for row in rows if row[0] < row[1]]
