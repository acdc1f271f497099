"""Conversations and citations as they are kept: readable as given, whatever becomes of the files."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.cancellation import CancelToken
from rag.access import LOCAL_USER
from rag.appliance import Appliance
from rag.errors import NotFound
from rag.events import Answer, Done

LENS = "A broken lens is paid for by the Harbour Board."


def ask(appliance: Appliance, question: str, conversation: str | None = None) -> Answer:
    events = appliance.answer(question, identity=LOCAL_USER, conversation=conversation, cancel=CancelToken())
    (done,) = [event for event in events if isinstance(event, Done)]
    return done.answer


def test_turns_come_back_as_they_were(own_appliance: tuple[Appliance, Path]) -> None:
    appliance, _ = own_appliance
    conversation = appliance.new_conversation(LOCAL_USER)
    assert conversation not in [info.id for info in appliance.conversations(LOCAL_USER)]
    answers = [ask(appliance, LENS, conversation), ask(appliance, "And in winter?", conversation)]
    assert appliance.conversation(conversation, identity=LOCAL_USER) == answers
    assert "Read together" in answers[1].notes[0]
    newest = appliance.conversations(LOCAL_USER)[0]
    assert (newest.id, newest.title) == (conversation, LENS)


def test_a_citation_opens_the_page_that_it_stands_on(own_appliance: tuple[Appliance, Path]) -> None:
    appliance, _ = own_appliance
    citation = ask(appliance, LENS).citations[0]
    source = appliance.source(citation.id, identity=LOCAL_USER)
    ((start, end),) = source.spans
    assert source.page_text[start:end] == citation.quote == LENS
    assert (source.citation, source.banner, source.rectangles) == (citation, None, ())


def test_a_pdfs_citation_has_rectangles_and_a_picture(appliance: Appliance) -> None:
    question = "What is balance billing and how does the Northwind Standard plan protect against it?"
    citation = next(c for c in ask(appliance, question).citations if c.file.endswith(".pdf"))
    source = appliance.source(citation.id, identity=LOCAL_USER)
    assert source.has_image
    assert source.rectangles
    assert all(0 <= left < right <= 1 and 0 <= top < bottom <= 1 for left, top, right, bottom in source.rectangles)
    assert appliance.page_image(citation.id, identity=LOCAL_USER, width_px=200).startswith(b"\x89PNG")


def test_an_old_citation_outlives_its_file_and_says_so(own_appliance: tuple[Appliance, Path]) -> None:
    appliance, folder = own_appliance
    file = folder / "rules.txt"
    rule = "Visitors may climb the stairs in groups of at most twelve."
    file.write_text(rule)
    list(appliance.mirror(folder, identity=LOCAL_USER, cancel=CancelToken()))
    citation = ask(appliance, rule).citations[0]
    assert citation.file == "rules.txt"

    for what, change in {
        "has changed": lambda: file.write_text("Nobody may climb the stairs any more."),
        "no longer in": file.unlink,
    }.items():
        change()
        list(appliance.mirror(folder, identity=LOCAL_USER, cancel=CancelToken()))
        source = appliance.source(citation.id, identity=LOCAL_USER)
        assert what in str(source.banner)
        assert source.page_text == rule
        with pytest.raises(NotFound):
            appliance.page_image(citation.id, identity=LOCAL_USER)


@pytest.mark.parametrize("unknown", ["", "nonsense"])
def test_what_is_not_there_is_said(appliance: Appliance, unknown: str) -> None:
    with pytest.raises(NotFound):
        appliance.source(unknown, identity=LOCAL_USER)
    with pytest.raises(NotFound):
        appliance.conversation(unknown, identity=LOCAL_USER)
    with pytest.raises(NotFound):
        appliance.answer("Why?", identity=LOCAL_USER, conversation=unknown, cancel=CancelToken())
