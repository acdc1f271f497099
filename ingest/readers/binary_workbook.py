"""Binary workbooks (.xlsb) as [MS-XLSB] describes them: records of sheets, shared texts and formats of cells.

calamine, which reads other odd workbooks, panics on common ones of these.
"""

from __future__ import annotations

import datetime
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from ingest.readers.grid import Rows
from ingest.readers.office_package import Package

ROW, BLANK, RK, ERROR, BOOLEAN, REAL, TEXT, SHARED = range(8)
RESULT_TEXT, RESULT_REAL, RESULT_BOOLEAN, RESULT_ERROR = 8, 9, 10, 11
SHARED_ITEM, FORMAT, CELL_FORMAT, CELL_FORMATS, CELL_FORMATS_END = 19, 44, 47, 617, 618
SHEET, WORKBOOK_PROPERTIES = 156, 153
DATE_FORMATS = {*range(14, 23), *range(27, 37), *range(45, 48), *range(50, 59)}
PERCENT_FORMATS = {9, 10}
ERRORS = {0: "#NULL!", 7: "#DIV/0!", 15: "#VALUE!", 23: "#REF!", 29: "#NAME?", 36: "#NUM!", 42: "#N/A"}
MOST_COLUMNS = 16_384
WIDEST_GAP = 100


@dataclass
class Formats:
    """By the number of a cell's format: whether it shows dates, or per cent."""

    dates: set[int]
    percents: set[int]
    since_1904: bool = False


def sheets(package: Package) -> Iterator[tuple[str, Rows]]:
    """Name and cells of each sheet, in the workbook's order. Raises Unreadable, struct.error on damaged records."""
    main = package.main_part() or "xl/workbook.bin"
    relations = package.relations(main)
    texts = [text for part in package.related(main, "sharedStrings") for text in _shared(package.content(part) or b"")]
    styles = next(package.related(main, "styles"), "")
    formats = _formats(package.content(styles) or b"")
    for kind, body in _records(package.content(main) or b""):
        if kind == WORKBOOK_PROPERTIES:
            formats.since_1904 = bool(body[0] & 1)
        elif kind == SHEET:
            # Betas of Excel 2007 put one more number before the relation.
            at = 8 if _text(body, 8)[0] in relations else 12
            relation, after = _text(body, at)
            name, _ = _text(body, after)
            part = relations.get(relation, ("", ""))[1]
            yield name, _rows(package.content(part) or b"", texts, formats)


def _records(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + 1 < len(data):
        kind = data[at]
        at += 1
        if kind & 0x80:
            kind = kind & 0x7F | (data[at] & 0x7F) << 7
            at += 1
        size = shift = 0
        while at < len(data):
            byte = data[at]
            at += 1
            size |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80 or shift > 21:
                break
        yield kind, data[at : at + size]
        at += size


def _text(data: bytes, at: int) -> tuple[str, int]:
    """A text with its length before it, and where it ends. A length of all ones means none."""
    (length,) = struct.unpack_from("<I", data, at)
    if length == 0xFFFFFFFF:
        return "", at + 4
    end = at + 4 + 2 * length
    return data[at + 4 : end].decode("utf-16-le", errors="replace"), end


def _shared(data: bytes) -> Iterator[str]:
    for kind, body in _records(data):
        if kind == SHARED_ITEM:
            yield _text(body, 1)[0]


def _formats(data: bytes) -> Formats:
    own: dict[int, str] = {}
    formats = Formats(set(), set())
    number, inside = 0, False
    for kind, body in _records(data):
        if kind == FORMAT:
            own[struct.unpack_from("<H", body)[0]] = _text(body, 2)[0]
        elif kind in (CELL_FORMATS, CELL_FORMATS_END):
            inside = kind == CELL_FORMATS
        elif kind == CELL_FORMAT and inside:
            (shown_as,) = struct.unpack_from("<H", body, 2)
            pattern = re.sub(r"\"[^\"]*\"|\[[^\]]*\]|\\.", "", own.get(shown_as, ""))
            if shown_as in DATE_FORMATS or re.search("[dmyhs]", pattern, re.IGNORECASE):
                formats.dates.add(number)
            if shown_as in PERCENT_FORMATS or "%" in pattern:
                formats.percents.add(number)
            number += 1
    return formats


def _rows(data: bytes, texts: list[str], formats: Formats) -> Rows:
    rows: Rows = []
    last = -1
    for kind, body in _records(data):
        if kind == ROW:
            (number,) = struct.unpack_from("<I", body)
            # An empty row parts tables; more of them say no more.
            rows.extend([[]] * min(WIDEST_GAP, max(0, number - last - 1)))
            rows.append([])
            last = number
        elif kind in range(RK, RESULT_ERROR + 1) and rows:
            (column,) = struct.unpack_from("<I", body)
            if column < MOST_COLUMNS:
                rows[-1].extend([""] * (column - len(rows[-1])))
                rows[-1].append(_shown(kind, body, texts, formats))
    return rows


def _shown(kind: int, body: bytes, texts: list[str], formats: Formats) -> str:
    if kind in (TEXT, RESULT_TEXT):
        return " ".join(_text(body, 8)[0].split())
    if kind == SHARED:
        (index,) = struct.unpack_from("<I", body, 8)
        return " ".join(texts[index].split()) if index < len(texts) else ""
    if kind in (BOOLEAN, RESULT_BOOLEAN):
        return "TRUE" if body[8] else "FALSE"
    if kind in (ERROR, RESULT_ERROR):
        return ERRORS.get(body[8], "")
    value = _packed(body) if kind == RK else struct.unpack_from("<d", body, 8)[0]
    return _number(value, int.from_bytes(body[4:7], "little"), formats)


def _packed(body: bytes) -> float:
    """A number in four bytes: an integer or the upper half of a float, maybe times a hundred."""
    (raw,) = struct.unpack_from("<i", body, 8)
    if raw & 2:
        value = float(raw >> 2)
    else:
        (value,) = struct.unpack("<d", b"\x00\x00\x00\x00" + struct.pack("<i", raw & ~3))
    return value / 100 if raw & 1 else value


def _number(value: float, cell_format: int, formats: Formats) -> str:
    from ingest.readers.sheets import shown

    if cell_format in formats.dates and 0 <= value < 2_958_466:
        first = datetime.datetime(1904, 1, 1) if formats.since_1904 else datetime.datetime(1899, 12, 30)
        return shown(first + datetime.timedelta(seconds=round(value * 86_400)), "")
    return shown(value, "%" if cell_format in formats.percents else "")
