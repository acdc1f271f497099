"""Old Word files (.doc): read here when they are sound, else by LibreOffice."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from pathlib import Path

from ingest.elements import Omission, Page, Summary
from ingest.errors import Encrypted, Unreadable
from ingest.readers import ole_file
from ingest.readers.assembly import PageAssembly
from ingest.readers.embedded_pictures import pictures_left_out
from ingest.readers.grid import Rows, add_grid
from ingest.readers.libreoffice import program, read_converted
from ingest.readers.word_binary_file import Locked, Properties, WordBinary
from ingest.task import Task

log = logging.getLogger(__name__)

RIGHTS_MANAGED = "\x09DRMContent"
STREAMS = ("WordDocument", "0Table", "1Table")
# In the order of the counts: what follows the text, and whether it is running text (headers) or content.
TEXT, FOOTNOTES, HEADERS, COMMENTS, ENDNOTES, BOXES, HEADER_BOXES = 0, 1, 2, 4, 5, 6, 7
PICTURE = "\x01"
# Marks of line ends and hyphens as such; marks of cells, pages, notes, pictures and fields as nothing.
SIGNS = str.maketrans({"\x0b": "\n", "\x0e": "\n", "\x1e": "-"}) | dict.fromkeys(
    map(ord, "\x01\x02\x03\x04\x05\x07\x08\x0c\r\x13\x14\x15\x1f")
)


def read(path: Path, task: Task) -> Iterator[Page | Summary]:
    """One page: the file does not say where its pages end. Raises Encrypted, Unreadable, Unsupported."""
    try:
        document = _opened(path)
        assembly = PageAssembly()
        title = _fill(assembly, document)
    except Locked as exc:
        raise Encrypted(
            f"{path.name} is protected with a password or by rights management. Remove it to have the file read."
        ) from exc
    except MemoryError:
        raise
    except Exception as exc:  # Word 2 and older, or a damaged one: LibreOffice mends more than we do
        log.info("a Word file goes to LibreOffice: %s", type(exc).__name__)
        yield from read_converted(path, task, "docx")
        return
    if assembly.empty and program() is not None:
        # It may hold nothing but pictures, and their text is recognised once they lie in a newer format.
        yield from read_converted(path, task, "docx")
        return
    if assembly.empty:
        raise Unreadable(f"{path.name} holds no text.")
    yield assembly.page()
    yield Summary(title, 1, _omissions(document))


def _omissions(document: WordBinary) -> tuple[Omission, ...]:
    length = sum(max(0, count) for count in document.counts())
    pictures = sum(PICTURE in _visible(text) for text, _ in document.paragraphs(0, length))
    return pictures_left_out(pictures)


def _opened(path: Path) -> WordBinary:
    with path.open("rb") as file:
        if file.read(4) != b"\xd0\xcf\x11\xe0":
            file.seek(0)
            return WordBinary(file.read(), {})
    with ole_file.opened(path) as ole:
        if ole.exists(RIGHTS_MANAGED):
            raise Locked
        streams = {name: ole.openstream(name).read() for name in STREAMS if ole.exists(name)}
    return WordBinary(streams.get("WordDocument", b""), streams)


def _fill(assembly: PageAssembly, document: WordBinary) -> str | None:
    counts = [max(0, count) for count in document.counts()]
    starts = [sum(counts[:index]) for index in range(len(counts))]
    ranges = [(start, start + count) for start, count in zip(starts, counts, strict=True)]
    _running(assembly, document, ranges[HEADERS])
    title = _flow(assembly, document, ranges[TEXT])
    for place in (FOOTNOTES, ENDNOTES, COMMENTS, BOXES, HEADER_BOXES):
        _flow(assembly, document, ranges[place])
    return title


def _running(assembly: PageAssembly, document: WordBinary, place: tuple[int, int]) -> None:
    told: set[str] = set()
    for is_footer, first, last in document.running_texts(*place):
        text = "\n".join(filter(None, (_shown(text).strip() for text, _ in document.paragraphs(first, last))))
        if text not in told:
            told.add(text)
            assembly.add("footer" if is_footer else "header", text)


def _flow(assembly: PageAssembly, document: WordBinary, place: tuple[int, int]) -> str | None:
    """Paragraphs and tables in order; the title or first heading comes back."""
    headings: list[str] = []
    rows: Rows = []
    cells: list[str] = []
    cell: list[str] = []
    open_field = ""
    for text, properties in document.paragraphs(*place):
        # A field may reach over several paragraphs (a table of contents): its instruction stays open till then.
        shown = _shown(open_field + text)
        open_field = _open_fields(open_field + text)
        if properties.in_table or text.endswith("\x07"):
            if properties.row_end or (text == "\x07" and not document.modern and not cell):
                rows.append(cells)
                cells, cell = [], []
            elif text.endswith("\x07"):
                cells.append(" ".join([*cell, " ".join(shown.split())]).strip())
                cell = []
            else:
                cell.append(" ".join(shown.split()))
            continue
        rows, cells, cell = _table_ended(assembly, rows, cells, cell)
        headings += _paragraph(assembly, document, shown, properties)
    _table_ended(assembly, rows, cells, cell)
    return headings[0] if headings else None


def _table_ended(
    assembly: PageAssembly, rows: Rows, cells: list[str], cell: list[str]
) -> tuple[Rows, list[str], list[str]]:
    rest = [*cells, " ".join(cell)] if any(cell) else cells
    add_grid(assembly, [*rows, rest] if any(rest) else rows)
    return [], [], []


def _paragraph(assembly: PageAssembly, document: WordBinary, text: str, properties: Properties) -> list[str]:
    text = text.strip()
    level = document.levels.get(properties.style)
    if level is None and properties.outline < 9:
        level = min(6, properties.outline + 1)
    if level == 0:
        assembly.add("title", text)
    elif level:
        assembly.add("heading", text, level=level)
    else:
        assembly.add("list_item" if properties.listed else "paragraph", text)
        return []
    return [" ".join(text.split())] if text else []


# A field: its instruction, then maybe its result. What people see is the result.
FIELD = re.compile("\x13[^\x13\x14\x15]*(?:\x14([^\x13\x15]*))?\x15")
INSTRUCTION = re.compile("\x13[^\x13\x14\x15]*\x14")
UNFINISHED = re.compile("\x13[^\x13\x14\x15]*$")


def _shown(text: str) -> str:
    return _visible(text).translate(SIGNS)


def _visible(text: str) -> str:
    """Without the instructions of fields; a field may lie in the result of another."""
    while True:
        without = FIELD.sub(lambda match: match.group(1) or "", text)
        if without == text:
            break
        text = without
    return UNFINISHED.sub("", INSTRUCTION.sub("", text))


def _open_fields(text: str) -> str:
    """The start of an instruction that the paragraph leaves unfinished."""
    match = UNFINISHED.search(text)
    return match.group().rstrip("\r\x07\x0c") + " " if match else ""
