"""Chunks: nothing lost, the window respected, headings and table headers where they belong, pages right."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexes.records import ChunkRecord
from ingest.chunking import HEADING_TOKENS, Chunker
from ingest.elements import Element, Kind, Page
from models.interfaces import Embedder

WINDOW = 60
TOKEN = re.compile(r"\w+|[^\w\s]")


def offsets(text: str) -> list[tuple[int, int]]:
    return [match.span() for match in TOKEN.finditer(text)]


def tokens(text: str) -> int:
    return len(offsets(text))


def page_of(
    *parts: tuple[Kind, int, str], number: int | None = None, part: str | None = None, gap: str = "\n\n"
) -> Page:
    """A page of (kind, level, text) elements; a table's first line names its columns."""
    text, elements = "", []
    for kind, level, content in parts:
        start = len(text)
        header_end = start + len(content.split("\n")[0]) if kind == "table" else 0
        elements.append(Element(kind, start, start + len(content), level, header_end))
        text += content + gap
    return Page(number, part, text, tuple(elements))


def chunked(pages: Sequence[Page], window: int = WINDOW) -> list[ChunkRecord]:
    return list(Chunker(offsets, window).chunks(pages))


words = st.text(st.sampled_from("abcdeéßñ中文語Ω0123.!?:;,“”()|-"), min_size=1, max_size=9)
lines = st.lists(words, min_size=1, max_size=30).map(" ".join)
blocks = st.lists(lines, min_size=1, max_size=6).map("\n".join)
parts = st.tuples(
    st.sampled_from(["title", "heading", "paragraph", "list_item", "table", "code", "caption", "picture"]),
    st.integers(0, 6),
    blocks,
)
heads = st.tuples(
    st.sampled_from(["header", "footer"]), st.just(0), st.sampled_from(["Page 1", "page  2", "Lease", "§ 4.2", "§ 4.3"])
)
pages = st.builds(
    lambda found, gap, part: page_of(*found, gap=gap, part=part),
    st.lists(st.one_of(parts, parts, heads), max_size=6),
    st.sampled_from(["\n", "\n\n", " "]),
    st.sampled_from([None, None, "Sheet1", "Sheet2"]),
)


@settings(max_examples=100, deadline=None)
@given(st.lists(pages, max_size=4))
def test_no_character_is_lost_but_those_of_running_heads_that_come_again(pages: list[Page]) -> None:
    covered = [set[int]() for _ in pages]
    for chunk in chunked(pages):
        for ordinal, start, end in chunk.spans:
            covered[ordinal].update(range(start, end))
    part, seen = None, set[str]()
    for page, there in zip(pages, covered, strict=True):
        part, seen = page.part, seen if page.part == part else set()
        for element in page.elements:
            said = " ".join(page.text[element.start : element.end].lower().split())
            head = re.sub(r"page \d", "page", said) if element.kind in ("header", "footer") else None
            wanted = {i for i in range(element.start, element.end) if not page.text[i].isspace()}
            assert not wanted & there if head in seen else wanted <= there
            seen |= {head} if head else set()


@settings(max_examples=60, deadline=None)
@given(st.lists(pages, max_size=4))
def test_a_chunk_fits_the_window_beside_its_headings(pages: list[Page]) -> None:
    for chunk in chunked(pages):
        ordinal, start, _ = chunk.spans[0]
        first = next(element for element in pages[ordinal].elements if element.start <= start < element.end)
        begins_with_heading = first.kind in ("title", "heading")
        assert tokens(chunk.text) <= chunk.tokens <= (WINDOW if begins_with_heading else WINDOW - HEADING_TOKENS)


@settings(max_examples=40, deadline=None)
@given(st.lists(pages, max_size=4))
def test_a_chunk_is_its_spans_in_reading_order(pages: list[Page]) -> None:
    chunks = chunked(pages)
    for chunk in chunks:
        assert chunk.text == "\n".join(pages[ordinal].text[start:end] for ordinal, start, end in chunk.spans)
    starts = [chunk.spans[-1][:2] for chunk in chunks]
    assert starts == sorted(starts)


def test_small_sections_share_a_chunk_and_a_full_section_begins_one() -> None:
    long = "word " * 15 + "end."
    page = page_of(("heading", 1, "One"), ("paragraph", 0, long), ("heading", 1, "Two"), ("paragraph", 0, long))
    assert [chunk.text.split()[0] for chunk in chunked([page])] == ["One", "Two"]
    small = page_of(("heading", 1, "One"), ("paragraph", 0, "a b."), ("heading", 1, "Two"), ("paragraph", 0, "c d."))
    assert [chunk.text for chunk in chunked([small])] == ["One\n\na b.\n\nTwo\n\nc d."]


