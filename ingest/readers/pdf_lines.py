"""The lines of a PDF page as pdfium finds them: text, words, box as the page is shown, type size and weight.

Three index spaces meet here: characters (what pdfium's geometry counts), its text (which leaves out characters without
a meaning), and UTF-16 units (what it hands over).
"""

from __future__ import annotations

import ctypes
import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Any, NamedTuple

from ingest.readers.pdf_calls import CharacterCalls, Ends

# pdfium ends a line with CR LF; where a word is hyphenated it puts U+FFFE for the hyphen and goes on without a break.
LINE = re.compile("[^\r\n\ufffe]*(?:\ufffe|(?=[\r\n])|$)")
WORD = re.compile("[^\\s\ufffe]+\ufffe?|\ufffe")
HYPHEN_AT_LINE_END = "\ufffe"

# Of the type size, above and below the baseline.
ASCENT, DESCENT = 0.73, 0.22

Box = tuple[float, float, float, float]
Places = Sequence[int]
# Text, and left and right as the page is shown.
Word = tuple[str, float, float]


class Axis(NamedTuple):
    """From the page's own coordinates to one of those of the page as shown, which is `length` long."""

    origin: float
    forward: bool
    length: float

    def span(self, low: float, high: float) -> tuple[float, float]:
        """Cut at the edges of the page."""
        origin, length = self.origin, self.length
        if self.forward:
            return _within(low - origin, length), _within(high - origin, length)
        return _within(origin - high, length), _within(origin - low, length)


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


class Words(NamedTuple):
    """The words of a page in columns: `spans` are slices of the page's text, `left` and `right` as the page is shown,
    `ends` those of the first and the last character of each word, two for a word."""

    spans: list[tuple[int, int]]
    left: list[float]
    right: list[float]
    ends: Ends


class TextPage:
    """Wraps a loaded `pypdfium2.PdfPage`. Close it before the page."""

    def __init__(self, page: Any, calls: CharacterCalls) -> None:
        import pypdfium2.raw as pdfium

        self._pdfium = pdfium
        self._text_page = page.get_textpage()
        self._raw = self._text_page.raw
        self.width, self.height = page.get_size()
        crop, rotation = page.get_bbox(), page.get_rotation()
        self._across, self._down = _axes(crop, rotation, self.width, self.height)
        self._turned = rotation in (90, 270)
        self._calls = calls

    def close(self) -> None:
        self._text_page.close()

    def lines(self) -> Iterator[PdfLine]:
        text, places = self._text()
        words, lines, begin = self._words(text, places), list(LINE.finditer(text)), 0
        text = text.replace(HYPHEN_AT_LINE_END, "-")
        for line in lines:
            end = bisect_left(words.spans, (line.end(), 0), begin)
            for first, last in self._rows(words, begin, end):
                yield self._line(text, words, slice(first, last), places)
            begin = end

    def box(self, left: float, bottom: float, right: float, top: float) -> Box:
        """From the page's own coordinates to those of the page as shown, cut at its edges."""
        across, down = ((bottom, top), (left, right)) if self._turned else ((left, right), (bottom, top))
        (x1, x2), (y1, y2) = self._across.span(*across), self._down.span(*down)
        return x1, y1, x2, y2

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
        found = (int(pdfium.FPDFText_GetCharIndexFromTextIndex(self._raw, unit)) for unit in text_units)
        # What has no place has that of the character before.
        return text, list(accumulate(found, lambda before, index: index if index >= 0 else before, initial=0))[1:]

    def _words(self, text: str, places: Places) -> Words:
        """A word lies between its first and its last character."""
        spans = [match.span() for match in WORD.finditer(text)]
        ends = self._calls.ends(self._raw, [places[at] for start, end in spans for at in (start, end - 1)])
        near, far = (ends.bottom, ends.top) if self._turned else (ends.left, ends.right)
        left, right = list(map(min, near[::2], near[1::2])), list(map(max, far[::2], far[1::2]))
        origin, forward, _ = self._across
        if not forward:
            left, right = [origin - value for value in right], [origin - value for value in left]
        elif origin:
            left, right = [value - origin for value in left], [value - origin for value in right]
        return Words(spans, left, right, ends)

    def _rows(self, words: Words, begin: int, end: int) -> Iterator[tuple[int, int]]:
        """pdfium sometimes goes on with a line further down, as in tables: a word that is wholly left of the one before
        it, and wholly above or below, begins a new row."""
        _, left, right, ends = words
        low, high = (ends.left, ends.right) if self._turned else (ends.bottom, ends.top)
        for at in range(begin + 1, end):
            if right[at] < left[at - 1]:
                one, other = slice(2 * at - 2, 2 * at), slice(2 * at, 2 * at + 2)
                if max(high[other]) < min(low[one]) or min(low[other]) > max(high[one]):
                    yield begin, at
                    begin = at
        if begin < end:
            yield begin, end

    def _line(self, text: str, words: Words, row: slice, places: Places) -> PdfLine:
        calls, page, spans = self._calls, self._raw, words.spans[row]
        start, end = spans[0][0], spans[-1][1]
        first, last = places[start], places[end - 1]
        type_ = calls.type(page, first)
        # A line that only begins in bold is a paragraph with a term in front, not a heading.
        bold = type_.bold and (last == first or calls.type(page, last).bold)
        # As high and as deep as letters go, so that a line of dashes has its middle where a line of words has it.
        up_x, up_y = type_.up
        (x1, y1), (x2, y2) = calls.origin(page, first), calls.origin(page, last)
        xs = (x1 + ASCENT * up_x, x1 - DESCENT * up_x, x2 + ASCENT * up_x, x2 - DESCENT * up_x)
        ys = (y1 + ASCENT * up_y, y1 - DESCENT * up_y, y2 + ASCENT * up_y, y2 - DESCENT * up_y)
        left, right, bottom, top = (side[2 * row.start : 2 * row.stop] for side in words.ends)
        box = self.box(min(*xs, *left), min(*ys, *bottom), max(*xs, *right), max(*ys, *top))
        text = text[start:end]
        parts = zip(text.split(), words.left[row], words.right[row], strict=True)
        return PdfLine(text, *box, type_.size, bold, tuple(parts))


def _unit_offsets(text: str) -> list[int]:
    """Where each character begins when those beyond U+FFFF count twice, as pdfium counts them."""
    offsets, position = [], 0
    for character in text:
        offsets.append(position)
        position += 2 if character > "\uffff" else 1
    return offsets


def _axes(crop: Box, rotation: int, width: float, height: float) -> tuple[Axis, Axis]:
    """Across and down the page as shown (origin at the top left, after rotation); on a page turned by 90 or 270 degrees
    the first is of its own y, else of its x (origin at the bottom left, before rotation)."""
    left, bottom, right, top = crop
    if rotation == 90:
        return Axis(bottom, True, width), Axis(left, True, height)
    if rotation == 180:
        return Axis(right, False, width), Axis(bottom, True, height)
    if rotation == 270:
        return Axis(top, False, width), Axis(right, False, height)
    return Axis(left, True, width), Axis(top, False, height)


def _within(value: float, most: float) -> float:
    # Written so that a "not a number" becomes 0, and rounding cannot step over the edge.
    return min(round(value, 2), most) if value > 0 else 0.0
