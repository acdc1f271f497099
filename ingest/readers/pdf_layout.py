"""Lines of PDF pages to blocks: paragraphs, headings, list items, tables, and the headers and footers that repeat.

It learns as it goes: body type is the size that most characters so far have, a running head is a line that came back.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from ingest.elements import Kind
from ingest.readers.pdf_lines import PdfLine
from ingest.readers.pdf_tables import tables

BULLET = re.compile(r"(?:[•‣▪◦●○■□–—\uf0b7\uf0a7o*-]|\(?\d{1,3}[.)]|\(?[a-zA-Z][.)]|\(?[ivx]{1,5}[.)])\s+\S")
LONE_BULLET = re.compile(r"[•‣▪◦●○■□\uf0b7\uf0a7]$")
NUMBERED_HEADING = re.compile(
    r"(?:\d{1,2}(?:\.\d{1,2})*\.?|[A-Z]\.|[IVX]{1,5}\.|(?:chapter|part|section|appendix)\b)\s+\S", re.IGNORECASE
)
PAGE_NUMBER = re.compile(
    r"(?:page\s+|seite\s+|p\.\s*)?[-–—|\s]*\d{1,4}[-–—|\s]*(?:(?:of|von|/)\s*\d{1,4})?$", re.IGNORECASE
)
ENDS_SENTENCE = re.compile(r"[.!?:;][\"'”’)\]]*$")
SMALL_NUMBER = re.compile(r"[0-9]{1,4}$")
DIGITS = re.compile(r"\d+")
MARGIN = 0.1
TIMES_REPEATED = 3
LEVELS = ((1.8, 1), (1.4, 2), (1.15, 3))
BOLD_LEVEL = 4
LONGEST_HEADING = 200
LONGEST_BOLD_HEADING = 100
MOST_HEADING_LINES = 3


@dataclass(frozen=True)
class Block:
    """`header_rows`: how many of a table's lines name its columns."""

    kind: Kind
    lines: tuple[PdfLine, ...]
    level: int = 0
    header_rows: int = 0


class Layout:
    """Shown pages with `observe` before they are asked for with `blocks` (some pages ahead, so that it has learnt)."""

    def __init__(self) -> None:
        self._sizes: Counter[float] = Counter()
        self._bold_characters = 0
        self._margin_lines: Counter[str] = Counter()
        self._page_offsets: Counter[int] = Counter()

    def observe(self, number: int, lines: Sequence[PdfLine], height: float) -> None:
        for line in lines:
            self._sizes[line.size] += len(line.text)
            self._bold_characters += len(line.text) if line.bold else 0
        self._margin_lines.update({_signature(line) for line in lines if _margin(line, height)})
        self._page_offsets.update({int(line.text) - number for line in _ends(lines) if SMALL_NUMBER.match(line.text)})

    def blocks(self, number: int, lines: Sequence[PdfLine], height: float) -> Iterator[Block]:
        """Every line is in one block, in the order given."""
        pitch = _typical_pitch(lines)
        body: list[PdfLine] = []
        for line in lines:
            margin = self._margin_kind(line, height) or self._page_number_kind(number, line, lines)
            if margin:
                yield from self._body_blocks(body, pitch)
                body = []
                yield Block(margin, (line,))
            else:
                body.append(line)
        yield from self._body_blocks(body, pitch)

    def _body_blocks(self, lines: Sequence[PdfLine], pitch: float) -> Iterator[Block]:
        at = 0
        for table in tables(lines):
            yield from self._text_blocks(lines[at : table.start], pitch)
            yield Block("table", table.rows, header_rows=table.header_rows)
            at = table.start + table.count
        yield from self._text_blocks(lines[at:], pitch)

    def _text_blocks(self, lines: Sequence[PdfLine], pitch: float) -> Iterator[Block]:
        current: list[PdfLine] = []
        for line in lines:
            if current and _breaks(current, line, pitch):
                yield self._block(current, lines)
                current = []
            current.append(line)
        if current:
            yield self._block(current, lines)

    @property
    def _body_size(self) -> float:
        return self._sizes.most_common(1)[0][0] if self._sizes else 0.0

    def _margin_kind(self, line: PdfLine, height: float) -> Kind | None:
        side = _margin(line, height)
        if side and (PAGE_NUMBER.match(line.text) or self._margin_lines[_signature(line)] >= TIMES_REPEATED):
            return side
        return None

    def _page_number_kind(self, number: int, line: PdfLine, page: Sequence[PdfLine]) -> Kind | None:
        """Wherever it stands (short pages end early): the first or last line, counting up as the pages do."""
        if not SMALL_NUMBER.match(line.text) or all(line is not end for end in _ends(page)):
            return None
        counts_up = self._page_offsets[int(line.text) - number] >= TIMES_REPEATED
        return ("header" if line is page[0] else "footer") if counts_up else None

    def _block(self, block: Sequence[PdfLine], page: Sequence[PdfLine]) -> Block:
        level = self._heading_level(block)
        if level and not _shares_row(block, page):
            return Block("heading", tuple(block), level)
        first = block[0].text
        if BULLET.match(first) or LONE_BULLET.match(first):
            return Block("list_item", tuple(block))
        return Block("paragraph", tuple(block))

    def _heading_level(self, block: Sequence[PdfLine]) -> int:
        """0 unless the type stands out from the body's: larger, or bold where the body is not."""
        body, size = self._body_size, block[0].size
        if not body or len(block) > MOST_HEADING_LINES:
            return 0
        text = " ".join(line.text for line in block)
        level = next((level for ratio, level in LEVELS if size >= ratio * body), 0)
        if not level and size >= 0.97 * body and self._is_bold_heading(block, text):
            level = BOLD_LEVEL
        return level if len(text) <= LONGEST_HEADING and _mostly_letters(text) else 0

    def _is_bold_heading(self, block: Sequence[PdfLine], text: str) -> bool:
        if not all(line.bold for line in block) or self._bold_characters > 0.4 * sum(self._sizes.values()):
            return False
        short = len(text) <= LONGEST_BOLD_HEADING and len(block) <= 2
        return short and (not re.search(r"[.,;:]$", text) or bool(NUMBERED_HEADING.match(text)))


