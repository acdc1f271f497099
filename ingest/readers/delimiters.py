"""What parts the cells of a text table: delimiter, quote, escape; found by how well each makes a table of the text.

The score follows van den Burg, Nazábal and Sutton, "Wrangling messy CSV files by detecting row and type patterns"
(2019): rows of equal length count, and cells that look like something, such as a number or a word.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass

from ingest.readers.table_header import is_value

_DELIMITERS = (",", ";", "\t", "|")
_RARE_DELIMITERS = (":", "^", "~", "¦", "\x1f")
_LOOKED_AT = 80
_FAIR = 0.5
"""Of a score of 1; below it the usual delimiters have made no table, and the rare ones are tried."""
_RUNAWAY_LINES = 200
_DECLARED = re.compile(r"sep=(.)\n", re.IGNORECASE)  # Excel's own first line
_SPACES = re.compile(r" {2,}|\t+")


@dataclass(frozen=True)
class Dialect:
    """`delimiter` is empty where columns are aligned by spaces, or there is one column only; `aligned` tells which."""

    delimiter: str
    quote: str = '"'
    escape: str | None = None
    aligned: bool = False


def dialect_of(text: str) -> Dialect:
    """What parts the cells of `text`, by its declaration or by its first lines."""
    if declared := _DECLARED.match(text):
        return _quoting(text[declared.end() :], declared.group(1))
    sample = "\n".join(text.split("\n", _LOOKED_AT)[:_LOOKED_AT])
    for delimiters in (_DELIMITERS, _RARE_DELIMITERS):
        dialects = [_quoting(sample, delimiter) for delimiter in delimiters if delimiter in sample]
        scores = [_score(_delimited(sample, dialect)) for dialect in dialects]
        if scores and (best := max(scores)) >= (_FAIR, 0):
            return dialects[scores.index(best)]
    aligned = Dialect("", aligned=True)
    if _score(table_rows(sample, aligned)) >= (_FAIR, 0):
        return aligned
    return _fallback(sample)


def table_rows(text: str, dialect: Dialect) -> list[list[str]]:
    """The rows of cells, with an empty row for each blank line between them."""
    if declared := _DECLARED.match(text):
        text = text[declared.end() :]
    if dialect.aligned:
        return [_SPACES.split(line.strip()) for line in text.split("\n")]
    if not dialect.delimiter:
        return [[line] for line in text.split("\n")]
    rows = _delimited(text, dialect)
    if any(cell.count("\n") > _RUNAWAY_LINES for row in rows for cell in row):
        # A quote that nobody closed has swallowed rows: then quotes are letters like others.
        return _delimited(text, Dialect(dialect.delimiter, ""))
    return rows


def _delimited(text: str, dialect: Dialect) -> list[list[str]]:
    reader = csv.reader(
        io.StringIO(text, newline=""),
        delimiter=dialect.delimiter,
        quotechar=dialect.quote or None,
        quoting=csv.QUOTE_MINIMAL if dialect.quote else csv.QUOTE_NONE,
        escapechar=dialect.escape,
        doublequote=dialect.escape is None,
        skipinitialspace=True,
        strict=False,
    )
    return list(reader)


def _quoting(text: str, delimiter: str) -> Dialect:
    """Single quotes where they stand around cells, and no double ones do; a backslash where it stands before quotes."""
    edge = re.escape(delimiter)
    sample = text[:20_000]

    def around_cells(quote: str) -> int:
        return len(re.findall(rf"(?:^|{edge}) ?{quote}[^{quote}\n]*{quote}(?=$|{edge})", sample, re.MULTILINE))

    quote = "'" if around_cells("'") > 2 * around_cells('"') else '"'
    escapes = re.search(rf"\\{quote}(?!\s*(?:$|{edge}))", sample, re.MULTILINE) is not None
    doubled = re.search(rf"[^\\{edge}\n]{quote}{quote}", sample) is not None
    return Dialect(delimiter, quote, "\\" if escapes and not doubled else None)


def _score(rows: Sequence[Sequence[str]]) -> tuple[float, int]:
    """(how regular and how clean, from 0 to 1; columns of most rows). Lines without a delimiter, as above a header,
    count half."""
    widths = [len(row) for row in rows if any(cell.strip() for cell in row)]
    wide = [width for width in widths if width > 1]
    if not wide:
        return 0.0, 1
    usual = max(set(wide), key=lambda width: (wide.count(width), width))
    regular = wide.count(usual) / (len(wide) + (len(widths) - len(wide)) / 2)
    cells = [cell.strip() for row in rows if len(row) == usual for cell in row]
    clean = sum(map(_is_clean, cells)) / len(cells)
    return regular * clean, usual


def _is_clean(cell: str) -> bool:
    """Nothing, a value, or words; no other delimiter, and no half of a quotation."""
    return not cell or is_value(cell) or not (re.search(r"[;\t|]", cell) or cell.count('"') % 2)


def _fallback(sample: str) -> Dialect:
    """Ragged rows: the usual delimiter that stands there most often, if any does."""
    counts = [(sample.count(delimiter), delimiter) for delimiter in _DELIMITERS]
    most, delimiter = max(counts, key=lambda found: found[0])
    return _quoting(sample, delimiter) if most else Dialect("")
