"""Documents that lie in a document's package: workbooks and PDFs that people put into a text or on a slide.

Each is read by the reader of its own format. Not opened are the workbooks behind charts, whose values the charts show.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from ingest.elements import Omission, Page
from ingest.errors import IngestError, Unreadable
from ingest.readers.decoding import decode
from ingest.readers.members import Members
from ingest.readers.office_package import Package
from ingest.task import Task

ZIP_START, OLE_START = b"PK\x03\x04", b"\xd0\xcf\x11\xe0"
# OpenDocument keeps objects of other programs at the top of the package.
OPEN_DOCUMENT_OBJECT = re.compile(r"Object \d+")
CHART = re.compile(r"(^|/)charts/[^/]+\.xml$", re.IGNORECASE)
# Streams of an OLE object that are a file as it stands.
WHOLE_FILES = ("Package", "CONTENTS", "EmbeddedOdf")
NATIVE = "\x01Ole10Native"
# A file that was put in as a file, as opposed to a link to one.
NATIVE_FILE = 2
# Streams of the old office formats: the object is the document.
OLD_DOCUMENTS = ("WordDocument", "Workbook", "Book", "PowerPoint Document", "VisioDocument", "__properties_version1.0")
NO_DOCUMENT = "what is in it is an equation, a link, or an object that only its own program reads"


class EmbeddedDocuments:
    """Of one file, which need not be a package: then there are none."""

    def __init__(self, path: Path, task: Task) -> None:
        self._path, self._task = path, task
        self._members = Members(path, task)
        self._others = 0

    @property
    def pages_total(self) -> int:
        return self._members.pages_total

    def pages(self) -> Iterator[Page]:
        """The part of a page begins with the name of its document."""
        try:
            with self._path.open("rb") as file:
                packed = file.read(len(ZIP_START)) == ZIP_START
            package = Package(self._path, self._task) if packed else None
        except (IngestError, OSError):
            return  # the file's own reader says so
        if package is not None:
            with closing(package):
                yield from self._pages(package)

    def omissions(self) -> tuple[Omission, ...]:
        found = self._members.omissions()
        if self._others:
            found += (Omission(f"{self._others} embedded object{'s'[: self._others > 1]}", NO_DOCUMENT),)
        return found

    def _pages(self, package: Package) -> Iterator[Page]:
        behind_charts = set(_behind_charts(package))
        objects = [name for name in package.names() if OPEN_DOCUMENT_OBJECT.fullmatch(name)]
        for part in [*package.embedded(), *objects]:
            if part.casefold() in behind_charts or self._members.full:
                continue
            name = part.rpartition("/")[2]
            try:
                document = unwrapped(name, package.content(part) or b"")
            except Unreadable as exc:
                self._members.omit(name, exc)
                continue
            if document is None:
                self._others += 1
            else:
                yield from self._members.pages(document[0], [document[1]])


def _behind_charts(package: Package) -> Iterator[str]:
    for name in package.names():
        if CHART.search(name):
            yield from (target.casefold() for target in package.related(name, "package", "oleObject"))


def unwrapped(name: str, content: bytes) -> tuple[str, bytes] | None:
    """Name and bytes of the file that an OLE object wraps; any other content as it is. None for an object that holds no
    file. Raises Unreadable."""
    if not content.startswith(OLE_START):
        return name, content
    import olefile

    try:
        with olefile.OleFileIO(content) as ole:
            if ole.exists(NATIVE):
                return _native(ole.openstream(NATIVE).read())
            for stream in WHOLE_FILES:
                if ole.exists(stream):
                    return name.removesuffix(".bin"), ole.openstream(stream).read()
            return (name.removesuffix(".bin"), content) if any(map(ole.exists, OLD_DOCUMENTS)) else None
    except (OSError, IndexError) as exc:
        raise Unreadable(f"it is damaged: its container of streams cannot be read ({exc})") from exc


def _native(stream: bytes) -> tuple[str, bytes] | None:
    """Sizes, names and places of the file, then the file; see [MS-OLEDS] 2.3.6 and what Windows' Packager writes."""
    try:
        (kind,) = struct.unpack_from("<H", stream, 4)
        label_end = stream.index(b"\0", 6)
        source_end = stream.index(b"\0", label_end + 1)
        (place_length,) = struct.unpack_from("<I", stream, source_end + 5)
        at = source_end + 9 + place_length
        (length,) = struct.unpack_from("<I", stream, at)
    except (struct.error, ValueError):
        return None
    if kind != NATIVE_FILE or not length:
        return None
    label = decode(stream[6:label_end], "a name") if label_end > 6 else "embedded file"
    return label, stream[at + 4 : at + 4 + length]
