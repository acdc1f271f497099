"""The flow of an OpenDocument text: headings, paragraphs, lists, tables, notes, text boxes, charts in their order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ingest.readers.assembly import PageAssembly
from ingest.readers.grid import Rows, add_grid
from ingest.readers.markup import attribute, children, descendants, name_of, text_of

# A sheet declares its empty rest as one cell or row repeated a million times.
MOST_REPEATED = 1000
LISTS = ("list", "ordered-list", "unordered-list")
NOT_READ = ("tracked-changes", "sequence-decls", "variable-decls", "user-field-decls", "settings", "image-map")
NOT_SAID = ("ruby-text", "tracked-changes", "office:binary-data", "binary-data", "desc")
ASIDE = (
    "note",
    "footnote",
    "endnote",
    "annotation",
    "frame",
    "text-box",
    "custom-shape",
    "object",
    "g",
    "rect",
    "line",
)
SHAPES = ("frame", "text-box", "custom-shape", "g", "a", "rect", "line", "ellipse", "circle", "polygon", "path",
          "polyline", "connector", "caption", "regular-polygon", "measure", "control")  # fmt: skip
FORM_FIELDS = ("text", "textarea", "combobox", "listbox", "option", "item", "checkbox", "radio", "button", "fixed-text",
               "frame", "date", "formatted-text")  # fmt: skip
TITLE_SHAPES = ("title",)


class Flow:
    """`objects` are the roots of embedded documents (charts, formulas) by their folder in the package; `style_names`
    are the names that people know a style by ("Heading 1"), by the names that the text uses."""

    def __init__(self, objects: dict[str, Any], style_names: dict[str, str]) -> None:
        self._objects = objects
        self._style_names = style_names
        self.first_heading: str | None = None

    def blocks(self, element: Any, assembly: PageAssembly) -> None:
        for inner in element:
            name = name_of(inner)
            if name in ("p", "h"):
                self._paragraph(inner, assembly)
            elif name in LISTS:
                self._list(inner, assembly)
            elif name == "table":
                self._table(inner, assembly)
            elif name in ("object", "chart"):
                self._object(inner, assembly)
            elif name == "forms":
                self._forms(inner, assembly)
            elif name and name not in NOT_READ:
                self.blocks(inner, assembly)

    def slide(self, page: Any, assembly: PageAssembly) -> None:
        """The title first, wherever it lies; notes last."""
        shapes = [shape for shape in page if name_of(shape) not in ("notes", "forms", "animations", "par")]
        shapes.sort(key=lambda shape: attribute(shape, "class") not in TITLE_SHAPES)
        for shape in shapes:
            if attribute(shape, "class") in TITLE_SHAPES:
                self._heading(text_of(shape), 2, assembly)
            else:
                self.blocks([shape], assembly)
        for notes in children(page, "notes"):
            self.blocks(notes, assembly)

    def beside_cells(self, table: Any, assembly: PageAssembly) -> None:
        """What lies on a sheet without being a cell's text: shapes, charts, comments."""
        for shapes in children(table, "shapes"):
            self.blocks(shapes, assembly)
        for cell in descendants(table, "table-cell"):
            for inner in cell:
                if name_of(inner) in (*SHAPES, "annotation"):
                    self.blocks([inner], assembly)

    def _paragraph(self, element: Any, assembly: PageAssembly) -> None:
        text = spoken(element)
        level = self._heading_level(element)
        if level:
            self._heading(text, level, assembly)
        else:
            assembly.add("title" if self._style(element) == "title" else "paragraph", text)
        self._asides(element, assembly)

    def _style(self, element: Any) -> str:
        return self._style_names.get(attribute(element, "style-name"), "").casefold()

    def _heading_level(self, element: Any) -> int:
        """1–6; 0 for what is no heading. Old files say it by the name of the style alone."""
        if name_of(element) == "h":
            level = attribute(element, "outline-level") or attribute(element, "level")
        else:
            level = (
                self._style(element).removeprefix("heading ") if self._style(element).startswith("heading ") else "0"
            )
        return min(6, int(level)) if level.isdigit() else 1

    def _forms(self, element: Any, assembly: PageAssembly) -> None:
        for control in descendants(element, *FORM_FIELDS):
            said = [attribute(control, name) for name in ("label", "title", "current-value")]
            assembly.add("paragraph", ": ".join(dict.fromkeys(filter(None, said))))

    def _asides(self, element: Any, assembly: PageAssembly) -> None:
        """Notes, comments and text boxes that are anchored in a paragraph, after it."""
        for inner in element:
            name = name_of(inner)
            if name in ("note", "footnote", "endnote"):
                bodies = [body for body in inner if name_of(body).endswith("-body")]
                assembly.add(
                    "paragraph", " ".join([*map(text_of, children(inner, "note-citation")), *map(text_of, bodies)])
                )
            elif name in (*SHAPES, "object", "annotation"):
                self.blocks([inner], assembly)
            elif name:
                self._asides(inner, assembly)

    def _list(self, element: Any, assembly: PageAssembly) -> None:
        for item in children(element, "list-item", "list-header"):
            for inner in item:
                if name_of(inner) == "p":
                    assembly.add("list_item", spoken(inner))
                    self._asides(inner, assembly)
                else:
                    self.blocks([inner], assembly)

    def _table(self, element: Any, assembly: PageAssembly) -> None:
        add_grid(assembly, cells(element))
        for cell in descendants(element, "table-cell"):
            for paragraph in children(cell, "p", "h"):
                self._asides(paragraph, assembly)

    def _object(self, element: Any, assembly: PageAssembly) -> None:
        """A chart lies in a folder of its own, or inside of the element in a flat file."""
        folder = attribute(element, "href").removeprefix("./").rstrip("/")
        root = self._objects.get(folder, element)
        for title in descendants(root, "title"):
            if title.prefix in ("chart", None):
                assembly.add("caption", text_of(title))
        tables = list(descendants(root, "table"))
        for table in tables:
            add_grid(assembly, cells(table))
        if not tables:
            assembly.add("paragraph", text_of(root))

    def _heading(self, text: str, level: int, assembly: PageAssembly) -> None:
        if text.strip():
            self.first_heading = self.first_heading or text.strip()
            assembly.add("heading", text.strip(), level=level)


