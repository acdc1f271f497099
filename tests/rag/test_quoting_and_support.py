"""What is quoted, and which of a model's sentences may be shown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from models.interfaces import Embedder
from rag.evidence import Sentence
from rag.quoting import choose_quotes
from rag.support import supporting_sentence, whole_sentences

Make = Callable[..., list[Sentence]]
LENS = "A broken lens is paid for by the Harbour Board within 48 hours."
LAMP = "The lamp is lit half an hour before sunset."


def texts(sentences: list[Sentence]) -> list[str]:
    return [sentence.text for sentence in sentences]


def test_the_best_sentence_leads_and_weak_ones_stay_out(page_and_sentences: Make) -> None:
    best, near, weak = page_and_sentences("First stands here.", "Second stands here.", "Third stands here.")
    assert texts(choose_quotes([best, near, replace(weak, support=0.5)])) == [best.text, near.text]


def test_at_most_three_are_quoted_and_none_twice(page_and_sentences: Make) -> None:
    sentences = page_and_sentences(*(f"Sentence number {i} here." for i in range(6)))
    assert len(choose_quotes([sentences[0], *sentences])) == 3
    assert choose_quotes([]) == []


def test_a_sentence_that_announces_a_list_takes_it_along(page_and_sentences: Make) -> None:
    from tests.rag.conftest import stored_page

    (sentence,) = page_and_sentences("Eligible are:", page=stored_page())
    (quote,) = choose_quotes([sentence])
    assert quote.text.startswith("Eligible are:\n- keepers\n- their families")
    assert quote.text in stored_page().text


def test_a_paraphrase_is_supported_by_the_sentence_that_it_stands_on(
    page_and_sentences: Make, embedder: Embedder
) -> None:
    evidence = page_and_sentences(LAMP, LENS)
    supported = supporting_sentence("The Harbour Board pays for a broken lens.", evidence, embedder)
    assert supported is not None
    assert supported.text == LENS


@pytest.mark.parametrize(
    "claim",
    [
        "The Harbour Board pays for a broken lens within 72 hours.",
        "A broken lens is paid for by the Harbour Board of Liverpool within 48 hours.",
        "Whales are the largest mammals on the planet.",
        "A broken lens is not paid for by the Harbour Board.",
        "A broken lens is paid for by the Board, which is paid for by the Board.",
    ],
    ids=["another number", "another name", "another matter", "a denial", "going round"],
)
def test_what_the_passage_does_not_say_is_not_supported(
    claim: str, page_and_sentences: Make, embedder: Embedder
) -> None:
    assert supporting_sentence(claim, page_and_sentences(LAMP, LENS), embedder) is None


def test_nothing_is_supported_by_nothing(embedder: Embedder) -> None:
    assert supporting_sentence(LENS, [], embedder) is None


def test_a_stream_becomes_whole_sentences() -> None:
    pieces = ["The le", "ns costs 4.", "5 pounds. It", " is heavy!\nAsk", " the Board"]
    assert list(whole_sentences(iter(pieces))) == ["The lens costs 4.5 pounds.", "It is heavy!", "Ask the Board"]
    assert list(whole_sentences(iter([]))) == []


def test_a_stream_is_not_cut_at_abbreviations_or_list_numbers() -> None:
    pieces = [
        "Ulta Beauty, In",
        "c. opened 47 new stores, e.g. in Ohio [2]. Steps:\n1. Open",
        " the page [1].\n2. Read it.",
    ]
    assert list(whole_sentences(iter(pieces))) == [
        "Ulta Beauty, Inc. opened 47 new stores, e.g. in Ohio.",
        "Steps:",
        "Open the page.",
        "Read it.",
    ]
