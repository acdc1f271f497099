"""Tables of HTML as rows of cells, and which tables are none but place blocks on a page."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ingest.readers.grid import Rows

LINE_ENDS = ("br", "p", "div", "li", "tr", "td", "th", "dt", "dd", "option", "h1", "h2", "h3", "h4", "h5", "h6")
MOST_SPANNED = 100


def is_layout(table: Any) -> bool:
    """One row or one column, a role that says so, headings inside, or most of its text in tables of its own."""
    if table.get("role") in ("presentation", "none"):
        return True
    rows = list(_own_rows(table))
    if len(rows) < 2 or max(len(list(_cells(row))) for row in rows) < 2:
        return True
    if next(table.iter("h1", "h2", "h3"), None) is not None:
        return True
    inner = [one for one in table.iterdescendants("table") if next(one.iterancestors("table")) is table]
    return 2 * sum(map(_length, inner)) > _length(table)


def rows_of(table: Any) -> Rows:
    """A cell over several columns or rows stands once; the places that it covers are empty."""
    rows: Rows = []
    covered: dict[int, int] = {}  # by column: how many rows below are still covered
    for row in _own_rows(table):
        cells: list[str] = []
        for cell in _cells(row):
            _cover(cells, covered)
            below = _span(cell, "rowspan") - 1
            for offset in range(_span(cell, "colspan")):
                cells.append("" if offset else cell_text(cell))
                if below:
                    covered[len(cells) - 1] = below
        _cover(cells, covered)
        rows.append(cells)
    return rows


def cell_text(cell: Any) -> str:
    """Words of different blocks stay apart, those of one word with inner markup stay together."""
    from lxml import etree

    pieces: list[str] = []
    for event, element in etree.iterwalk(cell, events=("start", "end")):
        edge = " " if element.tag in LINE_ENDS else ""
        if event == "start":
            pieces += (edge, element.text or "")
            pieces.append(f" {element.get('alt')} " if element.tag == "img" and element.get("alt") else "")
            if element.tag == "input" and element.get("type", "text").lower() not in ("hidden", "password"):
                pieces.append(f" {element.get('value') or ''} ")
        else:
            pieces += (edge, "" if element is cell else element.tail or "")
    return " ".join("".join(pieces).split())


def _cover(cells: list[str], covered: dict[int, int]) -> None:
    while covered.get(len(cells), 0):
        covered[len(cells)] -= 1
        cells.append("")


def _own_rows(table: Any) -> Iterator[Any]:
    for inner in table:
        if inner.tag == "tr":
            yield inner
        elif inner.tag in ("thead", "tbody", "tfoot"):
            yield from inner.iterchildren("tr")


def _cells(row: Any) -> Iterator[Any]:
    return iter(row.iterchildren("td", "th"))


def _length(element: Any) -> int:
    return sum(len(text.strip()) for text in element.itertext())


def _span(cell: Any, name: str) -> int:
    value = cell.get(name, "")
    return min(int(value), MOST_SPANNED) if value.isascii() and value.isdigit() and int(value) > 0 else 1
