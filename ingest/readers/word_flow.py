"""The flow of a Word text: paragraphs, headings, lists and tables, page by page, and what is anchored in them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ingest.elements import Kind, Page
from ingest.readers.assembly import PageAssembly
from ingest.readers.drawings import add_drawn
from ingest.readers.grid import Rows, add_grid
from ingest.readers.markup import attribute, child, children, descendants, name_of
from ingest.readers.office_package import Package
from ingest.readers.word_styles import Numbering, Styles

NOT_READ = {
    *("pPr", "rPr", "sectPr", "tblPr", "tblGrid", "trPr", "tcPr", "sdtPr", "sdtEndPr", "del", "moveFrom", "instrText"),
    *("delText", "fldData", "rt", "docPart", "binData", "hdr", "ftr", "Fallback", "annotationRef"),
}
REFERENCES = {"footnoteReference": "footnote", "endnoteReference": "endnote", "commentReference": "comment"}
SIGNS = {"tab": "\t", "br": "\n", "cr": "\n", "noBreakHyphen": "-", "ptab": "\t"}
STYLE_KINDS: dict[str, Kind] = {"title": "title", "caption": "caption"}
BREAK = "lastRenderedPageBreak"


class WordFlow:
    """`notes` are footnotes, endnotes and comments by kind and id. `package` and `part` lead to charts and diagrams."""

    def __init__(
        self,
        styles: Styles,
        numbering: Numbering,
        *,
        notes: dict[tuple[str, str], Any],
        package: Package | None,
        part: str,
    ) -> None:
        self._styles, self._numbering, self._notes = styles, numbering, notes
        self._package, self._part = package, part
        self._paged = False
        self.page_number = 1
        self.assembly = PageAssembly()
        self._headings: dict[Kind, str] = {}

    @property
    def title(self) -> str | None:
        return self._headings.get("title") or self._headings.get("heading")

    def begin(self, body: Any) -> None:
        self._paged = next(descendants(body, BREAK), None) is not None
        self.assembly = PageAssembly(1 if self._paged else None)

    def pages(self, body: Any, footers: list[str]) -> Iterator[Page]:
        """The footers go into the last page."""
        for block in _blocks(body):
            breaks = _breaks(block) if self._paged else (0, 0)
            yield from self._turned(breaks[0])
            self._block(block)
            yield from self._turned(breaks[1])
        for text in footers:
            self.assembly.add("footer", text)
        if not self.assembly.empty:
            yield self.assembly.page()

    def _turned(self, times: int) -> Iterator[Page]:
        if times:
            if not self.assembly.empty:
                yield self.assembly.page()
            self.page_number += times
            self.assembly = PageAssembly(self.page_number)

    def _block(self, block: Any) -> None:
        if name_of(block) == "p":
            self._paragraph(block)
        elif name_of(block) == "tbl":
            self._table(block)
        else:
            self._imported(block)

    def _paragraph(self, paragraph: Any) -> None:
        text = "".join(_pieces(paragraph)).strip()
        if text:
            kind, level, label = self._kind(paragraph)
            self.assembly.add(kind, f"{label} {text}" if label else text, level=level)
            if kind in ("heading", "title"):
                self._headings.setdefault(kind, " ".join(text.split()))
        self._anchored(paragraph)

    def _kind(self, paragraph: Any) -> tuple[Kind, int, str | None]:
        """Kind, level, and the number that stands before the text."""
        properties = child(paragraph, "pPr")
        style = _value(properties, "pStyle")
        outline = _value(properties, "outlineLvl")
        level = self._styles.heading_level(style) or (min(6, int(outline) + 1) if outline in tuple("012345678") else 0)
        own = next(children(properties, "numPr", "listPr"), None) if properties is not None else None
        numbered = own if own is not None else self._styles.numbering(style)
        label = self._numbering.label(numbered) if numbered is not None else None
        if level:
            return "heading", level, label
        if label is not None:
            return "list_item", 0, label
        name = self._styles.name(style)
        return "list_item" if name.startswith("list ") else STYLE_KINDS.get(name, "paragraph"), 0, None

    def _anchored(self, element: Any) -> None:
        """Text boxes, charts, notes and comments, after the paragraph or table that holds them."""
        for box in _outermost(element, "txbxContent"):
            for block in _blocks(box):
                self._block(block)
        if self._package is not None:
            # Ids of parts stand in attributes of many names (r:id, r:dm); those of other parts do no harm.
            drawn = {value for node in descendants(element, "chart", "relIds") for value in node.attrib.values()}
            if drawn:
                add_drawn(self.assembly, self._package, self._part, {str(value) for value in drawn})
        for reference in descendants(element, *REFERENCES):
            self._note(self._notes.get((REFERENCES[name_of(reference)], attribute(reference, "id"))))
        for note in descendants(element, "footnote", "endnote"):  # as Word 2003 has them
            self._note(note)

    def _note(self, note: Any) -> None:
        if note is None:
            return
        text = "\n".join(filter(None, ("".join(_pieces(one)).strip() for one in descendants(note, "p"))))
        author = attribute(note, "author")
        self.assembly.add("paragraph", f"Comment by {author}: {text}" if author and text else text)

    def _table(self, table: Any) -> None:
        rows = list(_rows(table))
        cells = [cell for row in rows for cell in _cells(row)]
        if len(rows) == 1 or all(len(list(_cells(row))) == 1 for row in rows):
            # One row or one column is layout: its headings and lists stay what they are.
            for cell in cells:
                for block in _blocks(cell):
                    self._block(block)
            return
        add_grid(self.assembly, _grid(rows))
        for cell in cells:
            self._anchored(cell)

    def _imported(self, chunk: Any) -> None:
        """A foreign text (HTML) that Word shows in place."""
        from ingest.readers.decoding import decode
        from ingest.readers.html import add_html

        relation = self._package.relations(self._part).get(attribute(chunk, "id")) if self._package else None
        content = self._package.content(relation[1]) if self._package and relation else None
        if content and relation and relation[1].endswith(("htm", "html", "xhtml", "txt")):
            add_html(decode(content, relation[1]), self.assembly)


def _blocks(element: Any) -> Iterator[Any]:
    """Paragraphs, tables and imported texts, through content controls, insertions and sections."""
    for inner in element:
        name = name_of(inner)
        if name in ("p", "tbl", "altChunk"):
            yield inner
        elif name and name not in NOT_READ:
            yield from _blocks(inner)


def _pieces(element: Any) -> Iterator[str]:
    """The running text of one paragraph, without text boxes and notes."""
    for inner in element:
        name = name_of(inner)
        if name == "t":
            yield inner.text or ""
        elif name in SIGNS:
            yield SIGNS[name]
        elif name == "sym":
            yield _symbol(inner)
        elif name == "AlternateContent":
            yield from _pieces([_chosen(inner)])
        elif name and name not in NOT_READ and name not in ("txbxContent", "footnote", "endnote", "tbl"):
            yield from _pieces(inner)


def _chosen(alternatives: Any) -> Any:
    """The newer of two drawings of the same thing: both hold the same text."""
    choice = next(children(alternatives, "Choice"), None)
    return choice if choice is not None else alternatives


def _symbol(element: Any) -> str:
    code = attribute(element, "char")
    try:
        return chr(int(code, 16))
    except (ValueError, OverflowError):
        return ""


def _outermost(element: Any, name: str) -> Iterator[Any]:
    for inner in element:
        if name_of(inner) == name:
            yield inner
        elif name_of(inner) == "AlternateContent":
            found = list(_outermost(_chosen(inner), name))
            yield from found or [box for fallback in children(inner, "Fallback") for box in _outermost(fallback, name)]
        else:
            yield from _outermost(inner, name)


def _breaks(block: Any) -> tuple[int, int]:
    """How many pages begin before the block's first text, and how many inside of it."""
    before = inside = 0
    said = False
    for node in descendants(block, BREAK, "t"):
        if name_of(node) == "t":
            said = said or bool((node.text or "").strip())
        elif said:
            inside += 1
        else:
            before += 1
    return before, inside


