"""What lies in documents (Office, OpenDocument, e-books, HTML) beside what their own reader finds: pictures with text,
and other documents.

A picture on a slide belongs to its slide. Other formats do not say on which page a picture lies, so that each becomes a
page of its own, behind the text, with the picture's name as its part. Embedded documents come last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from ingest.elements import Element, Omission, Page, Summary
from ingest.errors import LimitReached, Unreadable
from ingest.readers.assembly import PageAssembly
from ingest.readers.embedded_documents import EmbeddedDocuments
from ingest.readers.embedded_pictures import Embedded, embedded_pictures
from ingest.readers.images import opened, plain
from ingest.readers.ocr import Recognised, Recognition, add_recognised, confidence_of, scaled
from ingest.task import Task

# Lists of strokes for Windows to draw.
DRAWINGS = (".emf", ".wmf")
NOT_DRAWN = "it is a drawing (EMF or WMF), whose text is not read; save the document as .pdf to have it read"

Read = Callable[[Path, Task], Iterator[Page | Summary]]


def read_with_enclosed(read: Read, path: Path, task: Task) -> Iterator[Page | Summary]:
    """What `read` yields, and what stands in pictures and embedded documents. Raises what `read` raises; but a document
    without any text of its own is as good as what it encloses."""
    recognition = Recognition(task)
    summary, refused = Summary(None, 0), None
    pages = extra = 0
    pictures: list[Embedded] = []
    try:
        for item in read(path, task):
            if isinstance(item, Summary):
                summary = item
                continue
            pictures = pictures if pages else embedded_pictures(path, task)
            pages += 1
            here = [one for one in pictures if one.number is not None and one.number == item.number]
            pictures = [picture for picture in pictures if picture not in here]
            yield item if pages <= task.first_page else _joined(item, here, recognition, task)
    except Unreadable as exc:
        if pages:
            raise
        refused, pictures = exc, embedded_pictures(path, task)
    embedded = EmbeddedDocuments(path, task)
    inside = 0
    for page in _own_pages(pictures, recognition, task):
        extra += 1
        yield page
    for page in embedded.pages():
        inside += 1
        yield page
    omissions = (*recognition.omissions(), *embedded.omissions())
    if refused is not None and not extra + inside:
        raise _without_text(refused, omissions)
    # Pictures without a slide are pages that the reader did not count.
    total = max(summary.pages_total, pages) + extra + max(inside, embedded.pages_total)
    yield replace(summary, pages_total=total, omissions=(*summary.omissions, *_of_refusal(refused), *omissions))


def _without_text(refused: Unreadable, omissions: Sequence[Omission]) -> Unreadable:
    said = "; ".join(f"{omission.what}: {omission.reason}" for omission in omissions)
    return Unreadable(f"{refused} {said}.") if said else refused


def _of_refusal(refused: Unreadable | None) -> tuple[Omission, ...]:
    return (Omission("the document's own text", str(refused)),) if refused is not None else ()


def _joined(page: Page, pictures: Sequence[Embedded], recognition: Recognition, task: Task) -> Page:
    """The page, and behind its own text that of its pictures: without boxes, since their place is not known."""
    recognition.begin_page()
    recognised = [found for picture in pictures if (found := _recognised(picture, recognition, task))]
    for found in recognised:
        drawn = _drawn(found).page()
        shift = len(page.text) + 2
        elements = (Element(one.kind, one.start + shift, one.end + shift) for one in drawn.elements)
        page = replace(page, text=f"{page.text}\n\n{drawn.text}", elements=(*page.elements, *elements))
    return replace(page, confidence=confidence_of(recognised)) if recognised else page


def _own_pages(pictures: Sequence[Embedded], recognition: Recognition, task: Task) -> Iterator[Page]:
    for picture in pictures:
        found = _recognised(picture, recognition, task)
        if found is not None:
            recognition.begin_page()
            page = _drawn(found, picture.number, f"picture {picture.name}").page()
            yield replace(page, lines=(), confidence=confidence_of([found]))


def _drawn(found: Recognised, number: int | None = None, part: str | None = None) -> PageAssembly:
    assembly = PageAssembly(number, part)
    add_recognised(assembly, found, scaled(1.0), "picture")
    return assembly


def _recognised(picture: Embedded, recognition: Recognition, task: Task) -> Recognised | None:
    if picture.name.lower().endswith(DRAWINGS):
        recognition.leave_out(NOT_DRAWN)
        return None
    try:
        content = picture.content()
        if content is None:
            return None
        with opened(content, picture.name, task.limits) as image:
            return recognition.picture(plain(image, picture.name, task.limits))
    except (Unreadable, LimitReached) as exc:
        recognition.leave_out(str(exc))
        return None
