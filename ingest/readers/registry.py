"""Which module reads which format; each is imported when the first such file comes."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from ingest.elements import Page, Summary
from ingest.errors import Unsupported
from ingest.limits import Limits

READERS = {
    "pdf": "ingest.readers.pdf",
    "markdown": "ingest.readers.markdown",
    "plain": "ingest.readers.plain",
    "table": "ingest.readers.tables",
    "json": "ingest.readers.json_text",
    "xml": "ingest.readers.xml_text",
    "html": "ingest.readers.html",
    "message": "ingest.readers.email_message",
    "outlook": "ingest.readers.outlook",
    "spreadsheet": "ingest.readers.spreadsheet",
    "office": "ingest.readers.office",
    "pandoc": "ingest.readers.pandoc",
}


class Reader(Protocol):
    def read(self, path: Path, limits: Limits) -> Iterator[Page | Summary]:
        """Pages first, one Summary last. Raises `ingest.errors` kinds."""


def reader_named(name: str) -> Reader:
    module = READERS.get(name)
    if module is None:
        raise Unsupported(f"There is no reader named {name!r}; there are {', '.join(READERS)}.")
    return importlib.import_module(module)
