"""Texts with marks, subtitles, code and HTML: their structure is found, and nothing that they link is read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ingest.elements import Page, Summary
from ingest.errors import Unreadable
from ingest.readers import code, html, marked_text, subtitles, xml_text
from ingest.task import Task

Read = Callable[[Path, Task], Iterator[Page | Summary]]


def blocks(read: Read, path: Path, content: str) -> list[tuple[str, int, str]]:
    path.write_text(content, encoding="utf-8")
    page, summary = read(path, Task())
    assert isinstance(page, Page)
    assert isinstance(summary, Summary)
    return [(element.kind, element.level, page.text[element.start : element.end]) for element in page.elements]


def test_restructured_text_gives_a_line_of_marks_the_level_at_which_it_first_comes(tmp_path: Path) -> None:
    content = (
        "=====\nGuide\n=====\n\nWords.\n\nPart\n----\n\n.. code-block:: sh\n\n   ls -l\n   ----\n\nSub\n~~~\n\n- item\n"
    )
    assert blocks(marked_text.read, tmp_path / "a.rst", content) == [
        ("heading", 1, "Guide"),
        ("paragraph", 0, "Words."),
        ("heading", 2, "Part"),
        ("code", 0, ".. code-block:: sh\n\n   ls -l\n   ----"),
        ("heading", 3, "Sub"),
        ("list_item", 0, "- item"),
    ]


@pytest.mark.parametrize(
    ("name", "content", "headings"),
    [
        ("a.org", "* TODO One\ntext\n** Two\n#+begin_src sh\n* no heading\n#+end_src\n", [(1, "One"), (2, "Two")]),
        ("a.adoc", "= Title\n\n== Section\n\n----\n== no heading\n----\n", [(1, "Title"), (2, "Section")]),
        (
            "a.tex",
            "\\title{Paper}\n\\section*{One}\n\\subsection{Two}\\label{x}\n",
            [(1, "Paper"), (2, "One"), (3, "Two")],
        ),
        ("a.wiki", "== Land ==\ntext\n=== City ===\n", [(2, "Land"), (3, "City")]),
    ],
)
def test_headings_are_found_by_the_marks_of_each_language(
    tmp_path: Path, name: str, content: str, headings: list[tuple[int, str]]
) -> None:
    found = blocks(marked_text.read, tmp_path / name, content)
    assert [(level, text) for kind, level, text in found if kind == "heading"] == headings


def test_an_include_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("password")
    found = blocks(marked_text.read, tmp_path / "a.rst", "Title\n=====\n\n.. include:: secret.txt\n")
    assert found[-1] == ("paragraph", 0, ".. include:: secret.txt")


SRT = "1\n00:00:01,000 --> 00:00:03,000\n<i>Good</i> morning.\n\n2\n00:00:03,500 --> 00:00:05,000\nSit down.\n\n"


def test_subtitles_are_paragraphs_with_the_time_of_their_beginning(tmp_path: Path) -> None:
    later = "3\n01:00:20,000 --> 01:00:22,000\nAn hour later.\n"
    assert blocks(subtitles.read, tmp_path / "a.srt", SRT + later) == [
        ("paragraph", 0, "[0:00:01] Good morning.\nSit down."),
        ("paragraph", 0, "[1:00:20] An hour later."),
    ]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.vtt", "WEBVTT\n\n00:01.000 --> 00:03.000 align:start\n<v Ann>Good morning.\n"),
        ("a.ass", "[Events]\nDialogue: 0,0:00:01.00,0:00:03.00,Default,,0,0,0,,{\\an8}Ann: Good morning.\n"),
        ("a.sbv", "0:00:01.000,0:00:03.000\nAnn: Good morning.\n"),
    ],
)
def test_other_kinds_of_subtitles_read_the_same(tmp_path: Path, name: str, content: str) -> None:
    assert blocks(subtitles.read, tmp_path / name, content) == [("paragraph", 0, "[0:00:01] Ann: Good morning.")]


def test_a_file_without_times_is_no_subtitle(tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match=r"a\.srt holds no line with a time"):
        blocks(subtitles.read, tmp_path / "a.srt", "only words\n")


def test_a_function_stays_in_one_block_of_code(tmp_path: Path) -> None:
    content = "import os\n\n\ndef one():\n    first()\n\n    second()\n\n\nx = 1\n"
    found = blocks(code.read, tmp_path / "a.py", content)
    assert found == [
        ("code", 0, "import os"),
        ("code", 0, "def one():\n    first()\n\n    second()"),
        ("code", 0, "x = 1"),
    ]


PAGE = """<html><head><title>Site</title><style>p {}</style></head><body><nav>menu home</nav><h1>Big <b>news</b></h1>
<div>loose <em>wo</em>rds<p>own block</p>tail</div><ul><li><p>first</p></li><li>second</li></ul><pre>a
  b</pre><table><caption>Prices</caption><tr><th>item</th><th>price</th></tr><tr><td>bo<b>lt</b></td><td>2</td></tr>
