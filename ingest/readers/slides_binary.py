"""Old PowerPoint files (.ppt), from the records of their one stream as [MS-PPT] describes them, else by LibreOffice.

Macros and embedded objects are other streams and records, which are not opened.
"""

from __future__ import annotations

import logging
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ingest.elements import Kind, Page, Summary
from ingest.errors import Encrypted, Unreadable
from ingest.readers import ole_file
from ingest.readers.assembly import PageAssembly
from ingest.readers.libreoffice import program, read_converted
from ingest.task import Task

log = logging.getLogger(__name__)

DOCUMENT, SLIDE, NOTES, MASTER = 1000, 1006, 1008, 1016
SLIDE_LIST, PLACE, EDIT, PERSISTED, CRYPT = 4080, 1011, 4085, 6002, 12052
TEXT_KIND, WIDE, NARROW, OUTLINE_REFERENCE, NAMED = 3999, 4000, 4008, 3998, 4026
COMMENT, FOOTERS, SLIDE_ATOM = 12000, 4057, 1007
TITLE_KINDS, ITEM_KINDS = (0, 6), (1, 7, 8)
TITLE_LEVEL = 2
DEEPEST = 64


class NotSlides(Exception):
    """The stream is not what PowerPoint writes."""


@dataclass(frozen=True)
class Record:
    kind: int
    instance: int
    start: int
    end: int
    container: bool


@dataclass
class Slide:
    """`texts` are (kind of text, text) of the outline; `reference` leads to the slide's own record."""

    reference: int
    identity: int
    texts: list[tuple[int, str]] = field(default_factory=list)


def read(path: Path, task: Task) -> Iterator[Page | Summary]:
    """A page for each slide, with its notes and comments. Raises Encrypted, Unreadable, Unsupported."""
    try:
        pages, total, title = _pages(SlidesBinary(_stream(path, "PowerPoint Document"), _stream(path, "Current User")))
    except PermissionError as exc:
        raise Encrypted(f"{path.name} is protected with a password. Remove the password to have it read.") from exc
    except MemoryError:
        raise
    except Exception as exc:  # older than PowerPoint 97, or damaged: LibreOffice mends more than we do
        log.info("a PowerPoint file goes to LibreOffice: %s", type(exc).__name__)
        yield from read_converted(path, task, "pptx")
        return
    if not pages and program() is not None:
        # It may hold nothing but pictures, and their text is recognised once they lie in a newer format.
        yield from read_converted(path, task, "pptx")
        return
    if not pages:
        raise Unreadable(f"{path.name} holds no text on {total} slides.")
    yield from pages
    yield Summary(title, total)


def _stream(path: Path, name: str) -> bytes:
    with ole_file.opened(path) as ole:
        return ole.openstream(name).read() if ole.exists(name) else b""


def _pages(document: SlidesBinary) -> tuple[list[Page], int, str | None]:
    pages: list[Page] = []
    titles: list[str] = []
    slides = document.slides()
    for number, slide in enumerate(slides, start=1):
        assembly = PageAssembly(number)
        for kind, text in document.texts(slide):
            titles += _add(assembly, kind, text)
        for text in document.printed() if number == len(slides) else ():
            assembly.add("footer", " ".join(text.split()))
        if not assembly.empty:
            pages.append(assembly.page())
    return pages, len(slides), titles[0] if titles else None


def _add(assembly: PageAssembly, kind: int, text: str) -> list[str]:
    if kind in TITLE_KINDS:
        title = " ".join(text.split())
        assembly.add("heading", title, level=TITLE_LEVEL)
        return [title] if title else []
    item: Kind = "list_item" if kind in ITEM_KINDS else "paragraph"
    for line in text.split("\r"):
        assembly.add(item, line.replace("\x0b", "\n").strip())
    return []