def _rows(table: Any) -> Iterator[Any]:
    for inner in table:
        if name_of(inner) == "tr":
            yield inner
        elif name_of(inner) in ("sdt", "sdtContent", "ins", "customXml", "bookmarkStart"):
            yield from _rows(inner)


def _cells(row: Any) -> Iterator[Any]:
    for inner in row:
        if name_of(inner) == "tc":
            yield inner
        elif name_of(inner) in ("sdt", "sdtContent", "ins", "customXml"):
            yield from _cells(inner)


def _grid(rows: list[Any]) -> Rows:
    grid: Rows = []
    for row in rows:
        cells = [""] * int(_value(child(row, "trPr"), "gridBefore") or 0)
        for cell in _cells(row):
            properties = child(cell, "tcPr")
            span = _value(properties, "gridSpan")
            cells.append("" if _continues(properties) else _cell_text(cell))
            cells.extend([""] * (min(int(span), 100) - 1 if span.isdigit() else 0))
        grid.append(cells)
    return grid


def _continues(properties: Any) -> bool:
    """Whether the cell belongs to the one above it."""
    merge = next(children(properties, "vMerge", "vmerge"), None) if properties is not None else None
    return merge is not None and attribute(merge, "val", "continue") == "continue"


def _cell_text(cell: Any) -> str:
    return " ".join(filter(None, (_block_text(block) for block in _blocks(cell))))


def _block_text(block: Any) -> str:
    if name_of(block) == "p":
        return " ".join("".join(_pieces(block)).split())
    return "; ".join(", ".join(filter(None, row)) for row in _grid(list(_rows(block))))


def _value(properties: Any, name: str) -> str:
    found = child(properties, name) if properties is not None else None
    return attribute(found, "val") if found is not None else ""
