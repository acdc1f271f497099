"""The order in which recognised lines are read: columns one after the other, rows of a table as rows.

A page is cut along white space: across, where a band of it runs over the full width, and down, where it parts columns
of running text. What cannot be cut is read row by row.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from ingest.readers.ocr import Block, RecognisedLine

# In multiples of the height of a line.
COLUMN_GAP = 0.25
PARAGRAPH_GAP = 0.9
HEADING_HEIGHT = 1.45
LONGEST_HEADING = 150
MOST_HEADING_ROWS = 3
# A column of running text: this many lines, and most of them filling most of its width.
COLUMN_ROWS = 4
COLUMN_FILL = 0.55
COLUMN_CHARACTERS = 12
LETTER = re.compile(r"[^\W\d_]")


@dataclass(frozen=True)
class Placed:
    """A line where it would stand if the picture were upright and straight."""

    line: RecognisedLine
    left: float
    top: float
    right: float
    bottom: float

    @property
    def height(self) -> float:
        return self.bottom - self.top

    @property
    def middle(self) -> float:
        return (self.top + self.bottom) / 2


Rows = list[list[Placed]]


def blocks(lines: Sequence[Placed]) -> tuple[Block, ...]:
    """Every line is in one block."""
    if not lines:
        return ()
    height = median(line.height for line in lines)
    return tuple(block for region in _regions(list(lines), height) for block in _blocks(_rows(region), height))


def _regions(lines: list[Placed], height: float) -> list[list[Placed]]:
    """Parts of the page in reading order, each without columns."""
    columns = _columns(lines, height)
    if columns:
        return [region for column in columns for region in _regions(column, height)]
    bands = _parts(lines, lambda line: (line.top, line.bottom), 0.0)
    # Bands are tried together from the top: the columns of one text go on over its paragraphs.
    regions: list[list[Placed]] = []
    at = 0
    while at < len(bands):
        end = _last_band_of_columns(bands, at, height)
        together = [line for band in bands[at:end] for line in band]
        if end - at > 1 or (len(bands) > 1 and _columns(together, height)):
            regions += _regions(together, height)
        elif regions and _plain(regions[-1], bands, at):
            regions[-1] += together
        else:
            regions.append(together)
        at = end
    return regions


def _plain(region: list[Placed], bands: list[list[Placed]], at: int) -> bool:
    """Whether `region` ends with the band before: then the two are one text."""
    return at > 0 and region[-1] in bands[at - 1]


def _last_band_of_columns(bands: list[list[Placed]], at: int, height: float) -> int:
    """The end of the longest run of bands from `at` that has columns; `at + 1` if none has."""
    if len(bands) > 200 or (at == 0 and len(bands) == 1):
        return at + 1
    end, together = at + 1, list(bands[at])
    for index in range(at + 1, len(bands)):
        together = together + bands[index]
        if _columns(together, height):
            end = index + 1
        elif end > at + 1:
            break
    return end


def _columns(lines: list[Placed], height: float) -> list[list[Placed]]:
    """The columns of running text, from the left; empty when there are none."""
    columns = _parts(lines, lambda line: (line.left, line.right), COLUMN_GAP * height)
    return columns if len(columns) > 1 and all(_is_text(column) for column in columns) else []


def _is_text(column: list[Placed]) -> bool:
    rows = _rows(column)
    width = max(line.right for line in column) - min(line.left for line in column)
    full = [row for row in rows if row[-1].right - row[0].left > COLUMN_FILL * width]
    words = median(sum(len(line.line.text) for line in row) for row in rows)
    return len(rows) >= COLUMN_ROWS and len(full) >= 0.5 * len(rows) and words >= COLUMN_CHARACTERS


def _parts(lines: list[Placed], extent: Callable[[Placed], tuple[float, float]], gap: float) -> list[list[Placed]]:
    """Lines parted where more than `gap` lies free between all that is before and all that is after."""
    parts: list[list[Placed]] = []
    reach = float("-inf")
    for line in sorted(lines, key=extent):
        start, end = extent(line)
        if not parts or start - reach > gap:
            parts.append([])
        parts[-1].append(line)
        reach = max(reach, end)
    return parts


def _rows(lines: Sequence[Placed]) -> Rows:
    """Lines at the same height are one row, from the left."""
    rows: Rows = []
    for line in sorted(lines, key=lambda line: line.middle):
        row = rows[-1] if rows else []
        if row and abs(line.middle - median(other.middle for other in row)) < 0.5 * min(line.height, row[0].height):
            row.append(line)
        else:
            rows.append([line])
    return [sorted(row, key=lambda line: line.left) for row in rows]


def _blocks(rows: Rows, height: float) -> list[Block]:
    gathered: list[Rows] = []
    for row in rows:
        if gathered and not _parted(gathered[-1][-1], row, height):
            gathered[-1].append(row)
        else:
            gathered.append([row])
    return [_block(group, height) for group in gathered]


def _parted(above: list[Placed], below: list[Placed], height: float) -> bool:
    gap = min(line.top for line in below) - max(line.bottom for line in above)
    return gap > PARAGRAPH_GAP * height or _large(above, height) != _large(below, height)


def _large(row: list[Placed], height: float) -> bool:
    return min(line.height for line in row) >= HEADING_HEIGHT * height


def _block(rows: Rows, height: float) -> Block:
    text = " ".join(line.line.text for row in rows for line in row)
    lines = tuple(tuple(line.line for line in row) for row in rows)
    large = all(_large(row, height) for row in rows) and len(rows) <= MOST_HEADING_ROWS
    if large and len(text) <= LONGEST_HEADING and len(LETTER.findall(text)) > len(text) / 2:
        return Block(lines, "heading", 1 if rows[0][0].height >= 2 * height else 2)
    return Block(lines)
