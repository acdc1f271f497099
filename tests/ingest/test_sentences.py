"""Where sentences end, and that nothing is lost between them."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.sentences import sentence_spans


def sentences(text: str) -> list[str]:
    return [text[start:end] for start, end in sentence_spans(text)]


@given(st.text(st.sampled_from('ab AB.!?…"”)\n\t|-•1。！ \u2028'), max_size=80))
def test_spans_are_in_order_and_cover_everything_but_white_space(text: str) -> None:
    spans = sentence_spans(text)
    assert [i for span in spans for i in span] == sorted(i for span in spans for i in span)
    assert all(text[start:end] == text[start:end].strip() != "" for start, end in spans)
    covered = {i for start, end in spans for i in range(start, end)}
    assert {i for i, character in enumerate(text) if not character.isspace()} <= covered


@pytest.mark.parametrize(
    "whole",
    [
        "Dr. Smith met Mr. Jones at 5 p.m. Tuesday.",
        "The U.S. Army has approx. 3.5 million vehicles, cf. Fig. 4 on p. 2.",
        "J. R. R. Tolkien wrote it.",
        "It costs $1.50 at example.com/a.b today.",
        "He asked “why?” and left.",
    ],
)
def test_a_full_stop_within_a_sentence_does_not_end_it(whole: str) -> None:
    assert sentences(whole) == [whole]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("One. Two! Three? Four… Five", ["One.", "Two!", "Three?", "Four…", "Five"]),
        ("He said “Stop.” She stopped.", ["He said “Stop.”", "She stopped."]),
        ("一文です。二文です！三", ["一文です。", "二文です！", "三"]),
        ("A line that\nruns on. Next.", ["A line that\nruns on.", "Next."]),
        ("Title\n\nBody", ["Title", "Body"]),
        ("Needed are:\n- milk\n- eggs\n2. salt", ["Needed are:", "- milk", "- eggs", "2. salt"]),
        ("Item | Kept\nOil | 400\nWater | 900", ["Item | Kept", "Oil | 400", "Water | 900"]),
        ("| a |\n| b |", ["| a |", "| b |"]),
    ],
)
def test_sentences_end_where_a_reader_would_end_them(text: str, parts: list[str]) -> None:
    assert sentences(text) == parts


@pytest.mark.parametrize(
    "hostile",
    [
        "." * 100_000 + "x",
        "a\n" + " " * 100_000 + "b",
        "." + '"' * 100_000 + "x",
        "\n \n" * 50_000,
        "a\n" + "x " * 50_000,
        "a" + "." * 100_000 + "! b",
        "a. " * 50_000,
        " " * 50_000 + "a. " * 20_000,
    ],
    ids=["dots", "spaces", "quotes", "empty lines", "words", "dots and a mark", "no end", "spaces and no end"],
)
def test_hostile_text_takes_no_longer_than_its_length(hostile: str) -> None:
    started = time.monotonic()
    sentence_spans(hostile)
    assert time.monotonic() - started < 2


def test_a_very_long_sentence_ends_at_a_semicolon() -> None:
    clause = "the agreements that govern our notes restrict what we may do with our property and our income;"
    text = " ".join([clause] * 8)
    spans = sentence_spans(text)
    assert [text[start:end] for start, end in spans] == [" ".join([clause] * 4)] * 2
    assert len(sentence_spans(f"{clause} so be it.")) == 1
