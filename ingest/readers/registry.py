"""Which module reads which format; each is imported when the first such file comes."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

from ingest.elements import Page, Summary
from ingest.errors import Unsupported
from ingest.task import Task

READERS = {
    "pdf": "ingest.readers.pdf",
    "markdown": "ingest.readers.markdown",
    "plain": "ingest.readers.plain",
    "table": "ingest.readers.tables",
    "json": "ingest.readers.json_text",
    "xml": "ingest.readers.xml_text",
    "html": "ingest.readers.html",
    "message": "ingest.readers.email_message",
    "mailbox": "ingest.readers.mailbox",
    "outlook": "ingest.readers.outlook",
    "tnef": "ingest.readers.tnef",
    "signed": "ingest.readers.signed",
    "calendar": "ingest.readers.calendar_text",
    "archive": "ingest.readers.archive",
    "picture": "ingest.readers.picture",
    "spreadsheet": "ingest.readers.spreadsheet",
    "word": "ingest.readers.word",
    "slides": "ingest.readers.slides",
    "old word": "ingest.readers.word_binary",
    "old slides": "ingest.readers.slides_binary",
    "opendocument": "ingest.readers.opendocument",
    "rtf": "ingest.readers.rtf",
    "epub": "ingest.readers.epub",
    "xps": "ingest.readers.xps",
    "visio": "ingest.readers.visio",
    "hangul": "ingest.readers.hangul",
    "onenote": "ingest.readers.onenote",
    "compiled help": "ingest.readers.compiled_help",
    "iwork": "ingest.readers.iwork",
    "dbase": "ingest.readers.dbase",
    "publisher": "ingest.readers.publisher",
    "foreign": "ingest.readers.foreign",
    "marked": "ingest.readers.marked_text",
    "subtitles": "ingest.readers.subtitles",
    "code": "ingest.readers.code",
}
# Documents that pictures and other documents lie in.
ENCLOSING = frozenset({"word", "slides", "spreadsheet", "opendocument", "epub", "html", "visio"})
# What they make of a file never depends on the recognition of text: neither they nor what may follow them do any.
LETTERS_ONLY = frozenset(
    {"markdown", "plain", "table", "json", "xml", "calendar", "marked", "subtitles", "code", "dbase", "rtf", "xps"}
)
Read = Callable[[Path, Task], Iterator[Page | Summary]]


class Reader(Protocol):
    def read(self, path: Path, task: Task) -> Iterator[Page | Summary]:
        """Pages first, one Summary last. Raises `ingest.errors` kinds."""


@dataclass(frozen=True)
class Reading:
    """A reader with what is done around it."""

    read: Read


def reader_named(name: str) -> Reader:
    from ingest.readers.second_opinion import PARTITIONERS, read_with_second_opinion

    module = READERS.get(name)
    if module is None:
        raise Unsupported(f"There is no reader named {name!r}; there are {', '.join(READERS)}.")
    read: Read = importlib.import_module(module).read
    if name in PARTITIONERS:
        read = partial(read_with_second_opinion, name, read)
    if name in ENCLOSING:
        from ingest.readers.enclosed import read_with_enclosed

        read = partial(read_with_enclosed, read)
    return Reading(read)
