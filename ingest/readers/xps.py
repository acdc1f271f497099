"""XPS and OpenXPS: pages of placed runs of text, put together to lines and paragraphs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ingest.elements import Page, Summary
from ingest.errors import Unreadable
from ingest.readers.assembly import PageAssembly
from ingest.readers.embedded_pictures import pictures_left_out
from ingest.readers.markup import attribute, descendants
from ingest.readers.office_package import Package, resolved
from ingest.task import Task

# In sizes of the font: a wider gap is a space, a larger step down a new paragraph, a smaller one the same line.
SPACE, PARAGRAPH, SAME_LINE = 0.2, 1.8, 0.3
USUAL_ADVANCE = 0.5


def read(path: Path, task: Task) -> Iterator[Page | Summary]:
    """Raises Encrypted, Unreadable, LimitReached."""
    package = Package(path, task)
    try:
        pages = list(_pages(package))
        found = False
        for number, name in enumerate(pages, start=1):
            assembly = PageAssembly(number)
            _fill(assembly, package.root(name))
            if not assembly.empty:
                found = True
                yield assembly.page()
        if not found:
            raise Unreadable(f"{path.name} holds no text on {len(pages)} pages: they may be pictures.")
        yield Summary(package.title(), len(pages), pictures_left_out(len(_pictures(package))))
    finally:
        package.close()


def _pages(package: Package) -> Iterator[str]:
    sequence = package.main_part()
    if sequence is None:
        return
    root = package.root(sequence)
    for document in descendants(root, "DocumentReference") if root is not None else ():
        name = resolved(sequence, attribute(document, "Source"))
        inner = package.root(name)
        for page in descendants(inner, "PageContent") if inner is not None else ():
            yield resolved(name, attribute(page, "Source"))


def _pictures(package: Package) -> list[str]:
    return [
        name for name in package.names() if name.lower().endswith((".png", ".jpg", ".jpeg", ".tif", ".tiff", ".wdp"))
    ]


def _fill(assembly: PageAssembly, page: Any) -> None:
    text = ""
    end = bottom = size = 0.0
    for run in descendants(page, "Glyphs") if page is not None else ():
        said = attribute(run, "UnicodeString").removeprefix("{}")
        left, base, size_here = (_number(run, name) for name in ("OriginX", "OriginY", "FontRenderingEmSize"))
        size = max(size, 0.1)
        if text and abs(base - bottom) > SAME_LINE * size:
            if not 0 < base - bottom < PARAGRAPH * size:
                assembly.add("paragraph", text.strip())
                text = ""
            else:
                text += "\n"
        elif text and left - end > SPACE * size and not text.endswith(" "):
            text += " "
        text += said
        end, bottom, size = left + _width(run, said) * size_here, base, size_here
    assembly.add("paragraph", text.strip())


def _width(run: Any, said: str) -> float:
    """In sizes of the font, from the advances that the run gives; those of the font itself are not known here."""
    advances = [part.split(",") for part in attribute(run, "Indices").split(";")]
    known = [_float(part[1]) / 100 for part in advances if len(part) > 1 and part[1]]
    return sum(known) + USUAL_ADVANCE * max(0, len(said) - len(known))


def _number(element: Any, name: str) -> float:
    return _float(attribute(element, name))


def _float(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
