"""What a parser process says is not believed before it is checked."""

from __future__ import annotations

import pytest

from ingest.elements import Element, Line, Omission, Page, Summary
from ingest.errors import Encrypted, NotNow, Unreadable
from ingest.limits import Limits
from ingest.messages import (
    LONGEST_MESSAGE,
    MOST_OMISSIONS,
    BadMessage,
    decode,
    decode_error,
    decode_image,
    decode_page,
    decode_summary,
    decode_task,
    encode,
    encode_error,
    encode_page,
    encode_summary,
    encode_task,
)
from ingest.plain_file import FileIdentity
from ingest.task import OcrOptions, Task

PAGE = Page(
    number=3,
    part="Sheet \U0001f600",
    text="a | b\n1 | 2\n\nend",
    elements=(Element("table", 0, 11, header_end=5), Element("heading", 13, 16, level=2)),
    lines=(Line(0, 5, 1.0, 2.0, 3.0, 4.0),),
    width=612.0,
    height=792.0,
)


def fields(**changed: object) -> dict[str, object]:
    page = decode(encode(encode_page(PAGE)))["page"]
    assert isinstance(page, dict)
    return page | changed


def test_pages_and_summaries_survive_the_wire() -> None:
    assert decode_page(fields(), Limits()) == PAGE
    summary = Summary("Title", 4, (Omission("pages 3\u20134", "scanned"),))
    assert decode_summary(decode(encode(encode_summary(summary, 1, 2)))["summary"]) == summary


@pytest.mark.parametrize(
    "changed",
    [
        {"text": None},
        {"text": "x" * 200},
        {"text": "half a pair \ud83d and more"},
        {"number": 0},
        {"number": True},
        {"number": "3"},
        {"width": float("inf")},
        {"height": -1},
        {"elements": [["table", 0, 99, 0, 0]]},
        {"elements": [["spell", 0, 5, 0, 0]]},
        {"elements": [["table", 5, 0, 0, 0]]},
        {"elements": [["heading", 0, 5, 7, 0]]},
        {"elements": [["table", 0, 5, 0, 9]]},
        {"elements": [["table", 0, 5]]},
        {"elements": [["table", 4, 9, 0, 0], ["table", 0, 5, 0, 0]]},
        {"elements": [["table", 0, 5, 0, 0], ["table", 4, 9, 0, 0]]},
        {"elements": {"0": 1}},
        {"lines": [[0, 5, 9.0, 2.0, 3.0, 4.0]]},
        {"lines": [[0, 5, "1", 2.0, 3.0, 4.0]]},
        {"lines": [[0, 5, 1e300, 2.0, 1e300, 4.0]]},
    ],
)
def test_a_page_that_breaks_the_rules_is_refused(changed: dict[str, object]) -> None:
    with pytest.raises(BadMessage):
        decode_page(fields(**changed), Limits(characters=100))


@pytest.mark.parametrize("line", [b"", b"[]", b"{", b"\xff", b"[" * 100_000])
def test_a_line_that_is_no_object_is_refused(line: bytes) -> None:
    with pytest.raises(BadMessage):
        decode(line)


def test_errors_keep_their_kind_and_unknown_ones_become_unreadable() -> None:
    error = decode_error(encode_error(Encrypted("locked"))["error"])
    assert isinstance(error, Encrypted)
    assert str(error) == "locked"
    assert isinstance(decode_error({"code": "parser_died", "message": "I am dead"}), Unreadable)


def test_only_a_png_passes_for_an_image() -> None:
    with pytest.raises(BadMessage):
        decode_image("PHN2Zz48c2NyaXB0Lz48L3N2Zz4=")
    with pytest.raises(BadMessage):
        decode_image("not base64!")


def test_that_a_file_cannot_be_read_just_now_is_no_fault_of_the_file() -> None:
    assert type(decode_error(encode_error(NotNow("the drive does not answer"))["error"])) is NotNow


def test_titles_parts_and_reasons_of_any_length_are_cut_before_they_are_sent() -> None:
    endless = "x" * 10 * LONGEST_MESSAGE
    page = decode(encode(encode_page(Page(None, endless, "half a pair \ud83d", ()))))["page"]
    sent = decode_page(page, Limits())
    assert sent.part == "x" * (LONGEST_MESSAGE - 1) + "…"
    assert sent.text == "half a pair ?"
    summary = Summary(endless, 1, (Omission(endless, "half \ud83d"),) * (MOST_OMISSIONS + 20))
    told = decode_summary(decode(encode(encode_summary(summary, 1, 2)))["summary"])
    assert told.title == sent.part
    assert told.omissions[0] == Omission(sent.part or "", "half ?")
    assert told.omissions[-1].what == "20 more parts"
    assert len(told.omissions) == MOST_OMISSIONS + 1
    assert len(str(decode_error(encode_error(Unreadable(endless))["error"]))) == LONGEST_MESSAGE


def test_a_request_names_the_file_by_its_identity() -> None:
    identity = FileIdentity(1, (1 << 64) - 1, 3, 4)
    for given in (identity, None):
        request = decode(encode(encode_task("/a", "plain", OcrOptions(), 5, given)))["parse"]
        path, told, reader, task = decode_task(request, Limits())
        assert (str(path), told, reader, task) == ("/a", given, "plain", Task(first_page=5))
