"""What drawings in Office files say: the numbers of charts, the words of diagrams, the text of shapes on a sheet."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest
from typing import Any

from ingest.readers.assembly import PageAssembly
from ingest.readers.grid import Rows, add_grid
from ingest.readers.markup import children, descendants, name_of
from ingest.readers.office_package import Package

CHARTS = ("chart", "chartEx")
DIAGRAMS = ("diagramData",)


def add_drawn(assembly: PageAssembly, package: Package, part: str, ids: set[str] | None = None) -> None:
    """Charts and diagrams that `part` relates to; only those of `ids`, if given."""
    for relation, (kind, target) in package.relations(part).items():
        if kind not in (*CHARTS, *DIAGRAMS) or (ids is not None and relation not in ids):
            continue
        root = package.root(target)
        if root is None:
            continue
        if kind in CHARTS:
            add_chart(assembly, root)
        else:
            for text in paragraphs(root):
                assembly.add("list_item", text)


def add_chart(assembly: PageAssembly, root: Any) -> None:
    """Title as a caption, then a column for each series and a row for each category."""
    for title in descendants(root, "title"):
        assembly.add("caption", " ".join(filter(None, paragraphs(title))))
    add_grid(assembly, _chart_rows(root))


def paragraphs(root: Any) -> Iterator[str]:
    """The text of every DrawingML paragraph, wherever it stands."""
    for paragraph in descendants(root, "p"):
        yield paragraph_text(paragraph)


def paragraph_text(paragraph: Any) -> str:
    pieces = []
    for node in descendants(paragraph, "t", "br", "tab"):
        pieces.append((node.text or "") if name_of(node) == "t" else "\n" if name_of(node) == "br" else "\t")
    return "".join(pieces).strip()


def _chart_rows(root: Any) -> Rows:
    """From the chart's own copy of its numbers: the workbook behind it is not opened."""
    series = list(descendants(root, "ser"))
    if not series:
        return [[" ".join(point.text or "" for point in level)] for level in descendants(root, "lvl")]
    names = [" ".join(_points(one, "tx")) for one in series]
    columns = [_points(series[0], "cat", "xVal"), *(_points(one, "val", "yVal") for one in series)]
    rows = [list(row) for row in zip_longest(*columns, fillvalue="")]
    return [["", *names], *rows] if any(names) else rows


def _points(series: Any, *names: str) -> list[str]:
    found = next(children(series, *names), None)
    if found is None:
        return []
    return [" ".join((value.text or "").split()) for value in descendants(found, "v")]
