"""Tables in text files (csv, tsv): one table of "a | b | c" rows."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

from ingest.elements import Page, Summary
from ingest.errors import Unreadable
from ingest.limits import Limits
from ingest.readers.assembly import PageAssembly, has_header, table_text
from ingest.readers.decoding import read_text

DELIMITERS = ",;\t|"
LOOKED_AT = 50


def read(path: Path, limits: Limits) -> Iterator[Page | Summary]:
    text = read_text(path, limits).replace("\x00", " ")
    # A cell may be as long as the file; csv's own limit is a setting of the whole process, which only this reader uses.
    csv.field_size_limit(limits.characters)
    rows = _rows(text, delimiter_of(text))
    if not rows:
        raise Unreadable(f"{path.name} holds no rows.")
    assembly = PageAssembly()
    table, first_row = table_text(rows)
    assembly.add("table", table, header_length=first_row if has_header(rows) else 0)
    yield assembly.page()
    yield Summary(title=None, pages_total=1)


def delimiter_of(text: str) -> str:
    """The delimiter that cuts the first rows into the most equal number of columns, more than one if possible."""
    sample = "\n".join(text.split("\n", LOOKED_AT)[:LOOKED_AT])
    return max(DELIMITERS, key=lambda delimiter: _regularity(_rows(sample, delimiter)))


def _regularity(rows: Sequence[Sequence[str]]) -> tuple[float, int]:
    widths = [len(row) for row in rows]
    usual = max(set(widths), key=widths.count, default=1)
    if usual < 2:
        # Ragged tables: any row with two columns is better than none.
        return (0.0, max(widths, default=0))
    return (widths.count(usual) / len(widths), usual)


def _rows(text: str, delimiter: str) -> list[list[str]]:
    lenient = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=False)
    return [row for row in lenient if any(cell.strip() for cell in row)]