def _breaks(block: Sequence[PdfLine], line: PdfLine, pitch: float) -> bool:
    """Whether `line` begins something new after `block`."""
    previous = block[-1]
    size = max(previous.size, line.size, 1.0)
    step = line.middle - previous.middle
    if LONE_BULLET.match(previous.text):
        return False
    if abs(previous.size - line.size) > 0.08 * size or previous.bold != line.bold or BULLET.match(line.text):
        return not _same_row(previous, line)
    if LONE_BULLET.match(line.text) or step < -0.5 * size or step > 1.3 * pitch * size:
        return True
    if not ENDS_SENTENCE.search(previous.text) or _same_row(previous, line):
        return False
    indented = line.left - previous.left > 0.8 * size
    ended_short = max(other.right for other in block) - previous.right > 4 * size and not line.text[:1].islower()
    return indented or (ended_short and len(block) > 1)


def _typical_pitch(lines: Sequence[PdfLine]) -> float:
    """The usual step from line to line in multiples of the type size: 1.2 in print, more in manuscripts."""
    steps = [
        (line.middle - previous.middle) / line.size
        for previous, line in pairwise(lines)
        if line.size and 0.5 * line.size < line.middle - previous.middle < 3 * line.size
    ]
    return max(1.2, median(steps)) if steps else 1.2


def _same_row(one: PdfLine, other: PdfLine) -> bool:
    return abs(one.middle - other.middle) < 0.35 * max(one.size, other.size, 1.0)


def _shares_row(block: Sequence[PdfLine], page: Sequence[PdfLine]) -> bool:
    """Large or bold words beside others are cells of a table or a label, not a heading."""
    if len(block) > 1:
        return any(_same_row(one, other) for one, other in pairwise(block))
    (line,) = block
    return any(other is not line and _same_row(line, other) for other in page)


def _ends(lines: Sequence[PdfLine]) -> Sequence[PdfLine]:
    return [lines[0], lines[-1]] if len(lines) > 1 else lines


def _margin(line: PdfLine, height: float) -> Kind | None:
    if line.bottom <= MARGIN * height:
        return "header"
    return "footer" if line.top >= (1 - MARGIN) * height else None


def _signature(line: PdfLine) -> str:
    return DIGITS.sub("#", line.text)


def _mostly_letters(text: str) -> bool:
    dense = "".join(text.split())
    letters = sum(map(str.isalpha, dense))
    return letters >= 3 and letters >= 0.5 * len(dense)
