"""PowerPoint files (pptx, templates, shows, macros, the strict variant): a page for each slide, in the slides' order.

Read from their XML: unstructured leaves charts, diagrams and comments out and refuses shows and templates.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from ingest.elements import Page, Summary
from ingest.errors import Unreadable
from ingest.readers.assembly import PageAssembly
from ingest.readers.drawings import paragraphs
from ingest.readers.markup import descendants, name_of, text_of
from ingest.readers.office_package import Package
from ingest.readers.shapes import Placed, Shapes, placed, placeholder
from ingest.task import Task

SLIDE = re.compile(r"ppt/slides/slide(\d+)\.xml$", re.IGNORECASE)


def read(path: Path, task: Task) -> Iterator[Page | Summary]:
    """Hidden slides, notes and comments are read too. Raises Encrypted, Unreadable, LimitReached."""
    with closing(Package(path, task)) as package:
        yield from _read(path, package)


def _read(path: Path, package: Package) -> Iterator[Page | Summary]:
    slides = _slides(package)
    title: str | None = None
    count = 0
    told: set[str] = set()
    for number, part in enumerate(slides, start=1):
        root = package.root(part)
        assembly = PageAssembly(number)
        if root is not None:
            headed = _fill(assembly, package, part, root, told)
            title = title or headed
        if not assembly.empty:
            count += 1
            yield assembly.page()
    if not count:
        raise Unreadable(f"{path.name} holds no text on {len(slides)} slides.")
    yield Summary(title or package.title(), len(slides))


def _slides(package: Package) -> list[str]:
    """By the presentation's list, else by the numbers in the names."""
    main = package.main_part() or "ppt/presentation.xml"
    root = package.root(main)
    relations = package.relations(main)
    listed: list[str] = []
    for slide in descendants(root, "sldId") if root is not None else ():
        ids = [str(value) for key, value in slide.attrib.items() if key.endswith("}id")]
        listed.extend(relations[one][1] for one in ids if one in relations)
    found = [name for name in package.names() if SLIDE.search(name)]
    # Each name in `found` was found by this very pattern.
    return listed or sorted(found, key=lambda name: int(SLIDE.search(name)[1]))  # type: ignore[index]


def _fill(assembly: PageAssembly, package: Package, part: str, root: Any, told: set[str]) -> str | None:
    """Put one slide in; its title comes back. `told` holds what masters and layouts have said before."""
    layouts = list(package.related(part, "slideLayout"))
    masters = [master for layout in layouts for master in package.related(layout, "slideMaster")]
    shapes = Shapes(assembly, package, part)
    title = shapes.add(placed(root, _places(package, [*layouts, *masters])))
    for notes in package.related(part, "notesSlide"):
        _add_notes(assembly, package.root(notes))
    for comments in package.related(part, "comments"):
        _add_comments(assembly, package.root(comments))
    for text in _printed(package, [*layouts, *masters]):
        if text not in told:
            told.add(text)
            assembly.add("footer", text)
    return title


def _places(package: Package, parts: list[str]) -> list[Placed]:
    """Placeholders of the layout and the master: a slide's own take their places from them."""
    roots = [package.root(part) for part in parts]
    return [shape for root in roots if root is not None for shape in placed(root, []) if placeholder(shape.element)]


def _printed(package: Package, parts: list[str]) -> Iterator[str]:
    """Text that a layout or master prints on every slide, such as "Confidential"; not its prompts."""
    for part in parts:
        root = package.root(part)
        for shape in descendants(root, "sp") if root is not None else ():
            kind = placeholder(shape)
            if kind is None:
                text = "\n".join(filter(None, paragraphs(shape)))
                if text:
                    yield text


def _add_notes(assembly: PageAssembly, root: Any) -> None:
    """The speaker's words; not the picture of the slide, nor its number."""
    for shape in descendants(root, "sp") if root is not None else ():
        kind = placeholder(shape)
        if kind is None or kind[0] in ("body", "obj", ""):
            for text in paragraphs(shape):
                assembly.add("paragraph", text)


def _add_comments(assembly: PageAssembly, root: Any) -> None:
    for comment in descendants(root, "cm", "reply") if root is not None else ():
        old = next((inner for inner in comment if name_of(inner) == "text"), None)
        body = next((inner for inner in comment if name_of(inner) == "txBody"), None)
        text = (
            text_of(old) if old is not None else "\n".join(filter(None, paragraphs(body))) if body is not None else ""
        )
        assembly.add("paragraph", f"Comment: {text}" if text else "")
