"""Visio drawings (vsdx and its templates): the text of the shapes, page by page."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from ingest.elements import Page, Summary
from ingest.errors import Unreadable
from ingest.readers.assembly import PageAssembly
from ingest.readers.markup import attribute, children, descendants
from ingest.readers.office_package import Package
from ingest.task import Task

PAGES = "visio/pages/pages.xml"


def read(path: Path, task: Task) -> Iterator[Page | Summary]:
    """A page for each page of the drawing, its name as a heading. Raises Encrypted, Unreadable, LimitReached."""
    with closing(Package(path, task)) as package:
        yield from _read(path, package)


def _read(path: Path, package: Package) -> Iterator[Page | Summary]:
    count = 0
    pages = list(_pages(package))
    for number, (name, part) in enumerate(pages, start=1):
        texts = list(_texts(package.root(part)))
        assembly = PageAssembly(number, None)
        if texts:
            assembly.add("heading", name, level=2)
        for text in texts:
            assembly.add("paragraph", text)
        if not assembly.empty:
            count += 1
            yield assembly.page()
    if not count:
        raise Unreadable(f"{path.name} holds no text on {len(pages)} pages.")
    yield Summary(package.title(), len(pages))


def _pages(package: Package) -> Iterator[tuple[str, str]]:
    """Names of pages and of their parts; backgrounds are pages, too."""
    root = package.root(PAGES)
    relations = package.relations(PAGES)
    for page in descendants(root, "Page") if root is not None else ():
        for relation in children(page, "Rel"):
            target = relations.get(attribute(relation, "id"))
            if target:
                yield attribute(page, "Name"), target[1]


def _texts(root: Any) -> Iterator[str]:
    for text in descendants(root, "Text") if root is not None else ():
        yield "".join(text.itertext()).replace("\u2028", "\n").strip()
