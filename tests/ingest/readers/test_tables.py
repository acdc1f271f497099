"""Tables in text files: what parts the cells, whatever the delimiter, quotes and encoding."""

from __future__ import annotations

from pathlib import Path

import pytest

from ingest.elements import Page, Summary
from ingest.errors import Unreadable
from ingest.readers import tables
from ingest.readers.delimiters import dialect_of, table_rows
from ingest.readers.grid import PAGE_CHARACTERS
from ingest.task import Task


def rows(text: str) -> list[list[str]]:
    return [row for row in table_rows(text, dialect_of(text)) if any(row)]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|", ":", "^", "~"])
def test_the_delimiter_is_found(delimiter: str) -> None:
    table = [["name", "price"], ["bolt", "1.50"], ["nut", "0.20"]]
    assert rows("\n".join(delimiter.join(row) for row in table)) == table


@pytest.mark.parametrize(
    ("text", "second"),
    [
        ("part;price;sum\na;1,5;2,5\nb;3,0;4,25\n", ["a", "1,5", "2,5"]),
        ("name;said\nAnn;hi, you, there\nBob;well, well\n", ["Ann", "hi, you, there"]),
        ("from,to\n12:30,13:40\n1:00,2:00\n", ["12:30", "13:40"]),
        ("a\tb\nx, y\tz; w\n", ["x, y", "z; w"]),
        ("name, city\nAnn, Rome\nBob, Oslo\n", ["Ann", "Rome"]),
        ('name,said\nAnn,"one\ntwo"\n', ["Ann", "one\ntwo"]),
        ("'name','said'\n'Ann','a, b'\n", ["Ann", "a, b"]),
        ('name,said\n"Ann","a ""b"""\n', ["Ann", 'a "b"']),
        ('"name","said"\n"Ann","a \\"b\\" c"\n', ["Ann", 'a "b" c']),
        ("sep=;\nname;said\nAnn;a,b\n", ["Ann", "a,b"]),
        ("Name    City      Age\nAnn     New York  41\nBob     Rome      38\n", ["Ann", "New York", "41"]),
        ("names\nAnn\nBob\n", ["Ann"]),
    ],
)
def test_cells_are_parted_where_a_person_would(text: str, second: list[str]) -> None:
    assert rows(text)[1] == second


def test_lines_above_the_header_do_not_hide_the_delimiter() -> None:
    text = "Sales, by region\nAs of May\n\nRegion;Sum;Tax\nNorth;1,5;2\nSouth;2,5;3\n"
    assert rows(text)[-2:] == [["North", "1,5", "2"], ["South", "2,5", "3"]]


def test_a_quote_that_nobody_closes_swallows_no_rows() -> None:
    text = 'name,size\n"bolt,12\n' + "nut,9\n" * 1000
    assert rows(text)[1:3] == [['"bolt', "12"], ["nut", "9"]]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_a_table_is_read_in_its_encoding_with_captions_and_header(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(
        "Gebühren für Überweisungen\n\nArt;Gebühr\nEilüberweisung;2,50\nDauerauftrag;1,00\n".encode(encoding)
    )
    page, summary = tables.read(path, Task())
    assert isinstance(page, Page)
    caption, table = page.elements
    assert (caption.kind, page.text[: caption.end]) == ("caption", "Gebühren für Überweisungen")
    assert page.text[table.start : table.header_end] == "Art | Gebühr"
    assert page.text[table.header_end : table.end] == "\nEilüberweisung | 2,50\nDauerauftrag | 1,00"
    assert summary == Summary(None, 1)


def test_a_large_table_comes_in_pages_with_the_header_on_each(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("Item,Kept\n" + "".join(f"thing number {i},{i}\n" for i in range(30_000)))
    *pages, summary = tables.read(path, Task())
    assert summary == Summary(None, len(pages))
    assert len(pages) > 2
    for page in pages:
        assert isinstance(page, Page)
        assert len(page.text) < PAGE_CHARACTERS + 100
        assert page.text[: page.elements[0].header_end] == "Item | Kept"


def test_a_table_without_a_filled_cell_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(",,\n,,\n")
    with pytest.raises(Unreadable, match="no rows"):
        list(tables.read(path, Task()))
