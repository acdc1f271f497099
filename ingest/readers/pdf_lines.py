"""The lines of a PDF page as pdfium finds them: text, words, box as the page is shown, type size and weight.

Three index spaces meet here: characters (what pdfium's geometry counts), its text (which leaves out characters without a
meaning), and UTF-16 units (what it hands over).
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from ingest.readers.pdf_calls import CharacterCalls

# pdfium ends a line with CR LF; where a word is hyphenated it puts U+FFFE for the hyphen and goes on without a break.
LINE = re.compile("[^\r\n\ufffe]*(?:\ufffe|(?=[\r\n])|$)")
WORD = re.compile(r"\S+")
HYPHEN_AT_LINE_END = "\ufffe"

# Of the type size, above and below the baseline.
ASCENT, DESCENT = 0.73, 0.22

Box = tuple[float, float, float, float]
Places = Sequence[int]


class Word(NamedTuple):
    """`left` and `right` as the page is shown."""

    text: str
    left: float
    right: float


class Axis(NamedTuple):
    """From the page's own coordinates to one of those of the page as shown."""

    origin: float
    forward: bool

    def at(self, value: float) -> float:
        return value - self.origin if self.forward else self.origin - value


class PdfLine(NamedTuple):
    """Box in points from the top left corner of the page as shown. `size` in points, 0 where unknown."""

    text: str
    left: float
    top: float
    right: float
    bottom: float
    size: float
    bold: bool
    words: tuple[Word, ...] = ()

    @property
    def middle(self) -> float:
        return (self.top + self.bottom) / 2


class Row(NamedTuple):
    """Words side by side, in the slice `[start:end]` of the page's text. `low` and `high`: their ends on the axis of
    the page's own coordinates that is not the words'."""

    words: list[Word]
    low: float
    high: float
    start: int
    end: int


