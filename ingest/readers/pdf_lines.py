"""The lines of a PDF page as pdfium finds them: their text, their box as the page is shown, their type size and weight.

pdfium is called directly: the wrapper's calls for each character would take longer than all the rest together. Three
index spaces meet here: characters (what pdfium's geometry counts), its text (which leaves out characters without a
meaning), and UTF-16 units (what it hands over).
"""

from __future__ import annotations

import ctypes
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

# pdfium ends a line with CR LF; where a word is hyphenated it puts U+FFFE for the hyphen and goes on without a break.
LINE = re.compile("[^\r\n\ufffe]*(?:\ufffe|(?=[\r\n])|$)")
HYPHEN_AT_LINE_END = "\ufffe"
BOLD_NAME = re.compile(r"bold|black|heavy|demi|medi(?!um)|cmbx|-bd\b", re.IGNORECASE)
BOLD_WEIGHT = 600
LONGEST_FONT_NAME = 128

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class PdfLine:
    """Box in points from the top left corner of the page as shown. `size` in points, 0 where unknown."""

    text: str
    left: float
    top: float
    right: float
    bottom: float
    size: float
    bold: bool

    @property
    def middle(self) -> float:
        return (self.top + self.bottom) / 2


class TextPage:
    """Wraps a loaded `pypdfium2.PdfPage`. Close it before the page."""

    def __init__(self, page: Any) -> None:
        import pypdfium2.raw as pdfium

        self._pdfium = pdfium
        self._text_page = page.get_textpage()
        self.width, self.height = page.get_size()
        self._shown = _to_shown(page.get_bbox(), page.get_rotation())

    def close(self) -> None:
        self._text_page.close()

    def lines(self) -> Iterator[PdfLine]:
        text, first_index = self._text()
        for match in LINE.finditer(text):
            found = match.group()
            start = match.start() + len(found) - len(found.lstrip())
            stripped = found.strip()
            if stripped:
                yield self._line(stripped, first_index(start), first_index(start + len(stripped) - 1))

    def box(self, left: float, bottom: float, right: float, top: float) -> Box:
        """From the page's own coordinates to those of the page as shown, cut at its edges."""
        ends = self._shown(left, bottom), self._shown(right, top)
        (x1, x2), (y1, y2) = (sorted(pair) for pair in zip(*ends, strict=True))
        width, height = self.width, self.height
        return (_within(x1, width), _within(y1, height), _within(x2, width), _within(y2, height))

    def _text(self) -> tuple[str, Callable[[int], int]]:
        """The page's text, and where in pdfium's characters the text's n-th character is."""
        pdfium = self._pdfium
        count = pdfium.FPDFText_CountChars(self._text_page)
        if count <= 0:
            return "", lambda index: index
        # Twice as many units as characters: those beyond U+FFFF take two.
        units = (ctypes.c_ushort * (2 * count + 1))()
        written = pdfium.FPDFText_GetText(self._text_page, 0, 2 * count, units)
        text = bytes(units)[: 2 * max(written - 1, 0)].decode("utf-16-le", errors="surrogatepass").rstrip("\x00")
        text_units = _unit_offsets(text) if len(text) != written - 1 else None

        def character_index(index: int) -> int:
            position = index if text_units is None else text_units[index]
            return int(pdfium.FPDFText_GetCharIndexFromTextIndex(self._text_page, position))

        return text, character_index

    def _line(self, text: str, first: int, last: int) -> PdfLine:
        left, top, right, bottom = self._extent(first, last)
        size, bold = self._type(first)
        if last > first and bold:
            # A line that only begins in bold is a paragraph with a term in front, not a heading.
            bold = self._type(last)[1]
        shown = text.replace(HYPHEN_AT_LINE_END, "-")
        return PdfLine(shown, left, top, right, bottom, size, bold)

    def _extent(self, first: int, last: int) -> Box:
        pdfium, page = self._pdfium, self._text_page
        edges = [ctypes.c_double() for _ in range(4)]
        left, top, right, bottom = (ctypes.byref(edge) for edge in edges)
        boxes: list[Box] = []
        for index in range(pdfium.FPDFText_CountRects(page, first, last - first + 1)):
            if pdfium.FPDFText_GetRect(page, index, left, top, right, bottom):
                boxes.append(self.box(edges[0].value, edges[3].value, edges[2].value, edges[1].value))
        if not boxes:
            return (0.0, 0.0, 0.0, 0.0)
        lefts, tops, rights, bottoms = zip(*boxes, strict=True)
        return (min(lefts), min(tops), max(rights), max(bottoms))

    def _type(self, index: int) -> tuple[float, bool]:
        """Size in points as shown, and whether the font is bold."""
        pdfium, page = self._pdfium, self._text_page
        matrix = pdfium.FS_MATRIX()
        scale = 1.0
        if pdfium.FPDFText_GetMatrix(page, index, matrix):
            # Many writers set size 1 and let the matrix scale it.
            scale = math.hypot(matrix.c, matrix.d)
        name = ctypes.create_string_buffer(LONGEST_FONT_NAME)
        flags = ctypes.c_int()
        pdfium.FPDFText_GetFontInfo(page, index, name, LONGEST_FONT_NAME, ctypes.byref(flags))
        bold = bool(BOLD_NAME.search(name.value.decode("utf-8", errors="replace")))
        bold = bold or pdfium.FPDFText_GetFontWeight(page, index) >= BOLD_WEIGHT
        return round(float(pdfium.FPDFText_GetFontSize(page, index)) * scale, 1), bold


def _unit_offsets(text: str) -> list[int]:
    """Where each character begins when those beyond U+FFFF count twice, as pdfium counts them."""
    offsets, position = [], 0
    for character in text:
        offsets.append(position)
        position += 2 if character > "\uffff" else 1
    return offsets


def _to_shown(crop: Box, rotation: int) -> Callable[[float, float], tuple[float, float]]:
    """Page coordinates (origin at the bottom left, before rotation) to shown ones (top left, after it)."""
    left, bottom, right, top = crop
    if rotation == 90:
        return lambda x, y: (y - bottom, x - left)
    if rotation == 180:
        return lambda x, y: (right - x, y - bottom)
    if rotation == 270:
        return lambda x, y: (top - y, right - x)
    return lambda x, y: (x - left, top - y)


def _within(value: float, most: float) -> float:
    # Written so that a "not a number" becomes 0, and rounding cannot step over the edge.
    return min(round(value, 2), most) if value > 0 else 0.0