def test_a_chunk_knows_the_path_of_the_headings_above_it() -> None:
    body = " ".join(f"w{i}" for i in range(19)) + "."
    page = page_of(
        ("title", 1, "Benefits"),
        ("heading", 2, "Dental"),
        ("paragraph", 0, body),
        ("paragraph", 0, body),
        ("heading", 2, "Vision"),
        ("paragraph", 0, body),
        ("paragraph", 0, body),
    )
    assert [chunk.heading for chunk in chunked([page])] == ["", "Benefits › Dental", "Benefits", "Benefits › Vision"]


def test_headings_move_on_with_what_they_head_and_keep_their_ancestors() -> None:
    page = page_of(
        ("heading", 1, "A"),
        ("paragraph", 0, "a b c d e f."),
        ("heading", 2, "B"),
        ("heading", 2, "C"),
        ("paragraph", 0, " ".join(f"w{i}" for i in range(12)) + "."),
    )
    first, second = chunked([page])
    assert first.text == "A\n\na b c d e f."
    assert (second.heading, second.text[:4]) == ("A", "B\n\nC")


def test_headings_alone_never_outgrow_the_window() -> None:
    page = page_of(*(("heading", 2, " ".join(f"h{i}w{j}" for j in range(9))) for i in range(30)))
    assert max(chunk.tokens for chunk in chunked([page])) <= WINDOW


def test_each_piece_of_a_table_repeats_the_row_that_names_the_columns() -> None:
    table = "Item | Kept\n" + "\n".join(f"thing{i} | {i}" for i in range(30))
    chunks = chunked([page_of(("table", 0, table))])
    assert len(chunks) > 3
    assert all(chunk.text.startswith("Item | Kept\nthing") for chunk in chunks)
    rows = [row for chunk in chunks for row in chunk.text.split("\n") if row.startswith("thing")]
    assert rows == table.split("\n")[1:]


def test_a_header_row_of_half_the_window_is_not_repeated() -> None:
    header = " | ".join(f"c{i}" for i in range(12))
    chunks = chunked([page_of(("table", 0, header + "\n" + "\n".join(f"r{i} | x" for i in range(20))))])
    assert [chunk.text.startswith("c0") for chunk in chunks] == [True] + [False] * (len(chunks) - 1)
    assert max(chunk.tokens for chunk in chunks) <= WINDOW - HEADING_TOKENS


def test_a_running_head_stands_where_it_comes_first_and_nowhere_else() -> None:
    pages = [
        page_of(("header", 0, "ACME Lease"), ("paragraph", 0, f"text {i}."), ("footer", 0, f"Page {i} of 12"))
        for i in range(9, 12)
    ]
    assert "\n".join(chunk.text for chunk in chunked(pages)).split() == (
        ["ACME", "Lease", "text", "9.", "Page", "9", "of", "12", "text", "10.", "text", "11."]
    )


def test_running_heads_that_say_different_things_all_stay() -> None:
    heads = ["Section 3.1", "Section 3.2", "Invoice 47110", "Invoice 47111", "As of 2023-05-01", "As of 2023-05-02"]
    chunks = chunked([page_of(("header", 0, head)) for head in heads])
    assert "\n".join(chunk.text for chunk in chunks).split("\n") == heads


def test_what_is_left_out_is_in_no_span_between_its_neighbours() -> None:
    first = page_of(("footer", 0, "Lease 1"))
    second = page_of(("paragraph", 0, "before"), ("footer", 0, "Lease 2"), ("paragraph", 0, "behind"))
    (chunk,) = chunked([first, second])
    assert chunk.text == "Lease 1\nbefore\nbehind"
    assert chunk.spans == ((0, 0, 7), (1, 0, 6), (1, 17, 23))


def test_each_sheet_begins_a_chunk_which_names_it() -> None:
    pages = [page_of(("paragraph", 0, f"text {name}."), part=name) for name in ("Costs", "Sales")]
    assert [(chunk.heading, chunk.text) for chunk in chunked(pages)] == [
        ("Costs", "text Costs."),
        ("Sales", "text Sales."),
    ]


def test_headings_of_one_attachment_are_not_above_the_next() -> None:
    body = "word " * 12 + "end."
    first = page_of(("heading", 1, "Minutes"), ("paragraph", 0, body), part="a.docx")
    second = page_of(("paragraph", 0, body), part="b.docx")
    assert [chunk.heading for chunk in chunked([first, second])] == ["a.docx", "b.docx"]


