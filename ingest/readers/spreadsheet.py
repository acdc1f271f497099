"""Spreadsheets: a page for each sheet, hidden ones too, its rows as tables, values as stored.

xlsx is read by openpyxl and xls by xlrd, which know how a cell is shown (dates, per cent), xlsb here, and files that
those refuse by calamine. `unstructured` would round numbers to six digits.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from ingest.elements import Omission, Page, Summary
from ingest.errors import Unreadable
from ingest.readers import binary_workbook
from ingest.readers.assembly import PageAssembly
from ingest.readers.drawings import add_drawn, paragraphs
from ingest.readers.grid import grid_pages
from ingest.readers.markup import attribute, descendants, text_of
from ingest.readers.office_package import Package
from ingest.readers.sheets import Sheet, new_sheets, old_sheets
from ingest.task import Task

OF_OLD_BOOKS = Omission("charts, text boxes and pictures", "of the old binary format only cells and comments are read")


def read(path: Path, task: Task) -> Iterator[Page | Summary]:
    """Formulas by their last value. Raises Encrypted, Unreadable, LimitReached."""
    with path.open("rb") as file:
        zipped = file.read(2) == b"PK"
    if zipped:
        with closing(Package(path, task)) as package:
            yield from _told(path, _binary(path, package) if _is_binary(package) else new_sheets(path), package)
    else:
        yield from _told(path, old_sheets(path), None)


def _is_binary(package: Package) -> bool:
    return any(name.lower().endswith("workbook.bin") for name in package.names())


def _binary(path: Path, package: Package) -> Iterator[Sheet]:
    try:
        for name, rows in binary_workbook.sheets(package):
            yield Sheet(name, rows)
    except (struct.error, IndexError) as exc:
        raise Unreadable(f"{path.name} is damaged: a record of the workbook ends too early.") from exc


def _told(path: Path, sheets: Iterator[Sheet], package: Package | None) -> Iterator[Page | Summary]:
    count = 0
    parts = _parts(package) if package else {}
    for sheet in sheets:
        for page in grid_pages(sheet.rows, None, sheet.name):
            count += 1
            yield page
        # What lies beside the cells has no place among them.
        assembly = PageAssembly(None, sheet.name)
        for comment in sheet.comments:
            assembly.add("paragraph", comment)
        if package and sheet.name in parts:
            _add_beside_cells(assembly, package, parts[sheet.name], has_comments=bool(sheet.comments))
        if not assembly.empty:
            count += 1
            yield assembly.page()
    if not count:
        raise Unreadable(f"{path.name} holds no filled cell.")
    yield Summary(package.title() if package else None, count, () if package else (OF_OLD_BOOKS,))


def _parts(package: Package) -> dict[str, str]:
    """The part of each sheet by its name."""
    main = package.main_part() or "xl/workbook.xml"
    root = package.root(main)
    relations = package.relations(main)
    parts = {}
    for sheet in descendants(root, "sheet") if root is not None else ():
        ids = [str(value) for key, value in sheet.attrib.items() if key.endswith("}id")]
        parts.update({attribute(sheet, "name"): relations[one][1] for one in ids if one in relations})
    return parts


def _add_beside_cells(assembly: PageAssembly, package: Package, part: str, *, has_comments: bool) -> None:
    """Text boxes, charts, and comments that the reader of cells has not given."""
    for drawing in package.related(part, "drawing"):
        root = package.root(drawing)
        for text in paragraphs(root) if root is not None else ():
            assembly.add("paragraph", text)
        add_drawn(assembly, package, drawing)
    for kind in ("comments", "threadedComment") if not has_comments else ("threadedComment",):
        for name in package.related(part, kind):
            root = package.root(name)
            for comment in descendants(root, "comment", "threadedComment") if root is not None else ():
                text = text_of(comment)
                assembly.add("paragraph", f"Comment on {attribute(comment, 'ref')}: {text}" if text else "")
