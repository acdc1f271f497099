"""dBase tables (.dbf), as many programs of maps, statistics and old book-keeping still write them."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ingest.elements import Omission, Page, Summary
from ingest.errors import Unreadable
from ingest.readers.decoding import decode, read_bytes
from ingest.readers.grid import grid_pages
from ingest.task import Task

HEADER_BYTES, FIELD_BYTES = 32, 32
FIELDS_END = 0x0D
DELETED = b"*"
MEMO_TYPES = "MGPB"
# The header's mark of a code page; 0 says nothing.
CODE_PAGES = {
    **{0x01: "cp437", 0x02: "cp850", 0x03: "cp1252", 0x57: "cp1252", 0x04: "mac-roman", 0x64: "cp852", 0xC8: "cp1250"},
    **{0x65: "cp866", 0x26: "cp866", 0xC9: "cp1251", 0x4D: "gb18030", 0x7A: "gb18030", 0x4E: "cp949", 0x79: "cp949"},
    **{0x4F: "cp950", 0x78: "cp950", 0x13: "cp932", 0x7B: "cp932", 0x6A: "cp737", 0xCB: "cp1253", 0x6B: "cp857"},
    **{0xCA: "cp1254", 0x7D: "cp1255", 0x7E: "cp1256", 0x50: "cp874", 0x7C: "cp874", 0xCC: "cp1257"},
}


@dataclass(frozen=True)
class Field:
    name: bytes
    kind: str
    length: int


def read(path: Path, task: Task) -> Iterator[Page | Summary]:
    """One table: a row for each record that is not marked as deleted. Raises Unreadable, LimitReached."""
    content = read_bytes(path, task.limits)
    if len(content) < HEADER_BYTES:
        raise Unreadable(f"{path.name} is damaged: it is shorter than the header of a dBase file.")
    count, header, width = struct.unpack_from("<IHH", content, 4)
    fields = list(_fields(content[HEADER_BYTES:header]))
    if not fields or sum(field.length for field in fields) + 1 > width:
        raise Unreadable(f"{path.name} is damaged: its fields do not fit its records.")
    records = [content[at : at + width] for at in range(header, min(header + count * width, len(content)), width)]
    rows = [[field.name for field in fields], *(_cells(record, fields) for record in records if record[:1] != DELETED)]
    # All at once, since one record alone is too little to guess an encoding from.
    text = decode(b"\n".join(b"\t".join(cell.replace(b"\n", b" ") for cell in row) for row in rows), path.name,
                  CODE_PAGES.get(content[29]))  # fmt: skip
    count_of_pages = 0
    for page in grid_pages([_shown(line.split("\t"), fields) for line in text.split("\n")]):
        count_of_pages += 1
        yield page
    if not count_of_pages:
        raise Unreadable(f"{path.name} holds no text.")
    yield Summary(None, count_of_pages, tuple(_omissions(fields, count, len(records))))


def _fields(data: bytes) -> Iterator[Field]:
    for at in range(0, len(data) - FIELD_BYTES + 1, FIELD_BYTES):
        if data[at] == FIELDS_END:
            return
        name = data[at : at + 11].split(b"\x00", 1)[0]
        kind = chr(data[at + 11])
        # A field of characters may use the place of the decimals for a longer length.
        length = data[at + 16] + (data[at + 17] << 8 if kind == "C" else 0)
        yield Field(name, kind, length)


def _cells(record: bytes, fields: list[Field]) -> list[bytes]:
    cells = []
    at = 1
    for field in fields:
        raw = record[at : at + field.length]
        at += field.length
        cells.append(_number(raw) if field.kind in "IY" else raw.split(b"\x00", 1)[0].strip())
    return [b"" if field.kind in MEMO_TYPES else cell for field, cell in zip(fields, cells, strict=True)]


def _number(raw: bytes) -> bytes:
    """Binary integers, and amounts of money in ten-thousandths."""
    value = int.from_bytes(raw, "little", signed=True)
    return str(value if len(raw) == 4 else value / 10_000).encode()


def _shown(cells: list[str], fields: list[Field]) -> list[str]:
    shown = []
    for cell, field in zip(cells, fields, strict=False):
        is_date = field.kind == "D" and len(cell) == 8 and cell.isdigit()
        shown.append(f"{cell[:4]}-{cell[4:6]}-{cell[6:]}" if is_date else cell)
    return shown


def _omissions(fields: list[Field], declared: int, found: int) -> Iterator[Omission]:
    memos = sum(field.kind in MEMO_TYPES for field in fields)
    if memos:
        yield Omission(f"{memos} memo fields", "their text is in a second file (.dbt or .fpt)")
    if found < declared:
        yield Omission(f"{declared - found} of {declared} records", "the file ends before them")