@pytest.mark.parametrize("kind", ["caption", "paragraph"])
def test_each_piece_of_a_table_has_its_caption_in_the_heading(kind: Kind) -> None:
    table = "Item | Kept\n" + "\n".join(f"thing{i} | {i}" for i in range(30))
    first, *others = chunked([page_of((kind, 0, "Stock of May"), ("table", 0, table), part="Sheet 1")])
    assert first.text.startswith("Stock of May")
    assert first.heading == "Sheet 1"
    assert len(others) > 2
    assert {chunk.heading for chunk in others} == {"Sheet 1 › Stock of May"}


def test_a_long_text_above_a_table_is_no_caption() -> None:
    table = "Item | Kept\n" + "\n".join(f"thing{i} | {i}" for i in range(30))
    chunks = chunked([page_of(("paragraph", 0, "word " * 40), ("table", 0, table))])
    assert {chunk.heading for chunk in chunks} == {""}


def test_rows_repeat_the_line_that_they_stand_under() -> None:
    table = "Item | Kept\nMetal\n" + "\n".join(f"thing{i} | {i}" for i in range(20)) + "\nWood\nbeam | 3\nrod | 4"
    chunks = chunked([page_of(("table", 0, table))])
    for chunk in chunks[1:]:
        assert chunk.text.startswith("Item | Kept\n")
        before = table[: chunk.spans[-1][1]]
        assert chunk.text.split("\n")[1] in ("Metal", "Wood")
        assert chunk.text.split("\n")[1] == ("Wood" if "Wood" in before else "Metal") or "Wood" in chunk.text


def test_a_row_longer_than_a_chunk_is_cut_at_cells_and_repeats_its_first_cell() -> None:
    row = " | ".join(["Ann", *(f"w{i} x{i} y{i}" for i in range(30))])
    table = "a | b\nBob | short\n" + row
    chunks = chunked([page_of(("table", 0, table))])
    pieces = [chunk.text for chunk in chunks if "y7" in chunk.text or "y17" in chunk.text]
    assert all(piece.startswith("a | b\nAnn |\nw") for piece in pieces)
    assert all(re.fullmatch(r"(w(\d+) x\2 y\2( \| | \|$|$))+", piece.split("\n")[2]) for piece in pieces)


def test_fed_again_the_same_pages_give_the_same_chunks() -> None:
    pages = [page_of(("header", 0, "Head 1"), ("heading", 2, f"H{i}"), ("table", 0, "a | b\n1 | 2")) for i in range(5)]
    assert chunked(pages) == chunked(list(pages))


def test_a_chunk_over_a_page_break_has_a_span_on_each_page() -> None:
    pages = [page_of(("paragraph", 0, "one two."), number=1), page_of(("paragraph", 0, "three four."), number=2)]
    (chunk,) = chunked(pages)
    assert chunk.spans == ((0, 0, 8), (1, 0, 11))
    assert chunk.text == "one two.\nthree four."


def test_a_full_page_ends_a_chunk() -> None:
    pages = [page_of(("paragraph", 0, "word " * 14 + "end.")), page_of(("paragraph", 0, "next."))]
    assert [chunk.spans[0][0] for chunk in chunked(pages)] == [0, 1]


def test_a_sentence_longer_than_the_window_is_cut_between_tokens() -> None:
    text = " ".join(f"w{i}" for i in range(100))
    chunks = chunked([page_of(("paragraph", 0, text))])
    assert " ".join(chunk.text.strip() for chunk in chunks) == text
    assert {chunk.tokens for chunk in chunks[:-1]} == {WINDOW - HEADING_TOKENS}


def test_tokens_that_begin_at_one_character_do_not_stop_the_chunker() -> None:
    chunker = Chunker(lambda text: [(i, i + 1) for i in range(len(text)) for _ in range(50)], WINDOW)
    assert "".join(chunk.text for chunk in chunker.chunks([page_of(("paragraph", 0, "abcdef"))])) == "abcdef"


@pytest.mark.parametrize("nothing", [[], [Page(1, None, "", ())], [Page(1, None, " \n ", ())]])
def test_no_text_makes_no_chunk(nothing: list[Page]) -> None:
    assert chunked(nothing) == []


def test_with_the_real_tokenizer_no_chunk_is_longer_than_the_window(embedder: Embedder) -> None:
    sentence = (
        "Überraschend genug: the premium for non-members is $1,234.56 a year (see § 4.2), naïveté notwithstanding. "
    )
    page = page_of(("heading", 1, "Premiums"), ("paragraph", 0, sentence * 40), ("code", 0, "x = {'a': 1}\n" * 100))
    for chunk in Chunker(embedder.token_offsets, embedder.window_tokens).chunks([page]):
        assert len(embedder.token_offsets(chunk.text)) <= embedder.window_tokens