def spoken(element: Any) -> str:
    """The text of a paragraph with its spaces, tabs and line breaks, without what is anchored in it."""
    return "".join(_pieces(element)).strip()


def _pieces(element: Any) -> Iterator[str]:
    yield " ".join((element.text or "").split("\n"))
    for inner in element:
        name = name_of(inner)
        if name == "s":
            yield " " * min(int(attribute(inner, "c", "1")) if attribute(inner, "c", "1").isdigit() else 1, 80)
        elif name in ("tab", "tab-stop"):
            yield "\t"
        elif name == "line-break":
            yield "\n"
        elif name and name not in ASIDE and name not in NOT_SAID and name not in SHAPES[:1]:
            yield from _pieces(inner)
        yield " ".join((inner.tail or "").split("\n"))


def cells(table: Any) -> Rows:
    """The rows of a table or sheet. A covered cell is empty; a table inside a cell is its cell's text."""
    rows: Rows = []
    for row in _rows(table):
        row_cells: list[str] = []
        for cell in children(row, "table-cell", "covered-table-cell"):
            covered = name_of(cell) == "covered-table-cell"
            text = "" if covered else _cell_text(cell)
            row_cells.extend([text] * _repeated(cell, "number-columns-repeated", text))
        while row_cells and not row_cells[-1]:
            row_cells.pop()
        rows.extend([row_cells] * _repeated(row, "number-rows-repeated", "".join(row_cells)))
    return rows


def _rows(table: Any) -> Iterator[Any]:
    for inner in table:
        if name_of(inner) == "table-row":
            yield inner
        elif name_of(inner) in ("table-header-rows", "table-rows", "table-row-group"):
            yield from _rows(inner)


def _cell_text(cell: Any) -> str:
    shown = " ".join(filter(None, (_text_in_cell(inner) for inner in cell)))
    if shown.strip("#"):
        return shown
    # A column too narrow shows "###"; the value stands beside it.
    return attribute(cell, "value") or attribute(cell, "date-value") or shown


def _text_in_cell(element: Any) -> str:
    if name_of(element) in ("p", "h"):
        return " ".join(spoken(element).split())
    if name_of(element) in (*SHAPES, "annotation", "shapes", ""):
        return ""
    return " ".join(filter(None, map(_text_in_cell, element)))


def _repeated(element: Any, name: str, text: str) -> int:
    value = attribute(element, name, "1")
    times = int(value) if value.isdigit() else 1
    return max(1, min(times, MOST_REPEATED if text else 100))
