"""Spreadsheets (xlsx by openpyxl, xls by xlrd): a page for each sheet, its rows as one table, values as stored.

`unstructured` would read them too, but it rounds numbers to six digits and writes line breaks in cells as "\\n".
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from ingest.elements import Omission, Page, Summary
from ingest.errors import Encrypted, Unreadable
from ingest.formats import detect
from ingest.limits import Limits
from ingest.readers.assembly import PageAssembly, has_header, table_text
from ingest.readers.containers import check_container

Rows = list[list[str]]


def read(path: Path, limits: Limits) -> Iterator[Page | Summary]:
    """Formulas by their last value. Raises Encrypted, Unreadable, LimitReached."""
    if detect(path).name == "xlsx":
        check_container(path, limits)
        sheets = _new_sheets(path)
    else:
        sheets = _old_sheets(path)
    count = 0
    for name, rows in sheets:
        assembly = PageAssembly(None, name)
        _add(assembly, rows)
        if not assembly.empty:
            count += 1
            yield assembly.page()
    if not count:
        raise Unreadable(f"{path.name} holds no filled cell.")
    omissions = (Omission("charts and pictures", "only cells are read"),) if _has_drawings(path) else ()
    yield Summary(title=None, pages_total=count, omissions=omissions)


def _add(assembly: PageAssembly, rows: Rows) -> None:
    """Blocks of rows between empty rows; a row with one filled cell above a block is its caption, as people use it."""
    block: Rows = []
    for row in chain(rows, [[]]):
        if any(row):
            block.append(row)
            continue
        while block and sum(map(bool, block[0])) == 1:
            assembly.add("paragraph", next(filter(None, block.pop(0))))
        if block:
            block = _without_empty_columns(block)
            text, first_row = table_text(block)
            assembly.add("table", text, header_length=first_row if has_header(block) else 0)
        block = []


def _without_empty_columns(rows: Rows) -> Rows:
    width = max(map(len, rows))
    filled = [any(column < len(row) and row[column] for row in rows) for column in range(width)]
    return [[cell for cell, keep in zip(row, filled, strict=False) if keep] for row in rows]


def _new_sheets(path: Path) -> Iterator[tuple[str, Rows]]:
    import openpyxl

    with path.open("rb") as file:
        # Not "read only": that mode trusts the sheet's own word on its size, which may be wrong in either direction.
        book = openpyxl.load_workbook(file, data_only=True)
        for sheet in book.worksheets:
            yield sheet.title, [[_shown(cell.value, cell.number_format) for cell in row] for row in sheet.iter_rows()]
        for sheet in book.chartsheets:
            yield sheet.title, []


def _old_sheets(path: Path) -> Iterator[tuple[str, Rows]]:
    import xlrd

    try:
        book = xlrd.open_workbook(str(path))
    except (xlrd.XLRDError, xlrd.compdoc.CompDocError) as exc:
        if "encrypted" in str(exc).lower():
            raise Encrypted(f"{path.name} is protected with a password. Remove it to have the file read.") from exc
        raise Unreadable(f"{path.name} cannot be read as a spreadsheet ({exc}).") from exc
    for sheet in book.sheets():
        yield sheet.name, [[_old_value(cell, book.datemode) for cell in sheet.row(at)] for at in range(sheet.nrows)]


def _old_value(cell: Any, date_mode: int) -> str:
    import xlrd

    if cell.ctype == xlrd.XL_CELL_DATE:
        try:
            return _shown(xlrd.xldate_as_datetime(cell.value, date_mode), "")
        except (ValueError, OverflowError):
            return _shown(cell.value, "")
    if cell.ctype == xlrd.XL_CELL_ERROR:
        return str(xlrd.error_text_from_code.get(cell.value, ""))
    return _shown(bool(cell.value) if cell.ctype == xlrd.XL_CELL_BOOLEAN else cell.value, "")


def _shown(value: object, number_format: str) -> str:
    """As people would write it down: no ".0", no midnight, per cent where the cell shows per cent."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, int | float):
        percent = "%" in number_format
        # Fifteen digits are what a spreadsheet keeps; more would show the noise of binary fractions.
        text = f"{100 * value if percent else value:.15g}"
        return f"{text}%" if percent else text
    if isinstance(value, datetime.datetime):
        return str(value.date()) if value.time() == datetime.time() else value.isoformat(sep=" ")
    return " ".join(str(value).split())


def _has_drawings(path: Path) -> bool:
    import zipfile

    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as package:
        return any(_is_drawing(name) for name in package.namelist())


def _is_drawing(name: str) -> bool:
    places: Sequence[str] = ("xl/charts/", "xl/media/", "xl/drawings/drawing")
    return name.startswith(tuple(places))
