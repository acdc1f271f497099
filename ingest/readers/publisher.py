"""Publisher files (.pub): the texts of all frames, from the stream in which the program keeps them.

LibreOffice reads them too, but loses frames; it is asked when the stream is missing or empty.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from pathlib import Path

from ingest.elements import Omission, Page, Summary
from ingest.readers import ole_file
from ingest.readers.assembly import PageAssembly
from ingest.readers.libreoffice import read_converted
from ingest.task import Task

STREAM = "Quill/QuillSub/CONTENTS"
# Twenty entries of a list of chunks: the kind after two bytes, then where the chunk lies.
LIST_START, ENTRY_BYTES, ENTRIES = 0x20, 24, 20
PROPERTIES = "Contents"
# Sentences among the properties of frames: what a form answers, what describes a picture. Names have fewer words.
SENTENCE = re.compile(rb"(?:[\x20-\x7e\xa0-\xff]\x00){12,}")
FEWEST_WORDS = 3
SIGNS = str.maketrans({"\x0b": "\n", "\x0c": "\r", "\x07": " ", "\x0e": "\n"})


def read(path: Path, task: Task) -> Iterator[Page | Summary]:
    """One page: the stream does not say which frame lies on which. Raises what the conversion raises."""
    assembly = PageAssembly()
    for text in _texts(path):
        for line in text.translate(SIGNS).split("\r"):
            assembly.add("paragraph", line.strip())
    if assembly.empty:
        yield from read_converted(path, task, "pdf")
        return
    yield assembly.page()
    yield Summary(None, 1, (Omission("pictures and layout", "of this format only the texts of frames are read"),))


def _texts(path: Path) -> Iterator[str]:
    with ole_file.opened(path) as ole:
        data = ole.openstream(STREAM).read() if ole.exists(STREAM) else b""
        properties = ole.openstream(PROPERTIES).read() if ole.exists(PROPERTIES) else b""
    yield from _chunks(data)
    said = (match.group().decode("utf-16-le") for match in SENTENCE.finditer(properties))
    yield from (text for text in dict.fromkeys(said) if len(text.split()) >= FEWEST_WORDS)


def _chunks(data: bytes) -> Iterator[str]:
    for index in range(ENTRIES):
        at = LIST_START + ENTRY_BYTES * index
        if at + ENTRY_BYTES > len(data):
            return
        kind = data[at + 2 : at + 6]
        start, length = struct.unpack_from("<II", data, at + 16)
        if kind == b"TEXT" and start + length <= len(data):
            yield data[start : start + length].decode("utf-16-le", errors="replace")
