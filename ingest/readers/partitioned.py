"""Elements of `unstructured` to ours: kinds by structure, tables row by row, a page for each page, slide or sheet."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from ingest.elements import Kind, Page
from ingest.readers.assembly import PageAssembly, has_header, table_text

KINDS: dict[str, Kind] = {
    "Title": "heading",
    "ListItem": "list_item",
    "Table": "table",
    "CodeSnippet": "code",
    "FigureCaption": "caption",
    "Header": "header",
    "Footer": "footer",
}
# Shared by all partition functions. An empty language switches its guess off, which needs a second and has no use here.
OPTIONS: dict[str, Any] = {"languages": [""]}
SENTENCE_MODEL = "en_core_web_sm"


def prepare_offline() -> None:
    """Keep `unstructured` from downloading a language model, and from needing one.

    It asks spaCy for `en_core_web_sm` to tell prose from titles by their verbs, and fetches it from the web when it is
    not there. We take kinds from styles and tags alone, so a pipeline that only splits sentences does: spaCy takes a
    folder of that name in the working directory, which in the parser process is its scratch folder. Reading HTML is
    many times faster this way.
    """
    if Path(SENTENCE_MODEL).exists():
        return
    import spacy

    splitter = spacy.blank("en")
    splitter.add_pipe("sentencizer")
    splitter.to_disk(SENTENCE_MODEL)


def kind_of(element: Any) -> tuple[Kind, int]:
    """Kind and level, believing titles only as deep as styles and tags go (1–6)."""
    kind = KINDS.get(element.category, "paragraph")
    depth = getattr(element.metadata, "category_depth", None) or 0
    return kind, max(1, min(6, depth + 1)) if kind == "heading" else 0


def add(assembly: PageAssembly, element: Any, classify: Callable[[Any], tuple[Kind, int]] = kind_of) -> None:
    """Put one element in, a table from its HTML, which keeps rows and cells where its plain text does not."""
    kind, level = classify(element)
    html = getattr(element.metadata, "text_as_html", None) if kind == "table" else None
    if html:
        rows = table_rows(html)
        text, first_row = table_text(rows)
        assembly.add("table", text, header_length=first_row if has_header(rows) else 0)
    else:
        assembly.add(kind, element.text.strip(), level=level)


def pages(
    elements: Iterable[Any],
    *,
    place: Callable[[Any], tuple[int | None, str | None]],
    classify: Callable[[Any], tuple[Kind, int]] = kind_of,
) -> Iterator[Page]:
    """A page for each run of elements that `place` gives the same number and part."""
    for (number, part), run in itertools.groupby(elements, key=place):
        assembly = PageAssembly(number, part)
        for element in run:
            add(assembly, element, classify)
        if not assembly.empty:
            yield assembly.page()


def table_rows(html: str) -> list[list[str]]:
    """Rows of cells; a cell over several columns stands once, and empty ones follow it."""
    from lxml import html as lxml_html

    rows = []
    for row in lxml_html.fragment_fromstring(html, create_parent="div").iter("tr"):
        cells: list[str] = []
        for cell in row.iterchildren("td", "th"):
            cells.append(" ".join(" ".join(cell.itertext()).split()))
            cells.extend([""] * (_span(cell.get("colspan")) - 1))
        rows.append(cells)
    return rows


def _span(value: str | None) -> int:
    return min(int(value), 100) if value and value.isdigit() and int(value) > 0 else 1
