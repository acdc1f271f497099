"""Pictures: the text that stands in them, and what their maker wrote about them. A page for each page of a TIFF.

Pictures seldom say truly how large they are on paper, so that a point is a pixel here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ingest.elements import Element, Page, Summary
from ingest.errors import LimitReached, Unreadable, Unsupported
from ingest.limits import Limits
from ingest.readers.assembly import PageAssembly, clean
from ingest.readers.images import DAMAGED, opened, plain
from ingest.readers.ocr import TOO_SLOW, Recognised, Recognition, add_recognised, confidence_of, scaled
from ingest.readers.page_ranges import Omitted
from ingest.readers.picture_words import Words, words_of
from ingest.task import Task

if TYPE_CHECKING:
    from PIL.Image import Image

# Frames of other formats are films or thumbnails: the first is the picture.
PAGED = "TIFF"
NO_TEXT = (
    "No text was recognised in {name} ({width:,} × {height:,} pixels). Describing what a picture shows needs a vision "
    "model, which is not part of this version."
)


def read(path: Path, task: Task) -> Iterator[Page | Summary]:
    """Raises Unreadable and LimitReached; Unsupported when no text is found, or none can be looked for."""
    omitted, limits = Omitted(), task.limits
    with opened(path, path.name, limits) as image:
        words, size, total = words_of(image), image.size, _frames(image, path.name)
        recognition = Recognition(task)
        empty = True
        for number in range(1, min(total, limits.pages) + 1):
            page = PageAssembly(number if total > 1 else None).page()
            if number > task.first_page:
                page = _page(image, number if total > 1 else None, path.name, recognition, limits, omitted)
            if number == 1:
                page = _captioned(page, words)
            empty = empty and not page.elements and not task.first_page
            yield page
    omitted.add_all(range(limits.pages + 1, total + 1), f"the limit of {limits.pages:,} pages is reached")
    if empty and not omitted.reasons:
        raise Unsupported(NO_TEXT.format(name=path.name, width=size[0], height=size[1]))
    if empty:
        raise Unsupported(f"{path.name} is a picture that was not read: {'; '.join(omitted.reasons)}.")
    yield Summary(title=words.title, pages_total=total, omissions=omitted.omissions())


def _frames(image: Image, name: str) -> int:
    try:
        return int(getattr(image, "n_frames", 1)) if image.format == PAGED else 1
    except DAMAGED as exc:
        raise Unreadable(f"{name} is damaged: its pages cannot be counted ({exc}).") from exc


def _page(
    image: Image, number: int | None, name: str, recognition: Recognition, limits: Limits, omitted: Omitted
) -> Page:
    """What stands on one page. In a file of several, one that cannot be read is omitted."""
    try:
        drawn = _drawn(image, number, name, limits)
    except (Unreadable, LimitReached) as exc:
        if number is None:
            raise
        omitted.add(number, str(exc))
        return PageAssembly(number).page()
    found = recognition.page(lambda: drawn)
    if isinstance(found, str):
        omitted.add(number or 1, found)
        found = Recognised()
    elif not found.complete:
        omitted.add(number or 1, TOO_SLOW.format(seconds=limits.ocr_page_s))
    assembly = PageAssembly(number, None, float(drawn.width), float(drawn.height))
    add_recognised(assembly, found, scaled(1.0))
    return replace(assembly.page(), confidence=confidence_of([found]))


def _drawn(image: Image, number: int | None, name: str, limits: Limits) -> Image:
    if number is not None:
        try:
            image.seek(number - 1)
        except DAMAGED as exc:
            raise Unreadable(f"this page is damaged ({exc})") from exc
    return plain(image, name, limits)


def _captioned(page: Page, words: Words) -> Page:
    """With what its maker wrote, after what stands in the picture."""
    for text in map(clean, words.texts):
        start = len(page.text) + 2 if page.text else 0
        joined = f"{page.text}\n\n{text}" if page.text else text
        page = replace(page, text=joined, elements=(*page.elements, Element("caption", start, start + len(text))))
    return page
