"""Pages to chunks: along headings and elements, within the embedder's window, nothing lost.

A chunk is made of whole elements while they fit; a longer element is cut as `ingest.cuts` says, and each piece of a
table repeats the row that names the columns. What stands above a chunk goes into its `heading`: the part of the file
(a sheet, an attachment), the path of the headings, and the caption of a table; headings inside of it are part of its
text. A running head is kept where it stands first, and left out where it comes again.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from indexes.records import ChunkRecord
from ingest.cuts import Cut, TokenCount, joined, units
from ingest.elements import Element, Page

TokenOffsets = Callable[[str], list[tuple[int, int]]]

CHUNKING = "chunks/2"
"""Names this way of chunking in a content's recipe; change it when the chunks change."""

HEADING_TOKENS = 40
"""Room left in the embedder's window for title and headings."""
_HEADING_SEPARATOR = " › "
_LONGEST_CAPTION = 120
# What counts the pages in a running head. Numbers with a point or a stroke ("4.2", "2023-05-01") tell heads apart.
_COUNTER = re.compile(r"(?<![\d.,/-])\d{1,3}(?![\d,/-]|\.\d)")
_PAGE_NUMBER = re.compile(r"\W*\d+(?: ?[/|] ?\d+)?\W*")


@dataclass(frozen=True)
class _Piece:
    """A slice of a page that is never cut further, and what stands `above` it. `repeated`: the row that names the
    columns and the like, which a chunk that begins here repeats. Between pieces of one page and one `run` nothing is
    left out."""

    page: Page
    ordinal: int
    run: int
    start: int
    end: int
    tokens: int
    level: int = 0
    repeated: tuple[tuple[int, int], ...] = ()
    caption: str = ""
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
        heads = _RunningHeads()
        draft = _Draft()
        part = None
        for ordinal, page in enumerate(pages):
            if page.part != part:  # a file of its own, or as good as one
                yield from _rest(draft)
                headings, heads, part = [], _RunningHeads(), page.part
            elif draft.tokens >= self._least_tokens:
                yield _close(draft)
            for piece in self._pieces(page, ordinal, heads):
                if self._is_full(draft, piece) or (piece.level and draft.tokens >= self._least_tokens):
                    yield _close(draft)
                    if self._is_full(draft, piece):  # of headings alone, carried along
                        yield _close(draft)
                if piece.level:
                    headings[:] = [heading for heading in headings if heading[0] < piece.level]
                draft.pieces.append(replace(piece, above=_path(part, headings, piece.caption)))
                if piece.level:
                    headings.append((piece.level, _one_line(page.text[piece.start : piece.end])))
        yield from _rest(draft)

    def _is_full(self, draft: _Draft, piece: _Piece) -> bool:
        most = self._most_tokens if draft.has_body else self._window_tokens
        return bool(draft.pieces) and draft.tokens + piece.tokens > most

    def _pieces(self, page: Page, ordinal: int, heads: _RunningHeads) -> Iterator[_Piece]:
        starts = [start for start, _ in self._token_offsets(page.text)]

        def count(start: int, end: int) -> int:
            return bisect_left(starts, end) - bisect_left(starts, start)

        run, captions = 0, _Captions()
        for element in page.elements:
            if heads.comes_again(page.text, element):
                run += 1
                continue
            level = max(1, element.level) if element.kind in ("heading", "title") else 0
            caption = captions.above(page.text, element)
            header = self._header(element, count)
            for cut in self._cuts(page.text, element, starts, count, count(*header) if header else 0):
                names = header if header and cut.start >= header[1] else None
                repeated = tuple(span for span in (names, cut.label) if span)
                tokens = count(cut.start, cut.end) + sum(count(*span) for span in repeated)
                yield _Piece(page, ordinal, run, cut.start, cut.end, tokens, level, repeated, caption)

    def _header(self, element: Element, count: TokenCount) -> tuple[int, int] | None:
        """The rows that name the columns, unless they take half a window and more, which is not worth repeating."""
        header = (element.start, element.header_end)
        return header if element.header_end and count(*header) <= self._most_tokens // 2 else None

    def _cuts(
        self, text: str, element: Element, starts: list[int], count: TokenCount, header_tokens: int
    ) -> Iterator[Cut]:
        """The element whole if it fits, else cut so that each piece fits beside what it repeats."""
        if count(element.start, element.end) <= self._most_tokens:
            yield Cut(element.start, element.end)
            return
        most_label = self._most_tokens // 8
        most = self._most_tokens - header_tokens - (most_label if element.kind == "table" else 0)
        found = units(text, element, count, most=most, most_label=most_label)
        yield from joined(found, element.start, count, starts, most)


class _RunningHeads:
    """The headers and footers of one part, by their text without what counts the pages."""

    def __init__(self) -> None:
        self._seen: set[str] = set()

    def comes_again(self, text: str, element: Element) -> bool:
        if element.kind not in ("header", "footer"):
            return False
        said = " ".join(text[element.start : element.end].casefold().split())
        counted = "#" if _PAGE_NUMBER.fullmatch(said) else _COUNTER.sub("#", said)
        known = counted in self._seen
        self._seen.add(counted)
        return known


class _Captions:
    """What stands directly above a table and says what it is about: captions, or one short line."""

    def __init__(self) -> None:
        self._last: list[tuple[str, str]] = []

    def above(self, text: str, element: Element) -> str:
        """The caption, if the element is a table. To be asked for each element in turn."""
        if element.kind == "table":
            return _one_line(" ".join(said for _, said in self._last))
        said = text[element.start : element.end].strip()
        is_line = len(said) <= _LONGEST_CAPTION and "\n" not in said
        if element.kind == "caption" and self._last and self._last[-1][0] == "caption":
            self._last.append((element.kind, said))
        else:
            self._last = [(element.kind, said)] if element.kind in ("caption", "paragraph") and is_line else []
        return ""


def _rest(draft: _Draft) -> Iterator[ChunkRecord]:
    """What is left in the draft, which is empty afterwards."""
    if draft.pieces:
        yield _record(draft.pieces)
    draft.pieces = []


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
    slices = [replace(first, start=start, end=end) for start, end in first.repeated]
    for piece in pieces:
        last = slices[-1] if slices and piece is not first else None
        if last and (last.ordinal, last.run) == (piece.ordinal, piece.run):
            slices[-1] = replace(last, end=piece.end)
        else:
            slices.append(piece)
    return ChunkRecord(
        heading=first.above,
        text="\n".join(piece.page.text[piece.start : piece.end] for piece in slices),
        tokens=sum(piece.tokens for piece in pieces),
        spans=tuple((piece.ordinal, piece.start, piece.end) for piece in slices),
    )


def _path(part: str | None, headings: list[tuple[int, str]], caption: str) -> str:
    above = [_one_line(part or ""), *(text for _, text in headings), caption]
    return _HEADING_SEPARATOR.join(text for text in above if text)


def _one_line(text: str) -> str:
    return " ".join(text.split())[:200]
