"""Formats that are text: markdown, plain, tables, json, xml, and the guess of their encoding."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ingest.elements import Page, Summary
from ingest.errors import LimitReached, Unreadable
from ingest.limits import Limits
from ingest.readers import json_text, markdown, plain, tables, xml_text
from ingest.task import Task

Read = Callable[[Path, Limits], Iterator[Page | Summary]]


def blocks(read: Read, path: Path, content: str | bytes) -> list[tuple[str, int, str]]:
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
    page, summary = read(path, Task())
    assert isinstance(page, Page)
    assert isinstance(summary, Summary)
    return [(element.kind, element.level, page.text[element.start : element.end]) for element in page.elements]


MARKDOWN = """---
title: "Leave policy"
owner: HR
---
# Leave

Take *some* [days][1] off.

## Kinds ##

- annual
  more of it
  1. nested
- sick

Setext
------

```python
# not a heading
```

| a | b |
|---|---|
| 1 | 2 |

> quoted **text**

[1]: https://example.org "kept"
"""


def test_markdown_keeps_the_source_of_every_block(tmp_path: Path) -> None:
    assert blocks(markdown.read, tmp_path / "a.md", MARKDOWN) == [
        ("code", 0, 'title: "Leave policy"\nowner: HR'),
        ("heading", 1, "Leave"),
        ("paragraph", 0, "Take *some* [days][1] off."),
        ("heading", 2, "Kinds"),
        ("list_item", 0, "- annual\n  more of it"),
        ("list_item", 0, "  1. nested"),
        ("list_item", 0, "- sick"),
        ("heading", 2, "Setext"),
        ("code", 0, "```python\n# not a heading\n```"),
        ("table", 0, "| a | b |\n|---|---|\n| 1 | 2 |"),
        ("paragraph", 0, "> quoted **text**"),
        ("paragraph", 0, '[1]: https://example.org "kept"'),
    ]


def test_markdown_takes_its_title_from_the_front_matter_or_the_first_heading(tmp_path: Path) -> None:
    path = tmp_path / "a.md"
    path.write_text(MARKDOWN)
    assert list(markdown.read(path, Task()))[-1] == Summary("Leave policy", 1)
    path.write_text("intro\n\n# Real title\n")
    assert list(markdown.read(path, Task()))[-1] == Summary("Real title", 1)


def test_a_markdown_tables_header_reaches_to_its_rule(tmp_path: Path) -> None:
    path = tmp_path / "a.md"
    path.write_text("# T\n\n| a | b |\n|---|---|\n| 1 | 2 |\n")
    page = next(markdown.read(path, Task()))
    assert isinstance(page, Page)
    table = page.elements[1]
    assert page.text[table.start : table.header_end] == "| a | b |\n|---|---|"


def test_no_line_of_real_markdown_is_lost(shared: Path) -> None:
    for source in sorted((shared / "eval/tech-docs/docs").rglob("*.md"))[:40]:
        page = next(markdown.read(source, Task()))
        assert isinstance(page, Page)
        covered = "\n".join(page.text[element.start : element.end] for element in page.elements)
        words = source.read_text("utf-8-sig").replace("#", " ").split()
        assert set(words) - set(covered.replace("#", " ").split()) <= {"---", "...", "===", "====="} | {
            word for word in words if not any(map(str.isalnum, word))
        }, source.name


def test_plain_text_is_left_as_it_is(tmp_path: Path) -> None:
    assert blocks(plain.read, tmp_path / "a.txt", "One\r\ntwo.\r\n\r\n\r\n- a\r\n- b\r\n  \r\n2) last") == [
        ("paragraph", 0, "One\ntwo."),
        ("list_item", 0, "- a"),
        ("list_item", 0, "- b"),
        ("list_item", 0, "2) last"),
    ]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32", "cp1252", "utf-8"])
def test_the_encoding_is_found(tmp_path: Path, encoding: str) -> None:
    text = "Die Kündigungsfrist beträgt drei Monate zum Monatsende. Für Überstunden gilt: größere Flexibilität."
    assert blocks(plain.read, tmp_path / "a.txt", text.encode(encoding)) == [("paragraph", 0, text)]


def test_control_characters_are_blanked_without_moving_anything(tmp_path: Path) -> None:
    assert blocks(plain.read, tmp_path / "a.log", b"a\x1b[31mb\x07") == [("paragraph", 0, "a [31mb")]


def test_empty_and_oversized_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text(" \n\n")
    with pytest.raises(Unreadable, match="empty"):
        list(plain.read(path, Task()))
    path.write_text("x" * 500)
    with pytest.raises(LimitReached):
        list(plain.read(path, Task(Limits(characters=100))))


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_of_a_table_is_found(tmp_path: Path, delimiter: str) -> None:
    rows = [["name", "price", "note"], ["bolt", "1.50", "has a , and a ;"], ["nut", "0.20", ""]]
    path = tmp_path / "a.csv"
    path.write_text("\n".join(delimiter.join(f'"{cell}"' for cell in row) for row in rows))
    page = next(tables.read(path, Task()))
    assert isinstance(page, Page)
    assert page.text == "name | price | note\nbolt | 1.50 | has a , and a ;\nnut | 0.20"
    assert page.text[: page.elements[0].header_end] == "name | price | note"


def test_a_table_without_names_of_columns_has_no_header(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("1,2\n3,4\n")
    page = next(tables.read(path, Task()))
    assert isinstance(page, Page)
    assert page.elements[0].header_end == 0


def test_json_becomes_lines_with_paths(tmp_path: Path) -> None:
    content = '{"title": "Order", "items": [{"name": "bolt", "tags": ["a", "b"]}], "paid": true, "by": null}'
    assert blocks(json_text.read, tmp_path / "a.json", content) == [
        ("paragraph", 0, "title: Order\nitems[0].name: bolt\nitems[0].tags: a, b\npaid: True\nby: ")
    ]


def test_json_lines_are_a_paragraph_each_and_damaged_json_is_still_text(tmp_path: Path) -> None:
    assert len(blocks(json_text.read, tmp_path / "a.jsonl", '{"a": 1}\n{"a": 2}\n')) == 2
    path = tmp_path / "b.json"
    path.write_text('{"a": "kept"')
    page, summary = json_text.read(path, Task())
    assert isinstance(page, Page)
    assert isinstance(summary, Summary)
    assert "kept" in page.text
    assert "damaged" in summary.omissions[0].reason


def test_xml_keeps_inline_text_together_and_fetches_nothing(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("password")
    content = (
        f'<!DOCTYPE a [<!ENTITY x SYSTEM "file://{secret}">]>'
        "<a><sec><title>One</title><p>a <b>bold</b> tail &x;</p></sec></a>"
    )
    assert blocks(xml_text.read, tmp_path / "a.xml", content) == [
        ("heading", 1, "One"),
        ("paragraph", 0, "a bold tail &x;"),
    ]
