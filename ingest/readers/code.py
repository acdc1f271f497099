"""Source code, settings and the like: the text as it is, in blocks between blank lines."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from ingest.elements import Element, Page, Summary
from ingest.readers.assembly import clean
from ingest.readers.decoding import read_text
from ingest.task import Task

# A block goes on over a blank line that is followed by an indented one: a function stays in one piece.
BLOCK = re.compile(r"^[^\n]*\S[^\n]*(?:\n+(?:[ \t]+\S|[)\]}])[^\n]*|\n[^\n]*\S[^\n]*)*", re.MULTILINE)


def read(path: Path, task: Task) -> Iterator[Page | Summary]:
    text = clean(read_text(path, task.limits))
    yield Page(None, None, text, tuple(Element("code", match.start(), match.end()) for match in BLOCK.finditer(text)))
    yield Summary(None, 1)