class TextPage:
    """Wraps a loaded `pypdfium2.PdfPage`. Close it before the page."""

    def __init__(self, page: Any) -> None:
        import pypdfium2.raw as pdfium

        self._pdfium = pdfium
        self._text_page = page.get_textpage()
        self._raw = self._text_page.raw
        self.width, self.height = page.get_size()
        crop, rotation = page.get_bbox(), page.get_rotation()
        self._across, self._down = _axes(crop, rotation)
        self._turned = rotation in (90, 270)
        self._calls = CharacterCalls(self._raw, turned=self._turned)

    def close(self) -> None:
        self._text_page.close()

    def lines(self) -> Iterator[PdfLine]:
        text, places = self._text()
        for match in LINE.finditer(text):
            for row in self._rows(text, match, places):
                yield self._line(text, row, places)

    def box(self, left: float, bottom: float, right: float, top: float) -> Box:
        """From the page's own coordinates to those of the page as shown, cut at its edges."""
        (x1, y1), (x2, y2) = self._shown(left, bottom), self._shown(right, top)
        return self._cut(min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2))

    def _shown(self, x: float, y: float) -> tuple[float, float]:
        along, other = (y, x) if self._turned else (x, y)
        return self._across.at(along), self._down.at(other)

    def _cut(self, left: float, top: float, right: float, bottom: float) -> Box:
        width, height = self.width, self.height
        return _within(left, width), _within(top, height), _within(right, width), _within(bottom, height)

    def _text(self) -> tuple[str, Places]:
        """The page's text, and where in pdfium's characters the text's n-th character is."""
        pdfium = self._pdfium
        count = pdfium.FPDFText_CountChars(self._raw)
        if count <= 0:
            return "", range(0)
        # Twice as many units as characters: those beyond U+FFFF take two.
        units = (ctypes.c_ushort * (2 * count + 1))()
        written = pdfium.FPDFText_GetText(self._raw, 0, 2 * count, units)
        text = bytes(units)[: 2 * max(written - 1, 0)].decode("utf-16-le", errors="surrogatepass").rstrip("\x00")
        if len(text) == count:
            # No character was left out and none takes two units: all three count alike.
            return text, range(count)
        text_units = _unit_offsets(text) if len(text) != written - 1 else range(len(text))
        return text, [int(pdfium.FPDFText_GetCharIndexFromTextIndex(self._raw, unit)) for unit in text_units]

    def _rows(self, text: str, line: re.Match[str], places: Places) -> Iterator[Row]:
        """pdfium sometimes goes on with a line further down, as in tables: a word that is wholly left of the one before
        it, and wholly above or below, begins a new row. This loop, over all words of all pages, is as short as it can
        be; a word lies between its first and its last character."""
        calls = self._calls
        character_box, page, slots, four, edges = calls.character_box, calls.page, calls.slots, calls.four, calls.edges
        origin, forward = self._across
        words: list[Word] = []
        x1 = y1 = y2 = low = high = 0.0
        first = last = 0
        for match in WORD.finditer(text, *line.span()):
            start, end = match.span()
            before, under, over = x1, y1, y2
            character_box(page, places[start], *slots)
            x1, x2, y1, y2 = four(edges)
            if end - start > 1:
                character_box(page, places[end - 1], *slots)
                x3, x4, y3, y4 = four(edges)
                x1, x2 = x1 if x1 < x3 else x3, x2 if x2 > x4 else x4
                y1, y2 = y1 if y1 < y3 else y3, y2 if y2 > y4 else y4
            x1, x2 = (x1 - origin, x2 - origin) if forward else (origin - x2, origin - x1)
            if words and x2 < before and (y2 < under or y1 > over):
                yield Row(words, low, high, first, last)
                words = []
            if not words:
                low, high, first = y1, y2, start
            low, high, last = y1 if y1 < low else low, y2 if y2 > high else high, end
            words.append(Word(match.group(), x1, x2))
        if words:
            yield Row(words, low, high, first, last)

    def _line(self, text: str, row: Row, places: Places) -> PdfLine:
        words, low, high, start, end = row
        first, last = places[start], places[end - 1]
        type_ = self._calls.type(first)
        # A line that only begins in bold is a paragraph with a term in front, not a heading.
        bold = type_.bold and (last == first or self._calls.type(last).bold)
        across, down = self._around_baseline((first, last), type_.up)
        across += *(word.left for word in words), *(word.right for word in words)
        down += self._down.at(low), self._down.at(high)
        box = self._cut(min(across), min(down), max(across), max(down))
        return PdfLine(text[start:end].replace(HYPHEN_AT_LINE_END, "-"), *box, type_.size, bold, tuple(words))

    def _around_baseline(self, indices: Sequence[int], up: tuple[float, float]) -> tuple[list[float], list[float]]:
        """As high and as deep as letters go, so that a line of dashes has its middle where a line of words has it:
        places across the page as shown, and down."""
        up_x, up_y = up
        points = []
        for x, y in map(self._calls.origin, indices):
            points += (x + ASCENT * up_x, y + ASCENT * up_y), (x - DESCENT * up_x, y - DESCENT * up_y)
        shown = [self._shown(x, y) for x, y in points]
        return [x for x, _ in shown], [y for _, y in shown]


def _unit_offsets(text: str) -> list[int]:
    """Where each character begins when those beyond U+FFFF count twice, as pdfium counts them."""
    offsets, position = [], 0
    for character in text:
        offsets.append(position)
        position += 2 if character > "\uffff" else 1
    return offsets


def _axes(crop: Box, rotation: int) -> tuple[Axis, Axis]:
    """Across and down the page as shown (origin at the top left, after rotation); on a page turned by 90 or 270 degrees
    the first is of its own y, else of its x (origin at the bottom left, before rotation)."""
    left, bottom, right, top = crop
    if rotation == 90:
        return Axis(bottom, True), Axis(left, True)
    if rotation == 180:
        return Axis(right, False), Axis(bottom, True)
    if rotation == 270:
        return Axis(top, False), Axis(right, False)
    return Axis(left, True), Axis(top, False)


def _within(value: float, most: float) -> float:
    # Written so that a "not a number" becomes 0, and rounding cannot step over the edge.
    return min(round(value, 2), most) if value > 0 else 0.0
