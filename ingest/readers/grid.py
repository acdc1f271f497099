"""A grid of cells (a sheet, a CSV file) to tables with their headers, captions and notes.

People put more into a grid than one table: a title above it, a note below it, empty rows between the groups of one
table, a second table beside the first. What belongs together is found by which cells are filled, and by the header.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, zip_longest

from ingest.elements import Kind, Page
from ingest.readers.assembly import CELL_BREAK, PageAssembly
from ingest.readers.table_header import LOOKED_AT, Header, header_of, joined_header

Row = list[str]
Rows = list[Row]

PAGE_CHARACTERS = 200_000
"""A longer grid is cut into pages, each with the header; so no stage ever holds all of it."""
_MOST_CAPTIONS = 4
_WIDE_HEADER = 300
_PREAMBLE_WIDTH = 4
_NOTE_MARKS = ("*", "†", "‡", "§", "¹", "²")


@dataclass(frozen=True)
class _Told:
    """One element to be; `header` says that the first of its `lines` names the columns."""

    kind: Kind
    lines: list[str]
    header: bool = False


@dataclass
class _Table:
    """`columns` are those with anything in them. `sure`: it has a header without doubt."""

    rows: Rows
    columns: set[int]
    sure: bool = False
    pairs: bool = False


@dataclass
class _Block:
    """Rows without an empty one between them: captions above, notes below. `pairs`: names and values, no table."""

    captions: list[str] = field(default_factory=list)
    rows: Rows = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    pairs: bool = False


def add_grid(assembly: PageAssembly, rows: Rows) -> None:
    """Put everything that the grid says on the page, in reading order."""
    for told in _told(rows):
        _add(assembly, told.kind, told.lines, told.header)


def grid_pages(rows: Rows, number: int | None = None, part: str | None = None) -> Iterator[Page]:
    """As `add_grid`, for grids of any length: pages of `PAGE_CHARACTERS` or a little more. A table that goes on over a
    page has its header on each."""
    assembly = PageAssembly(number, part)
    for told in _told(rows):
        for lines in _page_fulls(told):
            if not assembly.empty and assembly.length + sum(map(len, lines)) > PAGE_CHARACTERS:
                yield assembly.page()
                assembly = PageAssembly(number, part)
            _add(assembly, told.kind, lines, told.header)
    if not assembly.empty:
        yield assembly.page()


def _add(assembly: PageAssembly, kind: Kind, lines: list[str], header: bool) -> None:
    assembly.add(kind, "\n".join(lines), header_length=len(lines[0]) if header else 0)


def _page_fulls(told: _Told) -> Iterator[list[str]]:
    head, lines = (told.lines[:1], told.lines[1:]) if told.header else ([], told.lines)
    full, length = list(head), 0
    for line in lines:
        if length > PAGE_CHARACTERS:
            yield full
            full, length = list(head), 0
        full.append(line)
        length += len(line) + 1
    yield full


def _told(rows: Rows) -> Iterator[_Told]:
    """Elements in reading order. A table is held back until it is clear that no more rows of it come."""
    table: _Table | None = None
    for block in _blocks(rows):
        if block.rows and table and _goes_on(table, block):
            table.rows += [*([""] * min(table.columns) + [caption] for caption in block.captions), *block.rows]
        else:
            yield from _tables(table)
            yield from (_Told("caption" if block.rows else "paragraph", [caption]) for caption in block.captions)
            table = _Table(block.rows, _columns(block.rows), pairs=block.pairs) if block.rows else None
        if block.notes:
            yield from _tables(table)
            yield from (_Told("paragraph", [note]) for note in block.notes)
            table = None
    yield from _tables(table)


def _blocks(rows: Rows) -> Iterator[_Block]:
    """Rows between empty rows. Lines of one cell above a block are its captions, also when an empty row comes between;
    below it they are notes."""
    waiting: list[str] = []
    block: Rows = []
    for row in chain(rows, [[]]):
        cells = [" ".join(cell.split()) for cell in row]
        if any(cells):
            block.append(cells)
            continue
        made = _block(block)
        block = []
        if not made.rows:
            waiting += made.captions
            continue
        if len(waiting) + len(made.captions) > _MOST_CAPTIONS:  # text, not a title
            yield _Block(waiting)
            waiting = []
        made.captions = [*waiting, *made.captions]
        waiting = []
        yield from _without_preamble(made)
    if waiting:
        yield _Block(waiting)


def _block(rows: Rows) -> _Block:
    first, last = 0, len(rows)
    while first < last and _is_single(rows[first]):
        first += 1
    while last > first and _is_single(rows[last - 1]) and _is_note(rows[last - 1][0], rows[first : last - 1]):
        last -= 1
    return _Block([_text(row) for row in rows[:first]], rows[first:last], [_text(row) for row in rows[last:]])


def _is_note(text: str, rows: Rows) -> bool:
    """A line that is marked as a note, or longer than every label above it; "Total" is a row."""
    return text.startswith(_NOTE_MARKS) or len(text) > max((len(row[0]) for row in rows), default=0)


def _without_preamble(block: _Block) -> Iterator[_Block]:
    """Pairs such as "Period | 2020" right above a wider table are a table of their own."""
    usual = max(len([cell for cell in row if cell]) for row in block.rows[:LOOKED_AT])
    first = 0
    while first < len(block.rows) and not any(block.rows[first][2:]) and all(block.rows[first][:2]):
        first += 1
    if 0 < first < len(block.rows) and usual >= _PREAMBLE_WIDTH:
        yield _Block(block.captions, block.rows[:first], pairs=True)
        yield _Block([], block.rows[first:], block.notes)
    else:
        yield block


def _goes_on(table: _Table, block: _Block) -> bool:
    """Are these more rows of the table, after an empty row? They have no header of their own, and no cell where the
    table has no column; and where a line stands above them, the table's header must be beyond doubt."""
    if table.pairs or block.pairs or not _columns(block.rows) <= table.columns or header_of(block.rows).sure:
        return False
    if not table.sure:
        header = header_of([*table.rows[:LOOKED_AT], *block.rows[:LOOKED_AT]])
        table.sure = header.sure
        return header.sure or (header.rows > 0 and not block.captions)
    return True


