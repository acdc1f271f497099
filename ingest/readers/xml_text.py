"""XML of any kind: the text of each element that holds text itself, with its inline children; nothing is fetched."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ingest.elements import Omission, Page, Summary
from ingest.errors import Unreadable
from ingest.readers.assembly import PageAssembly
from ingest.readers.decoding import read_bytes
from ingest.readers.html import add_html
from ingest.task import Task

if TYPE_CHECKING:
    from lxml.etree import _Element

HEADINGS = {"title", "head", "heading", "article-title"}
LONGEST_HEADING = 300
# HTML inside of a text, as feeds have it.
MARKUP = re.compile(r"</(p|div|a|li|b|i|em|strong|span|ul|table|h[1-6])>|<(br|img|p)\b[^<>]*>", re.IGNORECASE)


def read(path: Path, task: Task) -> Iterator[Page | Summary]:
    from lxml import etree

    content = read_bytes(path, task.limits)
    # Entities stay unresolved and no DTD is loaded: an external one would read local files, nested ones would explode.
    parser = etree.XMLParser(
        resolve_entities=False, load_dtd=False, no_network=True, recover=True, remove_comments=True, remove_pis=True
    )
    root = etree.fromstring(content, parser)
    if root is None:
        raise Unreadable(f"{path.name} is not XML: {_first_error(parser)}.")
    assembly = PageAssembly()
    title = _fill(assembly, root)
    if assembly.empty:
        raise Unreadable(f"{path.name} holds no text.")
    yield assembly.page()
    damaged = tuple(Omission("damaged XML", _first_error(parser)) for _ in parser.error_log[:1])
    yield Summary(title=title, pages_total=1, omissions=damaged)


def _first_error(parser: object) -> str:
    log = getattr(parser, "error_log", None)
    return f"line {log[0].line}: {log[0].message}" if log else "no element was found"


def _fill(assembly: PageAssembly, root: _Element) -> str | None:
    title: str | None = None
    # A stack instead of recursion: the depth of a hostile file is not ours to choose.
    waiting: list[tuple[_Element, int]] = [(root, 0)]
    while waiting:
        element, depth = waiting.pop()
        if not isinstance(element.tag, str):
            continue
        if not _holds_text(element):
            waiting.extend((child, depth + 1) for child in reversed(element))
            continue
        text = " ".join("".join(element.itertext()).split())
        name = element.tag.rpartition("}")[2].lower()
        if name in HEADINGS and len(text) <= LONGEST_HEADING:
            title = title or text
            assembly.add("heading", text, level=max(1, min(6, depth - 1)))
        elif MARKUP.search(text):
            add_html(text, assembly)
        else:
            assembly.add("paragraph", text)
    return title


def _holds_text(element: _Element) -> bool:
    if element.text and element.text.strip():
        return True
    return any(child.tail and child.tail.strip() for child in element)
