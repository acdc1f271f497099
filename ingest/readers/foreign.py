"""Old and foreign office files that only LibreOffice reads: Works, WordPerfect, Publisher, old Visio, and more."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ingest.elements import Page, Summary
from ingest.formats import detect
from ingest.readers.libreoffice import read_converted
from ingest.task import Task

# What each is turned into: texts keep their structure as docx, pages of a drawing their places as PDF.
TARGETS = {"old text": "docx", "old drawing": "pdf", "old spreadsheet": "xlsx"}


def read(path: Path, task: Task) -> Iterator[Page | Summary]:
    """Raises Unsupported without LibreOffice, Encrypted, LimitReached, Unreadable."""
    yield from read_converted(path, task, TARGETS[detect(path).name])
