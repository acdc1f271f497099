"""What is wrong with a PDF file that pdfium reads without a word."""

from __future__ import annotations

import mmap
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ingest.elements import Omission

REBUILT = "the file's table of contents is damaged; what could be found was read, and more may be missing"
PACKED_AS_PICTURE = "packed as pictures where text belongs (damaged, or made to exhaust its reader); left unread"
LONGEST_DICTIONARY = 2_000


def damage(document: Any, path: Path) -> Iterator[Omission]:
    import pypdfium2.raw as pdfium

    if not pdfium.FPDF_DocumentHasValidCrossReferenceTable(document):
        yield Omission("the file", REBUILT)
    streams = _misused_streams(path)
    if streams:
        yield Omission("1 stream" if streams == 1 else f"{streams} streams", PACKED_AS_PICTURE)


def _misused_streams(path: Path) -> int:
    """Streams in JBIG2, a packing that can grow a thousandfold and is for pictures only, that are no picture. Streams
    stand outside of all others, so that their dictionaries can be seen in the file as it lies."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return sum(
            b"/Image" not in dictionary
            for dictionary in (_dictionary(content, found.start()) for found in re.finditer(b"/JBIG2Decode", content))
        )


def _dictionary(content: mmap.mmap, at: int) -> bytes:
    """From the "obj" before to the "stream" after; what is too long for that is taken for a picture."""
    begin = content.rfind(b" obj", max(0, at - LONGEST_DICTIONARY), at)
    end = content.find(b"stream", at, at + LONGEST_DICTIONARY)
    return content[begin:end] if begin >= 0 and end >= 0 else b"/Image"
