"""PDF by pdfium: text with the place of every line, paragraphs and headings, notes and form values. Pictures of text
are left to `pdf_scans`."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from itertools import dropwhile, takewhile
from pathlib import Path
from typing import Any

from ingest.elements import Line, Omission, Page, Summary
from ingest.errors import Encrypted, LimitReached, Unreadable
from ingest.limits import Limits
from ingest.readers.assembly import PageAssembly
from ingest.readers.members import Members
from ingest.readers.ocr import Recognition, confidence_of
from ingest.readers.page_ranges import Omitted
from ingest.readers.pdf_annotations import annotation_lines
from ingest.readers.pdf_attachments import attached_pages
from ingest.readers.pdf_calls import CharacterCalls
from ingest.readers.pdf_damage import damage
from ingest.readers.pdf_layout import Block, Layout
from ingest.readers.pdf_lines import PdfLine, TextPage
from ingest.readers.pdf_pictures import LargePictures
from ingest.readers.pdf_scans import NO_REGIONS, Reading, Regions, add_readings, recognise, regions
from ingest.task import Task

# Pages read before the first is given out, so that body type and running heads are known by then.
PAGES_AHEAD = 8
NO_LETTERS = "the font does not say which letters its shapes are, and none were recognised"
ONLY_NOTES = "nothing is written on it but notes or values of form fields, which were read"
LONGEST_SIDE = 1e6
WITHOUT_MEANING = re.compile("[\ue000-\uf8ff\x00\ufffd]")
MOST_TITLE_BLOCKS, LONGEST_TITLE = 3, 300
# Titles that programs write when nobody gave one.
MEANINGLESS_TITLE = re.compile(
    r"^(untitled|title|document\d*|microsoft \w+ - .*|.*\.(docx?|pdf|indd|qxd|pptx?|xlsx?|tex))$", re.I
)


@dataclass(frozen=True)
class Scan:
    """A page as found: its lines, the notes and field values on it, and where text is to be recognised. `nameless`: its
    letters mean nothing, so that what is recognised stands in their place."""

    number: int
    width: float
    height: float
    lines: Sequence[PdfLine]
    annotations: Sequence[PdfLine]
    regions: Regions = NO_REGIONS
    nameless: bool = False


def read(path: Path, task: Task) -> Iterator[Page | Summary]:
    """Raises Encrypted, Unreadable, LimitReached. A page that cannot be loaded is an omission; the others go on."""
    with open_pdf(path, task.limits) as document:
        layout, omitted, recognition, calls = Layout(), Omitted(), Recognition(task), CharacterCalls()
        title, omissions = _title_of_metadata(document), list(damage(document, path))
        large_pictures = LargePictures(path)
        window: deque[Scan] = deque()
        total = len(document)

        def finish(scan: Scan, title: str | None) -> tuple[str | None, Page]:
            # Not when the page is scanned: a window of pages would be waited for together.
            resumed = scan.number <= task.first_page
            readings = () if resumed else _recognised(document, scan, recognition, omitted)
            return _finish(scan, layout, title, readings)

        for number in range(1, min(total, task.limits.pages) + 1):
            scan = _scan(document, number, calls, large_pictures, omitted)
            layout.observe(number, scan.lines, scan.height)
            window.append(scan)
            if len(window) > PAGES_AHEAD:
                title, page = finish(window.popleft(), title)
                yield page
        while window:
            title, page = finish(window.popleft(), title)
            yield page
        if total > task.limits.pages:
            # Not added one by one: a file may claim any number of pages.
            reason = f"the limit of {task.limits.pages:,} pages is reached"
            omissions.append(Omission(f"the pages after page {task.limits.pages:,}, up to {total:,}", reason))
        members = Members(path, task)
        yield from attached_pages(document, members)
        omissions += *omitted.omissions(), *recognition.omissions(), *members.omissions()
        yield Summary(title=title, pages_total=total + members.pages_total, omissions=tuple(omissions))


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


def _scan(document: Any, number: int, calls: CharacterCalls, large_pictures: LargePictures, omitted: Omitted) -> Scan:
    import pypdfium2

    try:
        page = document[number - 1]
        with closing(page):
            if not all(0 < length < LONGEST_SIDE for length in page.get_size()):
                raise pypdfium2.PdfiumError("it has no sensible size")
            text_page = TextPage(page, calls)
            with closing(text_page):
                lines, annotations = list(text_page.lines()), list(annotation_lines(page, text_page))
                nameless = bool(lines) and _meaningless("".join(line.text for line in lines))
                size = (text_page.width, text_page.height)
                wanted = regions(page, size, text_page.box, () if nameless else lines, large_pictures)
    except pypdfium2.PdfiumError as exc:
        omitted.add(number, f"this page is damaged ({exc})")
        return Scan(number, 1.0, 1.0, (), ())
    return Scan(number, *size, lines, annotations, wanted, nameless)


def _recognised(document: Any, scan: Scan, recognition: Recognition, omitted: Omitted) -> Sequence[Reading]:
    """What is recognised on the page; why nothing was, on a page that needs it, is said in `omitted`."""
    import pypdfium2

    lines = [*(() if scan.nameless else scan.lines), *scan.annotations]
    try:
        readings = recognise(document, scan.number, scan.regions, recognition, lines, omitted)
    except pypdfium2.PdfiumError as exc:
        omitted.add(scan.number, f"this page cannot be drawn ({exc})")
        return ()
    if scan.nameless and not readings:
        omitted.add(scan.number, NO_LETTERS)
    elif scan.annotations and not (scan.lines or readings or scan.regions.boxes):
        omitted.add(scan.number, ONLY_NOTES)
    return readings


def _meaningless(text: str) -> bool:
    """Mostly characters for private use or without any meaning: shapes that pdfium could not name."""
    return len(WITHOUT_MEANING.findall(text)) > 0.3 * len(text)


def _finish(scan: Scan, layout: Layout, title: str | None, readings: Sequence[Reading]) -> tuple[str | None, Page]:
    assembly = PageAssembly(scan.number, None, scan.width, scan.height)
    lines = () if scan.nameless and readings else scan.lines
    blocks = list(layout.blocks(scan.number, lines, scan.height))
    for block in blocks:
        _add(assembly, block)
    add_readings(assembly, readings)
    for line in scan.annotations:
        _add(assembly, Block("paragraph", (line,)))
    page = replace(assembly.page(), confidence=confidence_of([reading.found for reading in readings]))
    return title or _title_of(blocks), page


def _add(assembly: PageAssembly, block: Block) -> None:
    """A line of the page stays a line of the text, so that quotes can be marked line by line."""
    position, places = 0, []
    for line in block.lines:
        end = position + len(line.text)
        places.append(Line(position, end, line.left, line.top, line.right, line.bottom))
        position = end + 1
    header_length = places[block.header_rows - 1].end if block.header_rows else 0
    text = "\n".join(line.text for line in block.lines)
    assembly.add(block.kind, text, level=block.level, header_length=header_length, lines=places)


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