def _tables(table: _Table | None) -> Iterator[_Told]:
    if table is None:
        return
    for rows in _side_by_side(table):
        header = Header(0) if table.pairs else header_of(rows)
        if header.rows:
            rows = [joined_header(rows[: header.rows], _WIDE_HEADER), *rows[header.rows :]]
        lines = [_line(row) for row in rows]
        if header.rows and len(lines[0]) > _WIDE_HEADER:
            yield _Told("table", [_as_record(rows[0], row) for row in rows[1:]])
        else:
            yield _Told("table", lines, bool(header.rows))


def _line(row: Row) -> str:
    """ "a | b | c", without empty cells at the end."""
    last = len(row)
    while last and not row[last - 1]:
        last -= 1
    return CELL_BREAK.join(row[:last])


def _as_record(names: Row, row: Row) -> str:
    """A row of a table so wide that its header cannot be repeated: each cell says the name of its column."""
    cells = [(name, cell) for name, cell in zip_longest(names, row, fillvalue="") if cell]
    return CELL_BREAK.join(f"{name}: {cell}" if name else cell for name, cell in cells)


def _side_by_side(table: _Table) -> list[Rows]:
    """Tables that stand next to each other with an empty column between, each with a header and labels of its own:
    their headers say the same, or they are not equally long. Otherwise an empty column is an ornament."""
    groups: list[list[int]] = []
    for column in sorted(table.columns):
        if groups and groups[-1][-1] == column - 1:
            groups[-1].append(column)
        else:
            groups.append([column])
    if len(groups) > 1:
        sides = [[row for row in _only(table.rows, group) if any(row)] for group in groups]
        if all(map(_stands_alone, sides)):
            same_names = len({tuple(side[0]) for side in sides}) < len(sides)
            if same_names or len(set(map(len, sides))) > 1:
                return sides
    return [_only(table.rows, sorted(table.columns))]


def _only(rows: Rows, columns: list[int]) -> Rows:
    """Some columns of the rows, which need not be of one length."""
    return [[row[column] for column in columns[: bisect_left(columns, len(row))]] for row in rows]


def _stands_alone(rows: Rows) -> bool:
    header = header_of(rows)
    labels = [row[0] for row in rows[header.rows : LOOKED_AT] if row]
    return len(rows[0]) > 1 and header.rows > 0 and any(map(str.isalpha, "".join(labels)))


def _columns(rows: Rows) -> set[int]:
    return {column for row in rows for column, cell in enumerate(row) if cell}


def _is_single(row: Sequence[str]) -> bool:
    return sum(map(bool, row)) == 1


def _text(row: Sequence[str]) -> str:
    return next(filter(None, row))
