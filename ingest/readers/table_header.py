"""Which rows of a table name its columns: by how they differ from the rows below them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

Row = Sequence[str]

LOOKED_AT = 60
"""Rows that are looked at; a table of a hundred thousand says no more of its header than these."""
_MOST_HEADER_ROWS = 4
_MOST_COLUMNS = 1000
_LONGEST_NAME = 200
_MOSTLY = 0.7
_NUMBER = re.compile(r"[-+−(]?[\d.,'\s%‰€$£¥]*\d[\d.,'\s%‰€$£¥)]*(?:[eE][-+]?\d+)?")
_DATE = re.compile(r"\d{1,4}([-/.])\d{1,2}\1\d{1,4}(?:[ T]\d{1,2}:\d\d(?::\d\d(?:\.\d+)?)?)?|\d{1,2}:\d\d(?::\d\d)?")
_YEAR = re.compile(r"(?:1[89]|2[01])\d\d")
_UNIT = re.compile(r"[(\[][^()\[\]]{1,14}[)\]]|[%‰€$£¥°]|[A-Z]{3}/[a-z]+")
_NOTHING = frozenset(("", "-", "–", "—", "n/a", "N/A"))


@dataclass(frozen=True)
class Header:
    """The first `rows` rows name the columns. `sure`: the rows below are of another kind, such as numbers below words;
    otherwise nothing but their being different speaks for it."""

    rows: int
    sure: bool = False


def header_of(rows: Sequence[Row]) -> Header:
    """For cells without white space around them; the rows may differ in length."""
    top = _even([row[:_MOST_COLUMNS] for row in rows[:LOOKED_AT]])
    above = 0
    while above < _MOST_HEADER_ROWS - 1 and _is_group_row(top, above):
        above += 1
    names, body = top[above : above + 1], top[above + 1 :]
    if body and _is_unit_row(body[0]) and len(body) > 1:
        names, body = top[above : above + 2], body[1:]
    if not body or not _can_be_names(names[0], body):
        return Header(0)
    columns = [[row[at] for row in body if row[at] not in _NOTHING] for at in range(len(names[0]))]
    sure = above > 0 or _contrasts(names[0], columns)
    if not sure and _is_like_the_body(names[0], columns):
        return Header(0)
    return Header(above + len(names), sure)


def joined_header(rows: Sequence[Row], most_characters: int) -> list[str]:
    """The header's rows as one: "League" above "Apps" becomes "League Apps". A name above several columns is said with
    each of them or, where that makes the header longer than `most_characters`, with the first."""
    *groups, last = _even(rows)
    filled = [_filled_right(group) for group in groups]
    names = _joined([*filled, last])
    if sum(map(len, names)) <= most_characters:
        return names
    return _joined([*([*row[:1], *_only_changes(row)] for row in filled), last])


def _joined(rows: Sequence[Row]) -> list[str]:
    return [" ".join(dict.fromkeys(part for part in parts if part)) for parts in zip(*rows, strict=True)]


def _only_changes(row: Row) -> list[str]:
    return ["" if name == before else name for before, name in pairwise(row)]


def is_value(text: str) -> bool:
    """A number, an amount, a date or a time."""
    return bool(_NUMBER.fullmatch(text) or _DATE.fullmatch(text))


def _even(rows: Sequence[Row]) -> list[Row]:
    width = max(map(len, rows), default=0)
    return [[*row, *[""] * (width - len(row))] for row in rows]


def _can_be_names(row: Row, body: Sequence[Row]) -> bool:
    filled = [cell for cell in row if cell]
    if len(filled) < 2 or 2 * len(filled) < len(row) or max(map(len, filled)) > _LONGEST_NAME:
        return False
    if 2 * len(set(filled)) < len(filled) or _is_pairs(row, body):
        return False
    numbered = [cell for cell in filled if is_value(cell)]
    if numbered and not _counts(numbered):
        return False
    if row in body:  # printed again on each page
        return True
    again = sum(any(other[at] == cell for other in body) for at, cell in enumerate(row) if cell)
    return 2 * again < len(filled)


def _counts(cells: Sequence[str]) -> bool:
    """Years, or numbers that go on by one, as they head columns: 2019 | 2020, or 1 | 2 | 3."""
    if not all(cell.isdecimal() for cell in cells):
        return False
    if all(map(_YEAR.fullmatch, cells)):
        return len(cells) == 1 or len(set(cells)) > 1
    steps = {int(after) - int(before) for before, after in pairwise(cells)}
    return len(cells) >= 3 and steps in ({1}, {-1})


def _contrasts(names: Row, columns: Sequence[Sequence[str]]) -> bool:
    """Is there a column of values below a word, or of no years below a year?"""
    for name, column in zip(names, columns, strict=True):
        if not column or sum(map(is_value, column)) < _MOSTLY * len(column):
            continue
        if name and not is_value(name):
            return True
        if _YEAR.fullmatch(name) and sum(bool(_YEAR.fullmatch(cell)) for cell in column) < len(column) / 2:
            return True
    return False


def _is_like_the_body(names: Row, columns: Sequence[Sequence[str]]) -> bool:
    """Does a cell have digits among its letters, where nearly all below it have some, too ("12 Main Street")?"""
    return any(
        any(map(str.isdigit, name))
        and bool(column)
        and sum(any(map(str.isdigit, cell)) for cell in column) > _MOSTLY * len(column)
        for name, column in zip(names, columns, strict=True)
    )


def _is_pairs(row: Row, body: Sequence[Row]) -> bool:
    """Two columns, names and values of all kinds, as on a form: no row of it names the others."""
    pairs = [pair for pair in (row, *body) if any(pair)]
    if len(row) != 2 or len({pair[0] for pair in pairs}) < len(pairs):
        return False
    if 2 * sum(pair[0].endswith(":") for pair in pairs) > len(pairs):
        return True
    values = sum(is_value(pair[1]) for pair in body)
    return (1 - _MOSTLY) / 2 * len(body) < values < _MOSTLY * len(body) and len(body) > 2


def _is_group_row(rows: Sequence[Row], at: int) -> bool:
    """Does the row name groups of columns, and the row below it the columns of each?

    Under a group the lower row has names that differ. Elsewhere both say the same, or one of them nothing. Either there
    is such a place, or there are values below the names, or it might as well be data.
    """
    if at + 2 >= len(rows) or sum(map(bool, rows[at])) < 1:
        return False
    upper, lower, body = _filled_right(rows[at]), rows[at + 1], rows[at + 2 :]
    groups = _groups(upper)
    grouped = {column for group in groups for column in group}
    others = [column for column in range(len(upper)) if column not in grouped]
    if not groups or not all(_names_columns([lower[column] for column in group]) for group in groups):
        return False
    if any(upper[column] and lower[column] not in ("", upper[column]) for column in others):
        return False
    numbers = any(
        sum(is_value(row[column]) for row in body) >= _MOSTLY * sum(row[column] not in _NOTHING for row in body) > 0
        for column in grouped
    )
    return numbers or any(lower[column] for column in others)


def _groups(upper: Row) -> list[list[int]]:
    """Runs of two and more columns with the same name."""
    groups: list[list[int]] = []
    for column, name in enumerate(upper):
        if name and column and upper[column - 1] == name and groups:
            groups[-1].append(column)
        elif name:
            groups.append([column])
    return [group for group in groups if len(group) > 1]


def _names_columns(cells: Sequence[str]) -> bool:
    words = [cell for cell in cells if cell and not is_value(cell)]
    years = [cell for cell in cells if _YEAR.fullmatch(cell)]
    return len(words) + len(years) == len(cells) and len(set(cells)) > 1


def _filled_right(row: Row) -> list[str]:
    """A merged cell's text stands in its first cell only; here it stands in each."""
    filled: list[str] = []
    for cell in row:
        filled.append(cell or (filled[-1] if filled else ""))
    return filled


def _is_unit_row(row: Row) -> bool:
    filled = [cell for cell in row if cell]
    return bool(filled) and all(map(_UNIT.fullmatch, filled))