class SlidesBinary:
    def __init__(self, stream: bytes, current_user: bytes) -> None:
        """Raises NotSlides, and PermissionError when the text is encrypted."""
        if not stream or len(current_user) < 20:
            raise NotSlides("a stream of PowerPoint is missing")
        self._stream = stream
        self._places, root = self._persisted(struct.unpack_from("<I", current_user, 16)[0])
        self._document = self._record(self._places.get(root, -1))
        if self._document is None or self._document.kind != DOCUMENT:
            raise NotSlides("no document record")
        self._notes = {slide.identity: slide for slide in self._listed(2)}

    def slides(self) -> list[Slide]:
        return list(self._listed(0))

    def texts(self, slide: Slide) -> Iterator[tuple[int, str]]:
        """(kind, text) of the outline, of the boxes on the slide, of its notes and comments."""
        yield from slide.texts
        record = self._record(self._places.get(slide.reference, -1))
        if record is None:
            return
        yield from self._drawn(record)
        notes = self._notes.get(self._notes_of(record))
        if notes is not None:
            yield from notes.texts
            own = self._record(self._places.get(notes.reference, -1))
            # A text of the kind "other" on notes is a number or a date.
            yield from ((kind, text) for kind, text in self._drawn(own) if kind in (2, *ITEM_KINDS)) if own else ()

    def printed(self) -> list[str]:
        """What masters print on every slide, each text once. Prompts ("Click to edit") cannot be told from it."""
        masters = (self._record(self._places.get(master.reference, -1)) for master in self._listed(1))
        texts = (text for master in masters if master for _, text in self._drawn(master))
        return [text for text in dict.fromkeys(texts) if len(text.strip()) > 1]

    def _persisted(self, offset: int) -> tuple[dict[int, int], int]:
        """Offsets of the records that the last edit and those before it have written, and the document's number."""
        places: dict[int, int] = {}
        root = -1
        seen: set[int] = set()
        while offset and offset not in seen:
            seen.add(offset)
            edit = self._record(offset)
            if edit is None or edit.kind != EDIT:
                raise NotSlides("no record of the last edit")
            (before, directory, number) = struct.unpack_from("<III", self._stream, edit.start + 8)
            if edit.end - edit.start >= 32:
                raise PermissionError("encrypted")
            root = number if root < 0 else root
            for key, value in self._directory(directory):
                places.setdefault(key, value)
            offset = before
        return places, root

    def _directory(self, offset: int) -> Iterator[tuple[int, int]]:
        record = self._record(offset)
        at, end = (record.start, record.end) if record and record.kind == PERSISTED else (0, 0)
        while at + 4 <= end:
            (head,) = struct.unpack_from("<I", self._stream, at)
            first, count = head & 0xFFFFF, head >> 20
            for index, value in enumerate(struct.unpack_from(f"<{count}I", self._stream, at + 4)):
                yield first + index, value
            at += 4 + 4 * count

    def _listed(self, instance: int) -> Iterator[Slide]:
        """The slides (0), masters (1) or notes (2) of the document with the texts of their outline."""
        assert self._document is not None
        slide: Slide | None = None
        kind = 4
        for listing in self._inside(self._document):
            if listing.kind != SLIDE_LIST or listing.instance != instance:
                continue
            for record in self._inside(listing):
                if record.kind == PLACE:
                    if slide is not None:
                        yield slide
                    reference, _, _, identity = struct.unpack_from("<IIiI", self._stream, record.start)
                    slide, kind = Slide(reference, identity), 4
                elif record.kind == TEXT_KIND:
                    (kind,) = struct.unpack_from("<I", self._stream, record.start)
                elif record.kind in (WIDE, NARROW) and slide is not None:
                    slide.texts.append((kind, self._text(record)))
        if slide is not None:
            yield slide

    def _drawn(self, record: Record, depth: int = 0) -> Iterator[tuple[int, str]]:
        """Texts in the boxes of a slide, in their order, and its comments."""
        kind = 4
        for inner in self._inside(record):
            if inner.kind == TEXT_KIND:
                (kind,) = struct.unpack_from("<I", self._stream, inner.start)
            elif inner.kind in (WIDE, NARROW):
                yield kind, self._text(inner)
            elif inner.kind == COMMENT:
                said = [self._text(one) for one in self._inside(inner) if one.kind == NAMED and one.instance < 2]
                yield 4, "Comment by " + ": ".join(said)
            elif inner.kind == FOOTERS:
                yield from ((4, self._text(one)) for one in self._inside(inner) if one.kind == NAMED)
            elif inner.container and depth < DEEPEST:
                yield from self._drawn(inner, depth + 1)

    def _notes_of(self, slide: Record) -> int:
        for inner in self._inside(slide):
            if inner.kind == SLIDE_ATOM and inner.end - inner.start >= 20:
                return int(struct.unpack_from("<I", self._stream, inner.start + 16)[0])
        return 0

    def _text(self, record: Record) -> str:
        raw = self._stream[record.start : record.end]
        return raw.decode("latin-1" if record.kind == NARROW else "utf-16-le", errors="replace")

    def _inside(self, record: Record) -> Iterator[Record]:
        at = record.start
        while at + 8 <= record.end:
            inner = self._record(at)
            if inner is None:
                return
            yield inner
            at = inner.end

    def _record(self, at: int) -> Record | None:
        if at < 0 or at + 8 > len(self._stream):
            return None
        head, kind, length = struct.unpack_from("<HHI", self._stream, at)
        end = min(len(self._stream), at + 8 + length)
        return Record(kind, head >> 4, at + 8, end, head & 0xF == 0xF)
