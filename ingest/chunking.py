"""Pages to chunks: along headings and elements, within the embedder's window, nothing lost.

A chunk is made of whole elements while they fit; a longer element is cut at sentences, a table at rows (each piece
repeats the row that names the columns), and only a sentence longer than the window between tokens. The path of the
headings above a chunk goes into its `heading`; headings inside of it are part of its text.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from indexes.records import ChunkRecord
from ingest.elements import Element, Page
from ingest.sentences import sentence_spans

TokenOffsets = Callable[[str], list[tuple[int, int]]]

CHUNKING = "chunks/1"
"""Names this way of chunking in a content's recipe; change it when the chunks change."""

HEADING_TOKENS = 40
"""Room left in the embedder's window for title and headings."""
_HEADING_SEPARATOR = " › "


@dataclass(frozen=True)
class _Piece:
    """A slice of a page that is never cut further, and the path of the headings `above` it. `header` is the table row
    to repeat when a chunk begins here."""

    page: Page
    ordinal: int
    start: int
    end: int
    tokens: int
    level: int = 0
    header: tuple[int, int] | None = None
    above: str = ""


@dataclass
class _Draft:
    """The chunk being filled."""

    pieces: list[_Piece] = field(default_factory=list)

    @property
    def tokens(self) -> int:
        return sum(piece.tokens for piece in self.pieces)

    @property
    def has_body(self) -> bool:
        return any(piece.level == 0 for piece in self.pieces)


class Chunker:
    """Makes chunks of at most `window_tokens` less `HEADING_TOKENS`; a heading, or a new page, begins a new one once
    `least_tokens` are reached. A chunk that begins with headings may use their room, since they are text then."""

    def __init__(self, token_offsets: TokenOffsets, window_tokens: int, *, least_tokens: int = 90) -> None:
        self._token_offsets = token_offsets
        self._window_tokens = window_tokens
        self._most_tokens = window_tokens - HEADING_TOKENS
        self._least_tokens = min(least_tokens, self._most_tokens // 2)

    def chunks(self, pages: Iterable[Page]) -> Iterator[ChunkRecord]:
        """Chunks in reading order; spans name pages by their place in `pages`, from 0."""
        headings: list[tuple[int, str]] = []
        draft = _Draft()
        for ordinal, page in enumerate(pages):
            if draft.tokens >= self._least_tokens:
                yield _close(draft)
            for piece in self._pieces(page, ordinal):
                if self._is_full(draft, piece) or (piece.level and draft.tokens >= self._least_tokens):
                    yield _close(draft)
                    if self._is_full(draft, piece):  # of headings alone, carried along
                        yield _close(draft)
                if piece.level:
                    headings[:] = [heading for heading in headings if heading[0] < piece.level]
                draft.pieces.append(replace(piece, above=_path(headings)))
                if piece.level:
                    headings.append((piece.level, _one_line(page.text[piece.start : piece.end])))
        if draft.pieces:
            yield _record(draft.pieces)

    def _is_full(self, draft: _Draft, piece: _Piece) -> bool:
        most = self._most_tokens if draft.has_body else self._window_tokens
        return bool(draft.pieces) and draft.tokens + piece.tokens > most

    def _pieces(self, page: Page, ordinal: int) -> Iterator[_Piece]:
        starts = [start for start, _ in self._token_offsets(page.text)]

        def count(start: int, end: int) -> int:
            return bisect_left(starts, end) - bisect_left(starts, start)

        for element in page.elements:
            header = (element.start, element.header_end) if element.header_end else None
            if header and count(*header) > self._most_tokens // 2:
                header = None  # a row of half a window and more is not worth repeating
            for start, end in self._cuts(page.text, element, starts, count, count(*header) if header else 0):
                repeated = header if header and start >= header[1] else None
                tokens = count(start, end) + (count(*repeated) if repeated else 0)
                level = max(1, element.level) if element.kind in ("heading", "title") else 0
                yield _Piece(page, ordinal, start, end, tokens, level, repeated)

    def _cuts(
        self, text: str, element: Element, starts: list[int], count: Callable[[int, int], int], header_tokens: int
    ) -> Iterator[tuple[int, int]]:
        """The element whole if it fits, else its sentences or rows, joined as far as they fit beside the header."""
        if count(element.start, element.end) <= self._most_tokens:
            yield element.start, element.end
            return
        units = _rows(text, element) if element.kind in ("table", "code") else _sentences(text, element)
        most = self._most_tokens - header_tokens
        first = last = element.start
        for start, end in units:
            if count(first, end) > most and last > first:
                yield first, last
                first = start
            while count(first, end) > most:
                # Several tokens may begin at one character; a piece is never empty.
                cut = max(first + 1, starts[bisect_left(starts, first) + most])
                yield first, cut
                first = cut
            last = end
        if first < last:
            yield first, last


def _close(draft: _Draft) -> ChunkRecord:
    """The chunk; headings at its end stay in the draft, with what they head."""
    kept = len(draft.pieces)
    while kept and draft.pieces[kept - 1].level:
        kept -= 1
    kept = kept or len(draft.pieces)
    pieces, draft.pieces = draft.pieces[:kept], draft.pieces[kept:]
    return _record(pieces)


def _record(pieces: Sequence[_Piece]) -> ChunkRecord:
    """Neighbouring slices of one page become one span, with the white space between them."""
    first = pieces[0]
    slices = [replace(first, start=first.header[0], end=first.header[1])] if first.header else []
    for piece in pieces:
        if slices and piece is not first and slices[-1].ordinal == piece.ordinal:
            slices[-1] = replace(slices[-1], end=piece.end)
        else:
            slices.append(piece)
    return ChunkRecord(
        heading=first.above,
        text="\n".join(piece.page.text[piece.start : piece.end] for piece in slices),
        tokens=sum(piece.tokens for piece in pieces),
        spans=tuple((piece.ordinal, piece.start, piece.end) for piece in slices),
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
