"""Plain text and anything like it: paragraphs between blank lines, the text itself untouched."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from ingest.elements import Element, Kind, Page, Summary
from ingest.readers.assembly import clean
from ingest.readers.decoding import read_text
from ingest.task import Task

BULLET = re.compile(r"\s*(?:[-*•·‣▪◦–]|\(?\d{1,3}[.)]|\(?[a-zA-Z][.)])\s+\S")
BLOCK = re.compile(r"(?:^[^\S\n]*\S[^\n]*(?:\n|\Z))+", re.MULTILINE)


def read(path: Path, task: Task) -> Iterator[Page | Summary]:
    text = clean(read_text(path, task.limits))
    yield Page(number=None, part=None, text=text, elements=tuple(blocks(text)))
    yield Summary(title=None, pages_total=1)


def blocks(text: str) -> Iterator[Element]:
    """Paragraphs, and list items where each line of a block begins with a bullet or a number."""
    for match in BLOCK.finditer(text):
        start, end = match.start(), match.start() + len(match.group().rstrip())
        lines = text[start:end].split("\n")
        if len(lines) > 1 and all(BULLET.match(line) for line in lines):
            yield from _line_by_line(start, lines)
        else:
            yield Element("list_item" if BULLET.match(lines[0]) else _kind(lines), start, end)


def _line_by_line(start: int, lines: list[str]) -> Iterator[Element]:
    for line in lines:
        yield Element("list_item", start, start + len(line.rstrip()))
        start += len(line) + 1


def _kind(lines: list[str]) -> Kind:
    # Columns held together by tabs or runs of spaces, line after line, are a table to a reader and to the chunker.
    columned = sum("\t" in line.strip() or "   " in line.strip() for line in lines)
    return "table" if len(lines) > 2 and columned == len(lines) else "paragraph"
