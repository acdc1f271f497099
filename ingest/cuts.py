"""Where an element that is too long for a chunk may be cut, and what a piece must repeat so that it can be understood.

Text is cut at sentences, code at lines, a table at rows. A row that is too long by itself is cut at cells; each piece
of it then repeats the row's first cell. Rows under a line of one cell ("Current assets") repeat that line.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ingest.elements import Element
from ingest.sentences import sentence_spans

TokenCount = Callable[[int, int], int]
"""How many tokens begin in `[start:end]` of the page's text."""

_CELL = re.compile(r" \| ")


@dataclass(frozen=True)
class Cut:
    """Characters `[start:end]` of a page's text; `label` is what a chunk that begins here repeats."""

    start: int
    end: int
    label: tuple[int, int] | None = None


def units(text: str, element: Element, count: TokenCount, *, most: int, most_label: int) -> list[Cut]:
    """The smallest slices worth keeping whole, in order: sentences, lines of code, rows and cells of tables. `most`:
    tokens of a row that is not cut; `most_label`: tokens of a label that is worth repeating."""
    if element.kind == "table":
        return list(_table_units(text, element, count, most, most_label))
    if element.kind == "code":
        return [Cut(start, end) for start, end in _lines(text, element)]
    spans = sentence_spans(text[element.start : element.end])
    return [Cut(element.start + start, element.start + end) for start, end in spans]


def joined(found: list[Cut], start: int, count: TokenCount, token_starts: list[int], most: int) -> Iterator[Cut]:
    """The units from `start` on, joined as far as `most` tokens go; only a longer one is cut between tokens."""
    first, last, label = start, start, None
    for unit in found:
        if count(first, unit.end) > most and last > first:
            yield Cut(first, last, label)
            first, label = unit.start, unit.label
        while count(first, unit.end) > most:
            # Several tokens may begin at one character; a piece is never empty.
            cut = max(first + 1, token_starts[bisect_left(token_starts, first) + most])
            yield Cut(first, cut, label)
            first = cut
        last = unit.end
    if first < last:
        yield Cut(first, last, label)


def _table_units(text: str, element: Element, count: TokenCount, most: int, most_label: int) -> Iterator[Cut]:
    def worth_repeating(span: tuple[int, int]) -> tuple[int, int] | None:
        return span if count(*span) <= most_label else None

    rows = _lines(text, element)
    is_row = [_CELL.search(text, start, end) is not None for start, end in rows]
    section = None
    for at, (start, end) in enumerate(rows):
        if not is_row[at] and start >= element.header_end and is_row[at + 1 : at + 2] == [True]:
            section = worth_repeating((start, end))
            yield Cut(start, end)
        elif count(start, end) <= most:
            yield Cut(start, end, section)
        else:
            cells = _cells(text, start, end)
            key = worth_repeating(cells[0]) if start >= element.header_end else None
            yield Cut(*cells[0], section)
            yield from (Cut(*cell, key) for cell in cells[1:])


def _cells(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """The cells of a row, each with the stroke behind it."""
    breaks = [match.end() for match in _CELL.finditer(text, start, end)]
    starts, ends = [start, *breaks], [*(after - 1 for after in breaks), end]
    return [cell for cell in zip(starts, ends, strict=True) if cell[0] < cell[1]]


def _lines(text: str, element: Element) -> list[tuple[int, int]]:
    lines, start = [], element.start
    for line in text[element.start : element.end].splitlines(keepends=True):
        lines.append((start, start + len(line.rstrip())))
        start += len(line)
    return [line for line in lines if line[0] < line[1]]
