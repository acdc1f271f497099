"""Word and PowerPoint files by `unstructured`; the old doc and ppt through LibreOffice."""

from __future__ import annotations

import shutil
import struct
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from ingest.elements import Kind, Omission, Page, Summary
from ingest.errors import Encrypted, Unreadable, Unsupported
from ingest.formats import detect
from ingest.limits import Limits
from ingest.readers import slide_parts, word_parts
from ingest.readers.assembly import table_text
from ingest.readers.completeness import overlooked
from ingest.readers.containers import check_container
from ingest.readers.partitioned import OPTIONS, kind_of, pages, prepare_offline

Place = Callable[[Any], tuple[int | None, str | None]]


def read(path: Path, limits: Limits) -> Iterator[Page | Summary]:
    name = detect(path).name
    if name in ("docx", "pptx"):
        check_container(path, limits)
    prepare_offline()
    if name == "docx":
        yield from _read_word(path, limits)
    else:
        yield from {"pptx": _read_slides, "doc": _read_old_word, "ppt": _read_old_slides}[name](path)


def _read_word(path: Path, limits: Limits) -> Iterator[Page | Summary]:
    from unstructured.documents.elements import NarrativeText
    from unstructured.partition.docx import partition_docx

    from ingest.readers.pandoc import read_as

    try:
        elements = partition_docx(filename=str(path), **OPTIONS)
    except (KeyError, ValueError):
        # python-docx knows neither the strict variant nor templates nor files with macros; pandoc does.
        yield from read_as("docx", path, limits)
        return
    place = _carried() if any(element.metadata.page_number for element in elements) else _nowhere
    missed = overlooked(word_parts.paragraphs(path), (element.text for element in elements))
    yield from _told(path, [*elements, *(NarrativeText(text) for text in missed)], place)


def _read_slides(path: Path) -> Iterator[Page | Summary]:
    from pptx import Presentation
    from unstructured.partition.pptx import partition_pptx

    elements = partition_pptx(filename=str(path), include_slide_notes=True, **OPTIONS)
    slides = Presentation(str(path)).slides
    for number, slide in enumerate(slides, start=1):
        elements.extend(_missed_on_slide(number, slide, elements))
    elements.sort(key=lambda element: element.metadata.page_number)
    yield from _told(path, elements, _numbered, _slide_kind, total=len(slides))


def _missed_on_slide(number: int, slide: Any, elements: Sequence[Any]) -> Iterator[Any]:
    from unstructured.documents.elements import ElementMetadata, NarrativeText, Table

    read = [element.text for element in elements if element.metadata.page_number == number]
    for text in overlooked(slide_parts.paragraphs(slide), read):
        yield NarrativeText(text, metadata=ElementMetadata(page_number=number))
    for title, rows in slide_parts.charts(slide):
        if title.strip():
            yield NarrativeText(title, metadata=ElementMetadata(page_number=number))
        yield Table(table_text(rows)[0], metadata=ElementMetadata(page_number=number))


def _read_old_word(path: Path) -> Iterator[Page | Summary]:
    _need_libreoffice(path)
    from unstructured.partition.doc import partition_doc

    yield from _told(path, partition_doc(filename=str(path), **OPTIONS), _nowhere)


def _read_old_slides(path: Path) -> Iterator[Page | Summary]:
    _need_libreoffice(path)
    from unstructured.partition.ppt import partition_ppt

    elements = partition_ppt(filename=str(path), include_slide_notes=True, **OPTIONS)
    yield from _told(path, elements, _numbered, _slide_kind)


def _need_libreoffice(path: Path) -> None:
    if shutil.which("soffice") is None:
        raise Unsupported(
            f"{path.name} is in the old format of Microsoft Office: install LibreOffice (its program `soffice` must be "
            "on the PATH), or save the file in the new format."
        )
    # LibreOffice would ask for the password, and wait.
    if _locked(path):
        raise Encrypted(f"{path.name} is protected with a password. Remove the password to have it read.")


def _locked(path: Path) -> bool:
    from msoffcrypto import OfficeFile
    from msoffcrypto.exceptions import FileFormatError

    with path.open("rb") as file:
        try:
            return bool(OfficeFile(file).is_encrypted())
        except (FileFormatError, struct.error, OSError):
            return False  # too old or too odd for it; LibreOffice may know better


def _told(
    path: Path,
    elements: Sequence[Any],
    place: Place,
    classify: Callable[[Any], tuple[Kind, int]] = kind_of,
    omissions: tuple[Omission, ...] = (),
    total: int | None = None,
) -> Iterator[Page | Summary]:
    count = 0
    title: str | None = None
    for page in pages((element for element in elements if element.text.strip()), place=place, classify=classify):
        count += 1
        headings = (element for element in page.elements if element.kind == "heading")
        title = title or next((page.text[element.start : element.end] for element in headings), None)
        yield page
    if not count:
        raise Unreadable(f"{path.name} holds no text.")
    yield Summary(title=title, pages_total=total or count, omissions=omissions)


def _nowhere(_: Any) -> tuple[None, None]:
    return None, None


def _carried() -> Place:
    """Headers, footers and notes have no page of their own: they stay on the page that they follow."""
    current = 1

    def place(element: Any) -> tuple[int | None, str | None]:
        nonlocal current
        current = max(current, element.metadata.page_number or current)
        return current, None

    return place


def _numbered(element: Any) -> tuple[int | None, str | None]:
    return element.metadata.page_number, None


def _slide_kind(element: Any) -> tuple[Kind, int]:
    """Only the first paragraph of a slide's title shape is certain; other "titles" are guessed from short texts."""
    kind, level = kind_of(element)
    return ("paragraph", 0) if kind == "heading" and level > 1 else (kind, 2 if kind == "heading" else 0)
