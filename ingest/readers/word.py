"""Word files: docx with its templates, macros and strict variant, flat OPC, and the XML of Word 2003.

Read from their XML: unstructured refuses templates, macros and the strict variant, leaves text boxes, notes and content
controls out, and needs a minute where this needs a second.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from ingest.elements import Page, Summary
from ingest.errors import Unreadable
from ingest.readers.decoding import read_bytes
from ingest.readers.embedded_pictures import pictures_left_out
from ingest.readers.markup import attribute, child, descendants, name_of, parsed, text_of
from ingest.readers.office_package import Package
from ingest.readers.word_flow import WordFlow
from ingest.readers.word_styles import Numbering, Styles
from ingest.task import Task


def read(path: Path, task: Task) -> Iterator[Page | Summary]:
    """Pages where Word has left marks of its page breaks, else one page. Raises Encrypted, Unreadable, LimitReached."""
    with path.open("rb") as file:
        head = file.read(4096)
    if b"w:wordDocument" in head or b":wordDocument" in head:
        yield from _read_2003(path, task)
        return
    with closing(Package(path, task)) as package:
        yield from _read_package(path, package)


def _read_package(path: Path, package: Package) -> Iterator[Page | Summary]:
    main = package.main_part() or "word/document.xml"
    root = package.root(main)
    body = child(root, "body") if root is not None else None
    if body is None:
        raise Unreadable(f"{path.name} is damaged: its part {main} holds no document.")
    parts = {kind: [package.root(name) for name in package.related(main, kind)] for kind in PARTS}
    flow = WordFlow(
        Styles(_first(parts["styles"])),
        Numbering(_first(parts["numbering"])),
        notes={
            **_by_id(_first(parts["footnotes"]), "footnote"),
            **_by_id(_first(parts["endnotes"]), "endnote"),
            **_by_id(_first(parts["comments"]), "comment"),
        },
        package=package,
        part=main,
    )
    yield from _told(path, body, flow, parts["header"], parts["footer"])
    yield Summary(flow.title or package.title(), flow.page_number)


PARTS = ("styles", "numbering", "footnotes", "endnotes", "comments", "header", "footer")


def _read_2003(path: Path, task: Task) -> Iterator[Page | Summary]:
    """One XML file: styles, notes, headers and pictures stand in it where they are used."""
    root = parsed(read_bytes(path, task.limits))
    body = child(root, "body") if root is not None else None
    if body is None:
        raise Unreadable(f"{path.name} is damaged: it holds no document.")
    flow = WordFlow(Styles(child(root, "styles")), Numbering(child(root, "lists")), notes={}, package=None, part="")
    yield from _told(path, body, flow, list(descendants(root, "hdr")), list(descendants(root, "ftr")))
    title = next(descendants(root, "Title"), None)
    pictures = sum(1 for _ in descendants(body, "binData"))
    named = (text_of(title) or None) if title is not None else None
    yield Summary(flow.title or named, flow.page_number, pictures_left_out(pictures))


def _told(path: Path, body: Any, flow: WordFlow, headers: list[Any], footers: list[Any]) -> Iterator[Page]:
    flow.begin(body)
    for text in _running(headers):
        flow.assembly.add("header", text)
    found = False
    for page in flow.pages(body, _running(footers)):
        found = True
        yield page
    if not found:
        raise Unreadable(f"{path.name} holds no text.")


def _running(roots: list[Any]) -> list[str]:
    """Headers or footers, each text once however many sections and kinds of pages repeat it."""
    texts = []
    for root in roots:
        if root is not None:
            paragraphs = (
                "".join(node.text or " " for node in descendants(p, "t", "tab")) for p in descendants(root, "p")
            )
            texts.append("\n".join(" ".join(text.split()) for text in paragraphs if text.strip()))
    return list(dict.fromkeys(filter(None, texts)))


def _by_id(root: Any, name: str) -> dict[tuple[str, str], Any]:
    if root is None:
        return {}
    return {(name, attribute(note, "id")): note for note in root if name_of(note) == name}


def _first(roots: list[Any]) -> Any:
    return roots[0] if roots else None
