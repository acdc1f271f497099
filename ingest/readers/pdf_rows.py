"""Lines of a PDF page to rows of cells: what stands side by side, parted where the gap is too wide for one text."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from ingest.readers.pdf_lines import PdfLine

# In multiples of the type size. Justified text has gaps of up to one.
GAP_BESIDE_NUMBERS, GAP_BETWEEN_WORDS, OVERLAP = 1.0, 1.5, 0.5
BULLETS = "•‣▪◦●○■□–—*-\uf0b7\uf0a7"
NUMBERING = re.compile(r"\(?(?:\d{1,3}|[a-zA-Z]|[ivx]{1,5})[.)]$")
VALUE = re.compile(r"[\s$€£¥()%+\-–—−.,/*\d]*[\d\-–—−$€£¥%][\s$€£¥()%+\-–—−.,/*\d]*$")
YEAR = re.compile(r"\(?(?:19|20)\d\d\)?[*†]?$")
CURRENCY = frozenset("$€£¥")
CLOSING = frozenset((")", "%", ")%", "%)"))


class Cell(NamedTuple):
    text: str
    left: float
    right: float

    @property
    def is_value(self) -> bool:
        """A number, or what stands for one, and not a year, which heads a column."""
        return bool(VALUE.match(self.text)) and not YEAR.match(self.text)


@dataclass(frozen=True)
class Row:
    """One or several of the page's lines, side by side."""

    lines: tuple[PdfLine, ...]
    cells: tuple[Cell, ...]

    @property
    def first(self) -> PdfLine:
        return self.lines[0]

    @property
    def in_columns(self) -> bool:
        if len(self.cells) != 2:
            return len(self.cells) > 2
        return self.cells[0].text not in BULLETS and not NUMBERING.match(self.cells[0].text)


def rows_of(lines: Sequence[PdfLine]) -> Iterator[Row]:
    """pdfium begins a new line within a row where type or baseline change a little."""
    group: list[PdfLine] = []
    for line in lines:
        if group and not (_same_height(group[-1], line) and line.left > group[-1].right - OVERLAP * line.size):
            yield _row(group)
            group = []
        group.append(line)
    if group:
        yield _row(group)


def _row(lines: Sequence[PdfLine]) -> Row:
    """A footnote's mark, which pdfium may set apart, belongs to the cell before it."""
    cells: list[Cell] = []
    for line in lines:
        first, *others = _cells(line)
        if cells and first.left - cells[-1].right < GAP_BESIDE_NUMBERS * line.size:
            last = cells.pop()
            first = Cell(f"{last.text} {first.text}", last.left, first.right)
        cells += first, *others
    return Row(tuple(lines), tuple(cells))


def _cells(line: PdfLine) -> Iterator[Cell]:
    """A currency sign goes with the number after it, a closing bracket or percent sign with the one before."""
    size = line.size or line.bottom - line.top
    narrow, wide = GAP_BESIDE_NUMBERS * size, GAP_BETWEEN_WORDS * size
    words = line.words
    begin = 0
    for at, ((one, left, right), (other, next_left, next_right)) in enumerate(pairwise(words), start=1):
        gap = next_left - right
        if gap < narrow and next_right >= left:
            continue
        together = 0 < gap < wide and not VALUE.match(one) and not VALUE.match(other)
        if not together and one not in CURRENCY and other not in CLOSING:
            yield _cell(line, begin, at)
            begin = at
    yield _cell(line, begin, len(words))


def _cell(line: PdfLine, begin: int, end: int) -> Cell:
    words = line.words[begin:end]
    if not words:
        return Cell(line.text, line.left, line.right)
    # A sign stands at the left edge of its column, often under the words of the head beside.
    _, left, _ = words[1] if len(words) > 1 and words[0][0] in CURRENCY else words[0]
    _, _, right = words[-1]
    return Cell(" ".join([text for text, _, _ in words]), left, right)


def _same_height(one: PdfLine, other: PdfLine) -> bool:
    return abs(one.middle - other.middle) < 0.35 * max(one.size, other.size, 1.0)
