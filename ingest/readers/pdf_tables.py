"""Tables on a PDF page, found by how words stand above each other: cells parted by wide gaps, in columns that no cell
crosses. Text is never moved: rows and cells keep the order in which they were found. What is not clear stays lines.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import dropwhile, pairwise

from ingest.readers.assembly import CELL_BREAK
from ingest.readers.pdf_lines import PdfLine
from ingest.readers.pdf_rows import OVERLAP, Cell, Row, rows_of

# In multiples of the type size.
NARROWEST_GUTTER, FARTHEST_ROW = 0.4, 4.0
LEAST_ROWS, MOST_HEADER_ROWS, MOST_LONE_LINES = 3, 5, 3
MOST_LABELS, TYPICAL_STEP = 2, 1.5
# Shares of the rows: those that may cross a gutter, those whose cells must each have a column.
MAY_CROSS, MUST_FIT = 0.1, 0.8
MOST_WORDS_IN_CELL = 6


@dataclass(frozen=True)
class Table:
    """`count` of the lines given, from `start` on, as rows in the form of lines: "a | b | c"."""

    start: int
    count: int
    rows: tuple[PdfLine, ...]
    header_rows: int


Column = tuple[float, float]


def tables(lines: Sequence[PdfLine]) -> Iterator[Table]:
    """In the order of the lines, which are those of one page without its running heads."""
    rows = list(rows_of(lines))
    starts = [0]
    for row in rows:
        starts.append(starts[-1] + len(row.lines))
    end = 0
    for first, last in _runs(rows):
        columns = _columns(rows[first:last])
        if columns and _is_clear(rows[first:last], columns):
            first = _with_heads_above(rows, end, first, columns)
            yield _table(rows[first:last], columns, starts[first])
            end = last


def _runs(rows: Sequence[Row]) -> Iterator[tuple[int, int]]:
    """Stretches that begin and end with a row of several cells, with few lone lines between two of those."""
    first = last = None
    for at, row in enumerate(rows):
        if first is not None and last is not None and _parts(rows, first, last, at):
            yield first, last + 1
            first = last = None
        if row.in_columns:
            first, last = at if first is None else first, at
    if first is not None and last is not None:
        yield first, last + 1


def _parts(rows: Sequence[Row], first: int, last: int, at: int) -> bool:
    """Whether row `at` cannot be of the table that has gone from `first` to `last` so far."""
    previous, row = rows[at - 1].first, rows[at].first
    step = row.middle - previous.middle
    size = max(previous.size, row.size, 1.0)
    if not -OVERLAP * size < step < FARTHEST_ROW * size:
        return True
    if rows[at].in_columns:
        return False
    # A lone line is a label, which ends before the numbers, or a head above some of them.
    values = [cell.left for other in rows[first : last + 1] for cell in other.cells[1:]]
    labels = [other.cells[0].right for other in rows[first : last + 1]]
    crosses = row.left < min(labels) and row.right > max(values)
    return crosses or at - last > MOST_LONE_LINES


def _columns(rows: Sequence[Row]) -> list[Column]:
    """Between the gutters: bands from top to bottom that almost no cell of the body crosses. Heads may span columns."""
    body = [row for row in _body(rows) if row.in_columns]
    if len(body) < LEAST_ROWS - 1:
        return []
    edges = sorted(
        (edge, step) for row in body for cell in row.cells for edge, step in ((cell.left, 1), (cell.right, -1))
    )
    narrowest = NARROWEST_GUTTER * max(body[0].first.size, 1.0)
    columns: list[Column] = []
    crossing, left = 0, edges[0][0]
    for (edge, step), (following, _) in pairwise(edges):
        crossing += step
        if crossing <= MAY_CROSS * len(body) and following - edge > narrowest:
            columns.append((left, edge))
            left = following
    columns.append((left, edges[-1][0]))
    return _filled(columns, body)


def _filled(columns: Sequence[Column], rows: Sequence[Row]) -> list[Column]:
    """As wide as most of their cells. Where few cells reach, the ends of labels leave gaps that part nothing: columns
    without a cell go."""
    placed: list[list[Cell]] = [[] for _ in columns]
    for cell in (cell for row in rows for cell in row.cells):
        placed[_place(cell, columns)].append(cell)
    filled = []
    for cells in filter(None, placed):
        few = int(MAY_CROSS * len(cells))
        lefts, rights = sorted(cell.left for cell in cells), sorted(cell.right for cell in cells)
        filled.append((lefts[few], rights[-1 - few]))
    return filled if len(filled) > 1 else []


def _body(rows: Sequence[Row]) -> Sequence[Row]:
    """From the first row with a number beside its label; without any number, all."""
    return list(dropwhile(lambda row: not _has_values(row), rows)) or rows


def _has_values(row: Row) -> bool:
    return any(cell.is_value for cell in row.cells[1:]) or (len(row.cells) > 1 and row.cells[0].is_value)


def _is_clear(rows: Sequence[Row], columns: Sequence[Column]) -> bool:
    body = [row for row in _body(rows) if row.in_columns]
    fitting = [row for row in body if _fits(row, columns)]
    numeric = sum(map(_has_values, body)) >= 0.5 * len(body)
    enough = len(body) >= LEAST_ROWS or (len(body) == LEAST_ROWS - 1 and numeric and len(columns) > 2)
    if not enough or len(fitting) < MUST_FIT * len(body):
        return False
    others = [cell for row in body for cell in row.cells[1:]]
    # Columns of prose are no table.
    return numeric or sum(len(cell.text.split()) for cell in others) <= MOST_WORDS_IN_CELL * len(others)


def _fits(row: Row, columns: Sequence[Column]) -> bool:
    places = [_place(cell, columns) for cell in row.cells]
    return all(one < other for one, other in pairwise(places))


def _place(cell: Cell, columns: Sequence[Column]) -> int:
    """The column with which the cell shares most; the nearest where it shares none."""
    _, start, end = cell
    # As `max(range(len(columns)), key=…)`, in a third of its time.
    found, most = 0, -math.inf
    for at, (left, right) in enumerate(columns):
        shared = (end if end < right else right) - (start if start > left else left)
        if shared > most:
            found, most = at, shared
    return found


def _with_heads_above(rows: Sequence[Row], least: int, first: int, columns: Sequence[Column]) -> int:
    """Lines right above the columns of values are their heads. One of several lines is read to its end before the next
    column's begins, so that these lines go down and up again. A label or two may stand between heads and numbers."""
    below = rows[first].first
    highest = below.middle - MOST_HEADER_ROWS * TYPICAL_STEP * max(below.size, 1.0)
    found = first
    for at in reversed(range(least, first)):
        above = rows[at]
        left, right = above.cells[0].left, above.cells[-1].right
        if not highest < above.first.middle < below.middle or above.first.size > 1.2 * below.size:
            break
        centred_over = columns[1][0] - 5 * below.size < (left + right) / 2 < columns[-1][1] + below.size
        if centred_over and left > columns[0][0] + 4 * below.size:
            found = at
        elif found < first or first - at > MOST_LABELS or right > columns[1][0]:
            break
    return found


