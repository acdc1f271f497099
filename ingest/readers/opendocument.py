"""OpenDocument and its ancestor StarOffice: texts, sheets, slides and drawings, zipped or as one flat XML file.

Read directly: pandoc knows only the texts, leaves their headers and footers out, and is many times slower.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ingest.elements import Page, Summary
from ingest.errors import Unreadable
from ingest.readers.assembly import PageAssembly
from ingest.readers.containers import check_container
from ingest.readers.decoding import read_bytes
from ingest.readers.grid import grid_pages
from ingest.readers.markup import attribute, child, children, descendants, name_of, parsed, text_of
from ingest.readers.opendocument_text import Flow, cells
from ingest.task import Task

BODIES = ("text", "spreadsheet", "presentation", "drawing", "chart", "image")
MAIN_PARTS = ("content.xml", "styles.xml", "meta.xml")


def read(path: Path, task: Task) -> Iterator[Page | Summary]:
    """A page for each sheet and slide, one for a text. Raises Encrypted, Unreadable, LimitReached."""
    parts = _parts(path, task)
    content = parts["content.xml"]
    body = _body(content)
    if body is None:
        raise Unreadable(f"{path.name} is damaged: it holds no OpenDocument body.")
    objects = {name.rpartition("/")[0]: root for name, root in parts.items() if name.endswith("/content.xml")}
    flow = Flow(objects, _style_names(parts))
    count = 0
    for page in _pages(name_of(body), body, parts, flow):
        count += 1
        yield page
    if not count:
        raise Unreadable(f"{path.name} holds no text.")
    yield Summary(_title(parts) or flow.first_heading, count)


def _parts(path: Path, task: Task) -> dict[str, Any]:
    """Roots of the XML parts that hold text, by their names; a flat file plays all three main parts."""
    with path.open("rb") as file:
        zipped = file.read(2) == b"PK"
    if not zipped:
        root = parsed(read_bytes(path, task.limits))
        return dict.fromkeys(MAIN_PARTS, root)
    check_container(path, task.limits)
    roots: dict[str, Any] = dict.fromkeys(MAIN_PARTS)
    with zipfile.ZipFile(path) as package:
        for name in package.namelist():
            if name in MAIN_PARTS or name.endswith("/content.xml"):
                try:
                    roots[name] = parsed(package.read(name))
                except (zipfile.BadZipFile, zlib.error, EOFError) as exc:
                    raise Unreadable(f"{path.name} is damaged: its part {name} cannot be unpacked ({exc}).") from exc
    return roots


def _body(content: Any) -> Any:
    """The element below `body`; StarOffice's body holds the text itself."""
    body = next(descendants(content, "body"), None) if content is not None else None
    if body is None:
        return None
    inner = next(children(body, *BODIES), None)
    if inner is not None:
        return inner
    kinds = {"table": "spreadsheet", "page": "presentation"}
    kind = kinds.get(name_of(body[-1]), "text") if len(body) and attribute(content, "class") != "text" else "text"
    body.tag = attribute(content, "class") or kind
    return body


def _pages(kind: str, body: Any, parts: dict[str, Any], flow: Flow) -> Iterator[Page]:
    if kind == "spreadsheet":
        yield from _sheets(body, flow)
    elif kind in ("presentation", "drawing"):
        yield from _slides(body, flow)
    else:
        yield from _filled(_text(body, parts["styles.xml"], flow))


def _filled(assembly: PageAssembly) -> Iterator[Page]:
    if not assembly.empty:
        yield assembly.page()


def _text(body: Any, styles: Any, flow: Flow) -> PageAssembly:
    """Headers before the text and footers after it, as on a page."""
    assembly = PageAssembly()
    for text in _running(styles, "header"):
        assembly.add("header", text)
    flow.blocks(body, assembly)
    for text in _running(styles, "footer"):
        assembly.add("footer", text)
    return assembly


def _running(styles: Any, place: str) -> list[str]:
    return list(dict.fromkeys(map(text_of, descendants(styles, place)))) if styles is not None else []


def _sheets(body: Any, flow: Flow) -> Iterator[Page]:
    for table in children(body, "table"):
        name = attribute(table, "name") or None
        yield from grid_pages(cells(table), None, name)
        # What lies beside the cells has no place among them.
        beside = PageAssembly(None, name)
        flow.beside_cells(table, beside)
        yield from _filled(beside)


def _slides(body: Any, flow: Flow) -> Iterator[Page]:
    for number, page in enumerate(children(body, "page"), start=1):
        assembly = PageAssembly(number)
        flow.slide(page, assembly)
        yield from _filled(assembly)


def _style_names(parts: dict[str, Any]) -> dict[str, str]:
    """An automatic style goes by the name of the style that it changes."""
    names: dict[str, str] = {}
    for root in (parts["styles.xml"], parts["content.xml"]):
        for style in descendants(root, "style") if root is not None else ():
            name = attribute(style, "display-name") or attribute(style, "name")
            parent = attribute(style, "parent-style-name")
            automatic = name_of(style.getparent()) == "automatic-styles"
            names[attribute(style, "name")] = names.get(parent, parent) if automatic else name
    return {name: shown.replace("_20_", " ") for name, shown in names.items()}


def _title(parts: dict[str, Any]) -> str | None:
    meta = child(parts["meta.xml"], "meta") if parts["meta.xml"] is not None else None
    title = child(meta, "title") if meta is not None else None
    return (text_of(title) or None) if title is not None else None
