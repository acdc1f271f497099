"""Shapes on a slide: the title first, then as they lie, from top to bottom; text, tables, charts and diagrams."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ingest.elements import Kind
from ingest.readers.assembly import PageAssembly
from ingest.readers.drawings import add_drawn, paragraph_text
from ingest.readers.grid import Rows, add_grid
from ingest.readers.markup import attribute, child, children, descendants, name_of

TITLES = ("title", "ctrTitle")
RUNNING: dict[str, Kind] = {"ftr": "footer", "hdr": "header"}
NUMBERS = ("sldNum", "dt")
# Shapes whose tops differ by less lie in one row: a tenth of an inch, in the units of the file.
ROW_HEIGHT = 91_440
TITLE_LEVEL = 2


@dataclass(frozen=True)
class Placed:
    element: Any
    top: int
    left: int


def placed(root: Any, templates: Sequence[Placed]) -> list[Placed]:
    """The shapes in the tree of a slide; placeholders without a place of their own take that of the template."""
    tree = next(descendants(root, "spTree"), None)
    return [_placed(shape, templates) for shape in _shapes(tree)] if tree is not None else []


def placeholder(shape: Any) -> tuple[str, str] | None:
    """Type and index of a placeholder, None for any other shape."""
    for properties in shape:
        found = child(properties, "nvPr", "ph") if name_of(properties).startswith("nv") else None
        if found is not None:
            return attribute(found, "type"), attribute(found, "idx")
    return None


class Shapes:
    def __init__(self, assembly: PageAssembly, package: Any, part: str) -> None:
        self._assembly, self._package, self._part = assembly, package, part

    def add(self, shapes: Sequence[Placed]) -> str | None:
        """Put all of them in; the slide's title comes back."""
        ordered = sorted(shapes, key=lambda shape: (not _is_title(shape.element), shape.top // ROW_HEIGHT, shape.left))
        titles = [text for shape in ordered if (text := self._shape(shape.element))]
        return titles[0] if titles else None

    def _shape(self, shape: Any) -> str | None:
        name = name_of(shape)
        if name == "grpSp":
            self.add([_placed(inner, []) for inner in _shapes(shape)])
        elif name == "graphicFrame":
            self._frame(shape)
        elif _is_title(shape):
            title = " ".join(" ".join(map(paragraph_text, descendants(shape, "p"))).split())
            self._assembly.add("heading", title, level=TITLE_LEVEL)
            return title
        else:
            self._texts(shape)
        return None

    def _texts(self, shape: Any) -> None:
        kind = placeholder(shape)
        for body in children(shape, "txBody", "txbx"):
            for paragraph in descendants(body, "p"):
                if kind is not None and kind[0] in NUMBERS:
                    continue
                running = RUNNING.get(kind[0]) if kind else None
                self._assembly.add(running or _kind(paragraph, kind), paragraph_text(paragraph))

    def _frame(self, frame: Any) -> None:
        for table in descendants(frame, "tbl"):
            add_grid(self._assembly, _grid(table))
        ids = {str(value) for node in descendants(frame, "chart", "relIds") for value in node.attrib.values()}
        if ids:
            add_drawn(self._assembly, self._package, self._part, ids)


def _shapes(parent: Any) -> Iterator[Any]:
    for shape in parent:
        name = name_of(shape)
        if name == "AlternateContent":
            chosen = next(children(shape, "Choice"), None)
            yield from _shapes(chosen if chosen is not None else shape)
        elif name in ("sp", "grpSp", "graphicFrame", "cxnSp", "pic", "contentPart"):
            yield shape


def _is_title(shape: Any) -> bool:
    kind = placeholder(shape)
    return kind is not None and kind[0] in TITLES


def _placed(shape: Any, templates: Sequence[Placed]) -> Placed:
    offset = next(descendants(shape, "off"), None)
    if offset is not None:
        return Placed(shape, _number(offset, "y"), _number(offset, "x"))
    kind = placeholder(shape)
    for template in templates if kind else ():
        theirs = placeholder(template.element)
        if theirs == kind or (kind and theirs and kind[1] and theirs[1] == kind[1]):
            return Placed(shape, template.top, template.left)
    return Placed(shape, 0, 0)


def _kind(paragraph: Any, kind: tuple[str, str] | None) -> Kind:
    """Items by their bullets; in a body, where bullets are the rule, by their level too."""
    properties = next(children(paragraph, "pPr"), None)
    if properties is not None:
        if any(True for _ in children(properties, "buChar", "buAutoNum", "buBlip")):
            return "list_item"
        if any(True for _ in children(properties, "buNone")):
            return "paragraph"
    body = kind is not None and kind[0] in ("body", "obj", "")
    return "list_item" if body else "paragraph"


def _grid(table: Any) -> Rows:
    grid: Rows = []
    for row in children(table, "tr"):
        cells = []
        for cell in children(row, "tc"):
            merged = attribute(cell, "hMerge") in ("1", "true") or attribute(cell, "vMerge") in ("1", "true")
            text = " ".join(" ".join(map(paragraph_text, descendants(cell, "p"))).split())
            cells.append("" if merged else text)
        grid.append(cells)
    return grid


def _number(element: Any, name: str) -> int:
    value = attribute(element, name)
    return int(value) if value.lstrip("-").isdigit() else 0
