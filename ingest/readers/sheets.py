"""Cells of workbooks as people would write them down, by the library that knows the kind of workbook."""

from __future__ import annotations

import datetime
import logging
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ingest.errors import Encrypted, Unreadable
from ingest.readers.grid import Rows

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Sheet:
    name: str
    rows: Rows
    comments: tuple[str, ...] = ()


def new_sheets(path: Path) -> Iterator[Sheet]:
    """xlsx. What openpyxl refuses (the strict variant, damaged styles, odd names of parts) calamine reads."""
    import openpyxl

    try:
        with path.open("rb") as file, warnings.catch_warnings():
            # It warns of extensions that it would lose on writing.
            warnings.simplefilter("ignore")
            # Not "read only": that mode trusts the sheet's own word on its size, which may be wrong either way.
            book = openpyxl.load_workbook(file, data_only=True)
    except Exception as exc:  # its errors on odd files are of every kind; calamine has the last word
        log.info("openpyxl gave up: %s", type(exc).__name__)
        yield from odd_sheets(path)
        return
    if not book.worksheets:
        yield from odd_sheets(path)
    for sheet in book.worksheets:
        rows = [[shown(cell.value, cell.number_format) for cell in row] for row in sheet.iter_rows()]
        yield Sheet(sheet.title, rows, tuple(_comments(sheet)))
    for chart in book.chartsheets:
        yield Sheet(chart.title, [])


def _comments(sheet: Any) -> Iterator[str]:
    for row in sheet.iter_rows():
        for cell in row:
            if cell.comment is not None and cell.comment.text and cell.comment.text.strip():
                yield f"Comment on {cell.coordinate}: {' '.join(cell.comment.text.split())}"


def odd_sheets(path: Path) -> Iterator[Sheet]:
    """Any workbook by its values alone. Raises Encrypted, Unreadable."""
    import python_calamine

    try:
        book = python_calamine.CalamineWorkbook.from_path(str(path))
    except python_calamine.PasswordError as exc:
        raise Encrypted(f"{path.name} is protected with a password. Remove it to have the file read.") from exc
    except BaseException as exc:
        # What it has not thought of is a "panic", which is no Exception.
        if not isinstance(exc, Exception) and type(exc).__name__ != "PanicException":
            raise
        raise Unreadable(f"{path.name} is damaged: it cannot be read as a spreadsheet ({exc}).") from exc
    for name in book.sheet_names:
        try:
            rows = book.get_sheet_by_name(name).to_python(skip_empty_area=False)
        except python_calamine.CalamineError as exc:
            log.info("a sheet holds no cells: %s", exc)
            continue
        yield Sheet(name, [[shown(value if value != "" else None, "") for value in row] for row in rows])


def old_sheets(path: Path) -> Iterator[Sheet]:
    """xls of all ages. Raises Encrypted, Unreadable."""
    import xlrd

    try:
        # What it has to say of odd files goes nowhere.
        book = xlrd.open_workbook(str(path), logfile=_Nowhere())
    except (xlrd.XLRDError, xlrd.compdoc.CompDocError) as exc:
        if "encrypted" in str(exc).lower():
            raise Encrypted(f"{path.name} is protected with a password. Remove it to have the file read.") from exc
        yield from odd_sheets(path)
        return
    except Exception as exc:  # on damaged files it raises errors of every kind
        log.info("xlrd gave up: %s", type(exc).__name__)
        yield from odd_sheets(path)
        return
    for sheet in book.sheets():
        rows = [[_old_value(cell, book.datemode) for cell in sheet.row(at)] for at in range(sheet.nrows)]
        notes = (
            f"Comment: {' '.join(note.text.split())}" for note in sheet.cell_note_map.values() if note.text.strip()
        )
        yield Sheet(sheet.name, rows, tuple(notes))


class _Nowhere:
    def write(self, text: str) -> int:
        return len(text)

    def flush(self) -> None:
        return None


def _old_value(cell: Any, date_mode: int) -> str:
    import xlrd

    if cell.ctype == xlrd.XL_CELL_DATE:
        try:
            return shown(xlrd.xldate_as_datetime(cell.value, date_mode), "")
        except (ValueError, OverflowError):
            return shown(cell.value, "")
    if cell.ctype == xlrd.XL_CELL_ERROR:
        return str(xlrd.error_text_from_code.get(cell.value, ""))
    return shown(bool(cell.value) if cell.ctype == xlrd.XL_CELL_BOOLEAN else cell.value, "")


def shown(value: object, number_format: str) -> str:
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