def _table(rows: Sequence[Row], columns: Sequence[Column], start: int) -> Table:
    count = _header_rows(rows, columns)
    heads = _stacked(rows[:count], columns)
    shown = tuple(_line_of(row, columns) for row in (*heads, *rows[count:]))
    return Table(start, sum(len(row.lines) for row in rows), shown, len(heads))


def _header_rows(rows: Sequence[Row], columns: Sequence[Column]) -> int:
    """The rows above the first number, less the lone labels right above it; 0 when they do not head several columns."""
    count = len(rows) - len(_body(rows))
    while count and len(rows[count - 1].cells) == 1 and _place(rows[count - 1].cells[0], columns) == 0:
        count -= 1
    if not count and not any(map(_has_values, rows)):
        count = int(rows[0].first.bold and not rows[1].first.bold)
    headed = {_place(cell, columns) for row in rows[:count] for cell in row.cells}
    return count if len(headed - {0}) > 1 or len(columns) == len(headed) else 0


def _stacked(rows: Sequence[Row], columns: Sequence[Column]) -> list[Row]:
    """Heads of several lines as one row, as long as that goes from left to right."""
    stacked: list[Row] = []
    for row in rows:
        if not stacked or _place(row.cells[0], columns) < _place(stacked[-1].cells[-1], columns):
            stacked.append(row)
            continue
        *before, last = stacked[-1].cells
        following, *after = row.cells
        if _place(last, columns) == _place(following, columns):
            left, right = min(last.left, following.left), max(last.right, following.right)
            joined = [Cell(f"{last.text} {following.text}", left, right)]
        else:
            joined = [last, following]
        stacked[-1] = Row((*stacked[-1].lines, *row.lines), (*before, *joined, *after))
    return stacked


def _line_of(row: Row, columns: Sequence[Column]) -> PdfLine:
    """With empty cells where the row has none, so that every number stays under its head."""
    texts = [cell.text for cell in row.cells]
    if len(texts) > 1 and _fits(row, columns):
        texts = [""] * len(columns)
        for cell in row.cells:
            texts[_place(cell, columns)] = cell.text
        while not texts[-1]:
            texts.pop()
    lines = row.lines
    return PdfLine(
        CELL_BREAK.join(texts).strip(" "),
        min(line.left for line in lines),
        min(line.top for line in lines),
        max(line.right for line in lines),
        max(line.bottom for line in lines),
        row.first.size,
        all(line.bold for line in lines),
    )