</table><table><tr><td><h2>In a layout</h2></td></tr></table><script>no()</script></body></html>"""


def test_html_keeps_blocks_lists_tables_and_code_in_their_order(tmp_path: Path) -> None:
    assert blocks(html.read, tmp_path / "a.html", PAGE) == [
        ("heading", 1, "Big news"),
        ("paragraph", 0, "loose words"),
        ("paragraph", 0, "own block"),
        ("paragraph", 0, "tail"),
        ("list_item", 0, "first"),
        ("list_item", 0, "second"),
        ("code", 0, "a\n  b"),
        ("caption", 0, "Prices"),
        ("table", 0, "item | price\nbolt | 2"),
        ("heading", 2, "In a layout"),
    ]


def test_the_menu_of_a_page_is_left_out_and_told(tmp_path: Path) -> None:
    path = tmp_path / "a.html"
    path.write_text(PAGE)
    summary = list(html.read(path, Task()))[-1]
    assert isinstance(summary, Summary)
    assert summary.title == "Site"
    assert summary.omissions[0].what == "navigation (2 words)"


def test_every_word_of_real_pages_is_in_what_is_read(shared: Path) -> None:
    from lxml import html as lxml_html

    for name in ("example-10k-1p.html", "test_blog.html", "html_rich_table_cells.html", "kvp_data_example.html"):
        path = shared / "format-zoo/html" / name
        page = next(html.read(path, Task()))
        assert isinstance(page, Page)
        root = lxml_html.document_fromstring(path.read_bytes())
        for hidden in list(root.iter("script", "style", "noscript", "head", "nav", "template")):
            hidden.drop_tree()
        words = {word for text in root.itertext() if isinstance(text, str) for word in text.split()}
        squeezed = "".join(page.text.split())
        assert [word for word in words if word not in squeezed] == [], name


def test_a_page_nested_too_deep_says_what_was_lost(tmp_path: Path) -> None:
    path = tmp_path / "a.html"
    path.write_text("<p>start" + "<div>" * 1000 + "deep" + "<div>" * 100_000 + "deeper")
    page, summary = html.read(path, Task())
    assert isinstance(page, Page)
    assert isinstance(summary, Summary)
    assert page.text == "start\n\ndeep"
    assert "too deep" in summary.omissions[0].reason


@pytest.mark.parametrize("link", ["file:///etc/passwd", "http://127.0.0.1:9/never"])
def test_linked_resources_are_not_fetched(tmp_path: Path, link: str) -> None:
    page = f'<p>text</p><iframe src="{link}"></iframe><link rel="import" href="{link}"><img src="{link}"><object data="{link}">'  # noqa: E501
    assert blocks(html.read, tmp_path / "a.html", page) == [("paragraph", 0, "text")]
    drawing = f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"><image xlink:href="{link}"/>'  # noqa: E501
    assert blocks(xml_text.read, tmp_path / "a.svg", drawing + "<text>label</text></svg>")[0][2] == "label"


def test_html_in_a_feed_is_read_as_html(tmp_path: Path) -> None:
    feed = "<rss><item><title>News</title><description>&lt;p&gt;One &lt;b&gt;word&lt;/b&gt;.&lt;/p&gt;</description></item></rss>"  # noqa: E501
    assert blocks(xml_text.read, tmp_path / "a.rss", feed) == [("heading", 1, "News"), ("paragraph", 0, "One word.")]
