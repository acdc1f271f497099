"""Citations: numbered, checked letter for letter, and placed on their page."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from indexes.contents import StoredPage
from rag.citations import CitationList, rectangles, stands_in, without_markers
from rag.evidence import Sentence

Make = Callable[..., list[Sentence]]


def test_the_same_place_is_cited_once(page_and_sentences: Make) -> None:
    first, second = page_and_sentences("One sentence stands here.", "Another stands there.")
    cited = CitationList()
    assert [cited.cite(sentence)[0].n for sentence in (first, second, first)] == [1, 2, 1]
    assert [cited.cite(first)[1], len(cited.citations)] == [False, 2]
    assert len({citation.id for citation in cited.citations}) == 2


def test_a_citation_names_file_page_version_and_its_very_words(page_and_sentences: Make) -> None:
    (sentence,) = page_and_sentences("One sentence stands here.")
    citation, _ = CitationList().cite(sentence)
    assert (citation.file, citation.page, citation.version, citation.chunk_id) == ("guides/lens.txt", 2, 4, 11)
    assert (citation.quote, citation.verified) == ("One sentence stands here.", True)


@pytest.mark.parametrize(
    ("quote", "stands"),
    [
        ("broken  lens\nis paid", True),
        ("A broken lens", True),
        ("a broken lens", False),
        ("broken lenses", False),
        ("brokenlens", False),
        ("", False),
        (" \n", False),
    ],
)
def test_verified_means_letter_for_letter_but_for_white_space(quote: str, stands: bool) -> None:
    assert stands_in(quote, "Note: A broken\nlens is   paid for.") == stands


def test_rectangles_are_the_cited_part_of_each_line_as_shares_of_the_page() -> None:
    lines = (
        (0, 10, 100.0, 100.0, 200.0, 120.0),
        (11, 21, 100.0, 130.0, 200.0, 150.0),
        (22, 30, 100.0, 160.0, 180.0, 180.0),
    )
    page = StoredPage(1, 1, 1, None, "x" * 30, 400.0, 200.0, lines, None)
    assert rectangles(page, 5, 16) == (
        pytest.approx((150 / 400, 0.5, 0.5, 0.6)),
        pytest.approx((0.25, 0.65, 150 / 400, 0.75)),
    )
    assert rectangles(page, 10, 11) == ()


def test_a_page_without_coordinates_has_no_rectangles() -> None:
    assert rectangles(StoredPage(1, 1, None, None, "text", None, None, (), None), 0, 4) == ()


def test_markers_can_be_taken_out() -> None:
    assert without_markers("One [1]. Two[2][3], in [brackets].") == "One. Two, in [brackets]."
