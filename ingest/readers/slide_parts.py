"""What slides show besides their paragraphs and tables: the numbers of charts, and the words of diagrams."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest
from typing import Any

PARAGRAPH = "{http://schemas.openxmlformats.org/drawingml/2006/main}p"
WORDS = "{http://schemas.openxmlformats.org/drawingml/2006/main}t"
CHART = "{http://schemas.openxmlformats.org/drawingml/2006/chart}"
DIAGRAM = "application/vnd.openxmlformats-officedocument.drawingml.diagramData+xml"


def charts(slide: Any) -> Iterator[tuple[str, list[list[str]]]]:
    """Title and rows of each chart: a column for each series, a row for each category.

    From the chart's XML: python-pptx refuses the kinds of chart that it does not know (all that look solid).
    """
    for shape in _shapes(slide.shapes):
        if getattr(shape, "has_chart", False):
            chart = _parsed(shape.chart.part.blob)
            title = "".join(node.text or "" for title in chart.iter(f"{CHART}title") for node in title.iter(WORDS))
            series = list(chart.iter(f"{CHART}ser"))
            columns = [_points(series[0], "cat"), *(_points(one, "val") for one in series)] if series else []
            rows = [list(row) for row in zip_longest(*columns, fillvalue="")]
            yield title, [["", *(" ".join(_points(one, "tx")) for one in series)], *rows]


def paragraphs(slide: Any) -> Iterator[str]:
    """Every paragraph in the slide's own XML and in its diagrams, wherever it stands."""
    yield from _texts(slide.element)
    for relation in slide.part.rels.values():
        if not relation.is_external and relation.target_part.content_type == DIAGRAM:
            yield from _texts(_parsed(relation.target_part.blob))


def _texts(root: Any) -> Iterator[str]:
    for paragraph in root.iter(PARAGRAPH):
        yield "".join(node.text or "" for node in paragraph.iter(WORDS))


def _shapes(shapes: Any) -> Iterator[Any]:
    for shape in shapes:
        if hasattr(shape, "shapes"):
            yield from _shapes(shape.shapes)
        else:
            yield shape


def _points(series: Any, name: str) -> list[str]:
    """The values kept with the chart: those of its own copy of the sheet."""
    return [value.text or "" for found in series.iterchildren(f"{CHART}{name}") for value in found.iter(f"{CHART}v")]


def _parsed(content: bytes) -> Any:
    from lxml import etree

    return etree.fromstring(content, etree.XMLParser(resolve_entities=False, load_dtd=False, no_network=True))
