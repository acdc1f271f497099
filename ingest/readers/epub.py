"""E-books (epub): the chapters in the order of the spine, each read as HTML."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from ingest.elements import Omission, Page, Summary
from ingest.errors import Encrypted, Unreadable
from ingest.readers.assembly import PageAssembly
from ingest.readers.decoding import decode
from ingest.readers.html import add_html
from ingest.readers.markup import attribute, child, children, descendants, text_of
from ingest.readers.office_package import Package
from ingest.task import Task

TEXTS = ("application/xhtml+xml", "text/html", "application/x-dtbook+xml")
RIGHTS = "META-INF/rights.xml"


def read(path: Path, task: Task) -> Iterator[Page | Summary]:
    """A page for each chapter, without numbers: its pages are those of a screen. Raises Encrypted, Unreadable."""
    with closing(Package(path, task)) as package:
        yield from _read(path, package)


def _read(path: Path, package: Package) -> Iterator[Page | Summary]:
    if package.content(RIGHTS) is not None:
        raise Encrypted(f"{path.name} is locked by its shop (digital rights management): only its reader opens it.")
    place = _package_document(package)
    root = package.root(place) if place else None
    chapters = _chapters(root, place) if root is not None and place else []
    first_title: str | None = None
    count = missing = 0
    for name in chapters or _pages_by_name(package):
        content = package.content(name)
        assembly = PageAssembly()
        if content is None:
            missing += 1
            continue
        title, _ = add_html(decode(content, name), assembly)
        if not assembly.empty:
            first_title = first_title or title
            count += 1
            yield assembly.page()
    if not count:
        raise Unreadable(f"{path.name} holds no text.")
    lost = (Omission(f"{missing} chapters", "they are listed but not in the file"),) if missing else ()
    yield Summary(_title(root) or first_title, count, lost)


def _package_document(package: Package) -> str | None:
    container = package.root("META-INF/container.xml")
    found = descendants(container, "rootfile") if container is not None else ()
    named = next((attribute(one, "full-path") for one in found), None)
    return named or next((name for name in package.names() if name.endswith(".opf")), None)


def _chapters(root: Any, place: str) -> list[str]:
    """Those of the spine, also what it marks as beside the line of reading (notes, answers)."""
    manifest, spine = child(root, "manifest"), child(root, "spine")
    if manifest is None or spine is None:
        return []
    items = {attribute(item, "id"): item for item in children(manifest, "item")}
    listed = [items[one] for reference in spine if (one := attribute(reference, "idref")) in items]
    folder = posixpath.dirname(place)
    texts = (item for item in listed if attribute(item, "media-type") in TEXTS)
    return [posixpath.normpath(posixpath.join(folder, unquote(attribute(item, "href")))) for item in texts]


def _pages_by_name(package: Package) -> list[str]:
    return sorted(name for name in package.names() if name.lower().endswith((".xhtml", ".html", ".htm")))


def _title(root: Any) -> str | None:
    metadata = child(root, "metadata") if root is not None else None
    title = child(metadata, "title") if metadata is not None else None
    return (text_of(title) or None) if title is not None else None
