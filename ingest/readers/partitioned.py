"""Elements of `unstructured` to ours: kinds by structure, tables row by row, a page for each page, slide or sheet."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ingest.elements import Kind, Page
from ingest.readers.assembly import PageAssembly
from ingest.readers.email_message import add_headers
from ingest.readers.grid import add_grid
from ingest.readers.html_tables import rows_of

KINDS: dict[str, Kind] = {
    "ListItem": "list_item",
    "CodeSnippet": "code",
    "FigureCaption": "caption",
    "Header": "header",
    "Footer": "footer",
}
# Formats whose page numbers are those that people see.
NUMBERED = ("docx", "pptx")
Place = tuple[int | None, str | None]


def pages_of(format: str, elements: Sequence[Any]) -> Iterator[Page]:
    """A page for each page, slide or sheet; one for what has none. `format` is `unstructured`'s own name."""
    numbered = format in NUMBERED and any(element.metadata.page_number for element in elements)
    for (number, part), run in itertools.groupby(elements, key=_places(numbered)):
        assembly = PageAssembly(number, part)
        for count, element in enumerate(run):
            if not count:
                _add_message_headers(assembly, element.metadata)
            _add(assembly, element)
        if not assembly.empty:
            yield assembly.page()


def _places(numbered: bool) -> Callable[[Any], Place]:
    """Headers, footers and notes have no page of their own: they stay on the page that they follow."""
    current = 1

    def place(element: Any) -> Place:
        nonlocal current
        current = max(current, element.metadata.page_number or current)
        return (current if numbered else None), element.metadata.page_name

    return place


def _add(assembly: PageAssembly, element: Any) -> None:
    """A table from its HTML, which keeps rows and cells where its plain text does not. Titles are believed where a
    style or a tag says so; others are guessed from short texts."""
    depth = getattr(element.metadata, "category_depth", None)
    table = getattr(element.metadata, "text_as_html", None) if element.category == "Table" else None
    if table:
        add_grid(assembly, _rows(table))
    elif element.category == "Title" and depth is not None:
        assembly.add("heading", element.text.strip(), level=max(1, min(6, depth + 1)))
    else:
        assembly.add(KINDS.get(element.category, "paragraph"), element.text.strip())


def _rows(table: str) -> list[list[str]]:
    from lxml import html

    found = next(html.fragment_fromstring(table, create_parent="div").iter("table"), None)
    return rows_of(found) if found is not None else []


def _add_message_headers(assembly: PageAssembly, metadata: Any) -> None:
    said = {"From": metadata.sent_from, "To": metadata.sent_to, "Subject": metadata.subject}
    for name, value in said.items():
        said[name] = ", ".join(value) if isinstance(value, list) else value or ""
    add_headers(assembly, list(said.items()))
