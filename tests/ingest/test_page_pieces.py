"""Pages of any length go through, none as a message that the other side would refuse."""

from __future__ import annotations

import pytest

from ingest import page_pieces
from ingest.elements import Element, Line, Page, Summary
from ingest.limits import Limits
from ingest.messages import encode, encode_page
from ingest.page_pieces import in_pieces, pieces


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_pieces, "MOST_CHARACTERS", 20)
    monkeypatch.setattr(page_pieces, "MOST_SLICES", 4)


def of_words(*texts: str) -> Page:
    elements, at = [], 0
    for text in texts:
        elements.append(Element("paragraph", at, at + len(text)))
        at += len(text) + 2
    return Page(7, "part", "\n\n".join(texts), tuple(elements))


def told(page: Page) -> list[str]:
    return [page.text[element.start : element.end] for element in page.elements]


def test_a_page_that_fits_stays_as_it_is() -> None:
    page = of_words("one", "two")
    assert list(pieces(page)) == [page]


@pytest.mark.usefixtures("small")
def test_a_long_page_is_cut_between_elements() -> None:
    page = of_words("one two", "three four", "five six", "seven")
    cut = list(pieces(page))
    assert "".join(piece.text for piece in cut) == page.text
    assert [told(piece) for piece in cut] == [["one two"], ["three four"], ["five six", "seven"]]
    assert {(piece.number, piece.part) for piece in cut} == {(None, "part")}


@pytest.mark.usefixtures("small")
def test_a_long_element_is_cut_behind_a_line_and_a_long_line_anywhere() -> None:
    for text, expected in (
        ("first line\nsecond line\nthird", ["first line\n", "second line\nthird"]),
        ("x" * 45, ["x" * 20, "x" * 20, "x" * 5]),
    ):
        cut = list(pieces(Page(None, None, text, (Element("code", 0, len(text)),))))
        assert [piece.text for piece in cut] == expected
        assert [told(piece) for piece in cut] == [[piece] for piece in expected]


@pytest.mark.usefixtures("small")
def test_many_short_elements_and_lines_are_cut_too() -> None:
    text = "a\n" * 10
    lines = tuple(Line(at, at + 1, 1.0, 1.0, 2.0, 2.0) for at in range(0, 20, 2))
    cut = list(pieces(Page(1, None, text, (), lines, 10.0, 10.0)))
    assert "".join(piece.text for piece in cut) == text
    assert [len(piece.lines) for piece in cut] == [4, 4, 2]
    assert all(piece.text[line.start : line.end] == "a" for piece in cut for line in piece.lines)
    cut = list(pieces(of_words(*"abcdef")))
    assert [told(piece) for piece in cut] == [["a", "b", "c", "d"], ["e", "f"]]


@pytest.mark.usefixtures("small")
def test_a_table_that_is_cut_has_its_header_where_it_stands() -> None:
    text = "name | sum\nNorth | 1\nSouth | 2"
    first, second = pieces(Page(None, None, text, (Element("table", 0, len(text), header_end=10),)))
    assert (first.elements[0].header_end, second.elements[0].header_end) == (10, 0)


@pytest.mark.usefixtures("small")
def test_the_summary_counts_the_pieces() -> None:
    items = [of_words("short"), of_words("one two", "three four", "five six"), Summary("t", 2)]
    *pages, summary = in_pieces(iter(items))
    assert summary == Summary("t", len(pages))


def test_the_longest_piece_fits_into_a_message() -> None:
    most, slices = page_pieces.MOST_CHARACTERS, page_pieces.MOST_SLICES
    spans = [(most - 2 - at, most - 1 - at) for at in range(slices)][::-1]
    elements = tuple(Element("list_item", start, end, 6, end) for start, end in spans)
    lines = tuple(
        Line(*span, -1234567.123456789, -1234567.123456789, 12345.678901234567, 1.2345678901234567) for span in spans
    )
    page = Page(None, "\U0001f600" * 2000, "\U0001f600" * most, elements, lines, 1234.5678901234567, 1.0, 0.123456789)
    (piece,) = pieces(page)
    assert len(encode(encode_page(piece))) < Limits().message_bytes
