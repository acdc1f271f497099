"""PDF by pdfium: text with the place of every line, paragraphs and headings, notes and form values; no OCR."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import dropwhile, takewhile
from pathlib import Path
from typing import Any

from ingest.elements import Line, Omission, Page, Summary
from ingest.errors import Encrypted, LimitReached, Unreadable
from ingest.limits import Limits
from ingest.readers.assembly import PageAssembly
from ingest.readers.page_ranges import page_ranges
from ingest.readers.pdf_annotations import annotation_lines
from ingest.readers.pdf_layout import Block, Layout
from ingest.readers.pdf_lines import PdfLine, TextPage

# Pages read before the first is given out, so that body type and running heads are known by then.
PAGES_AHEAD = 8
NO_TEXT = "no text layer (scanned?); OCR is not part of this version"
NO_LETTERS = "the font does not say which letters its shapes are; OCR is not part of this version"
LONGEST_SIDE = 1e6
MOST_TITLE_BLOCKS, LONGEST_TITLE = 3, 300
# Titles that programs write when nobody gave one.
MEANINGLESS_TITLE = re.compile(
    r"^(untitled|title|document\d*|microsoft \w+ - .*|.*\.(docx?|pdf|indd|qxd|pptx?|xlsx?|tex))$", re.I
)


@dataclass(frozen=True)
class Scan:
    """A page as found: its lines, and the notes and field values on it."""

    number: int
    width: float
    height: float
    lines: Sequence[PdfLine]
    annotations: Sequence[PdfLine]


class Omitted:
    """Pages that were not read, gathered by reason."""

    def __init__(self) -> None:
        self._numbers: dict[str, list[int]] = {}

    def add(self, number: int, reason: str) -> None:
        self._numbers.setdefault(reason, []).append(number)

    def omissions(self) -> tuple[Omission, ...]:
        return tuple(Omission(page_ranges(numbers, most=20), reason) for reason, numbers in self._numbers.items())


def read(path: Path, limits: Limits) -> Iterator[Page | Summary]:
    """Raises Encrypted, Unreadable, LimitReached. A page that cannot be loaded is an omission; the others go on."""
    with open_pdf(path, limits) as document:
        layout, omitted = Layout(), Omitted()
        title = _title_of_metadata(document)
        window: deque[Scan] = deque()
        total = len(document)
        for number in range(1, total + 1):
            if number > limits.pages:
                omitted.add(number, f"the limit of {limits.pages:,} pages is reached")
                continue
            scan = _scan(document, number, omitted)
            layout.observe(number, scan.lines, scan.height)
            window.append(scan)
            if len(window) > PAGES_AHEAD:
                title, page = _finish(window.popleft(), layout, title)
                yield page
        while window:
            title, page = _finish(window.popleft(), layout, title)
            yield page
        yield Summary(title=title, pages_total=total, omissions=omitted.omissions())


@contextmanager
def open_pdf(path: Path, limits: Limits) -> Iterator[Any]:
    """A `pypdfium2.PdfDocument`. Raises Encrypted, Unreadable or LimitReached."""
    import pypdfium2

    try:
        if path.stat().st_size > limits.file_bytes:
            raise LimitReached(f"{path.name} is larger than {limits.file_bytes:,} bytes, the limit for a file.")
        document = pypdfium2.PdfDocument(path)
    except OSError as exc:
        raise Unreadable(f"{path.name} cannot be opened ({exc.strerror}).") from exc
    except pypdfium2.PdfiumError as exc:
        raise _translated(path, exc) from exc
    with closing(document):
        if not len(document):
            raise Unreadable(f"{path.name} is damaged: no page can be found in it.")
        yield document


def _translated(path: Path, error: Exception) -> Encrypted | Unreadable:
    import pypdfium2.raw as pdfium

    code = getattr(error, "err_code", None)
    if code == pdfium.FPDF_ERR_PASSWORD:
        return Encrypted(f"{path.name} needs a password. Save a copy without one to have it read.")
    if code == pdfium.FPDF_ERR_SECURITY:
        return Encrypted(f"{path.name} is protected in a way that is not supported. Save a copy without protection.")
    return Unreadable(f"{path.name} is damaged, or not a PDF ({error}).")


def _scan(document: Any, number: int, omitted: Omitted) -> Scan:
    import pypdfium2

    try:
        page = document[number - 1]
        with closing(page):
            if not all(0 < length < LONGEST_SIDE for length in page.get_size()):
                raise pypdfium2.PdfiumError("it has no sensible size")
            text_page = TextPage(page)
            with closing(text_page):
                lines, annotations = list(text_page.lines()), list(annotation_lines(page, text_page))
    except pypdfium2.PdfiumError as exc:
        omitted.add(number, f"this page is damaged ({exc})")
        return Scan(number, 1.0, 1.0, (), ())
    if not lines and not annotations:
        omitted.add(number, NO_TEXT)
    elif lines and _meaningless("".join(line.text for line in lines)):
        omitted.add(number, NO_LETTERS)
    return Scan(number, text_page.width, text_page.height, lines, annotations)


def _meaningless(text: str) -> bool:
    """Mostly characters for private use or without any meaning: shapes that pdfium could not name."""
    unknown = sum("\ue000" <= character <= "\uf8ff" or character in "\x00\ufffd" for character in text)
    return unknown > 0.3 * len(text)


def _finish(scan: Scan, layout: Layout, title: str | None) -> tuple[str | None, Page]:
    assembly = PageAssembly(scan.number, None, scan.width, scan.height)
    blocks = list(layout.blocks(scan.number, scan.lines, scan.height))
    for block in blocks:
        _add(assembly, block)
    for line in scan.annotations:
        _add(assembly, Block("paragraph", (line,)))
    return title or _title_of(blocks), assembly.page()


def _add(assembly: PageAssembly, block: Block) -> None:
    """A line of the page stays a line of the text, so that quotes can be marked line by line."""
    position, places = 0, []
    for line in block.lines:
        end = position + len(line.text)
        places.append(Line(position, end, line.left, line.top, line.right, line.bottom))
        position = end + 1
    assembly.add(block.kind, "\n".join(line.text for line in block.lines), level=block.level, lines=places)


def _title_of(blocks: Sequence[Block]) -> str | None:
    """The first heading in type well above the body's, with what follows it in the same type: a title page has both
    the name of the firm and that of the document."""
    heads = list(dropwhile(lambda block: block.kind != "heading" or block.level > 2, blocks))
    heads = list(takewhile(lambda block: block.kind == "heading" and block.level == heads[0].level, heads))
    text = " ".join(line.text for block in heads[:MOST_TITLE_BLOCKS] for line in block.lines)
    return text[:LONGEST_TITLE] or None


def _title_of_metadata(document: Any) -> str | None:
    title = " ".join(document.get_metadata_value("Title").split())
    worded = sum(map(str.isalpha, title)) > len(title) / 2
    return title[:LONGEST_TITLE] if len(title) > 3 and worded and not MEANINGLESS_TITLE.match(title) else None
