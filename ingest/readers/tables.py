"""Tables in text files (csv, tsv, and whatever parts columns): tables of "a | b | c" rows."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from ingest.elements import Page, Summary
from ingest.errors import Unreadable
from ingest.readers.decoding import read_text
from ingest.readers.delimiters import dialect_of, table_rows
from ingest.readers.grid import grid_pages
from ingest.task import Task


def read(path: Path, task: Task) -> Iterator[Page | Summary]:
    text = read_text(path, task.limits).replace("\x00", " ")
    # A cell may be as long as the file; csv's own limit is a setting of the whole process, which only this reader uses.
    csv.field_size_limit(task.limits.characters)
    count = 0
    for page in grid_pages(table_rows(text, dialect_of(text))):
        count += 1
        yield page
    if not count:
        raise Unreadable(f"{path.name} holds no rows.")
    yield Summary(title=None, pages_total=count)
