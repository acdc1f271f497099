"""Two users: no call of the appliance gives one of them anything of the other's."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path

import pytest

from models.cancellation import CancelToken
from rag.access import LOCAL_USER, Identity
from rag.appliance import Appliance
from rag.errors import Forbidden
from rag.events import Done

STRANGER = Identity(user_id=2, name="stranger")
ASKED = "Who pays for a broken lens?"


@pytest.fixture(scope="module")
def conversation(appliance: Appliance) -> str:
    return appliance.new_conversation(LOCAL_USER)


@pytest.fixture(scope="module")
def citation(appliance: Appliance, conversation: str) -> str:
    question = "The lamp is lit half an hour before sunset and burns until one hour after sunrise."
    events = appliance.answer(question, identity=LOCAL_USER, conversation=conversation, cancel=CancelToken())
    (done,) = [event for event in events if isinstance(event, Done)]
    return done.answer.citations[0].id


FORBIDDEN: dict[str, Callable[[Appliance, str, str], object]] = {
    "answer": lambda a, _c, _i: list(a.answer(ASKED, identity=STRANGER, cancel=CancelToken())),
    "chat": lambda a, _c, _i: list(
        a.chat([], identity=STRANGER, model="x", max_tokens=1, temperature=0, stop=(), cancel=CancelToken())
    ),
    "search": lambda a, _c, _i: a.search(ASKED, identity=STRANGER),
    "source": lambda a, _c, citation: a.source(citation, identity=STRANGER),
    "page_image": lambda a, _c, citation: a.page_image(citation, identity=STRANGER),
    "new_conversation": lambda a, _c, _i: a.new_conversation(STRANGER),
    "conversation": lambda a, conversation, _i: a.conversation(conversation, identity=STRANGER),
    "status": lambda a, _c, _i: a.status(identity=STRANGER),
    "look_up": lambda a, _c, _i: a.look_up("lens.txt", identity=STRANGER),
    "collection": lambda a, _c, _i: a.collection("default", identity=STRANGER),
    "add_folder": lambda a, _c, _i: a.add_folder(Path("/tmp"), identity=STRANGER),
    "mirror": lambda a, _c, _i: list(a.mirror(Path("/tmp"), identity=STRANGER, cancel=CancelToken())),
    "follow": lambda a, _c, _i: list(a.follow(Path("/tmp"), identity=STRANGER, cancel=CancelToken())),
    "pause": lambda a, _c, _i: a.pause(True, identity=STRANGER),
    "retry": lambda a, _c, _i: a.retry(identity=STRANGER),
    "cancel_ingest": lambda a, _c, _i: a.cancel_ingest(identity=STRANGER),
    "forget_folder": lambda a, _c, _i: a.forget_folder(Path("/tmp"), identity=STRANGER),
    "remove_collection": lambda a, _c, _i: a.remove_collection("default", identity=STRANGER),
}
NOTHING: dict[str, Callable[[Appliance], object]] = {
    "conversations": lambda a: a.conversations(STRANGER),
    "collections": lambda a: a.collections(STRANGER),
}
OF_NOBODY = {"models", "readiness", "describe", "machine", "metrics_text", "warm_up", "close", "embedder", "follow_all"}
"""Calls that give nothing of anybody's documents."""


@pytest.mark.parametrize("call", FORBIDDEN)
def test_a_stranger_is_refused(call: str, appliance: Appliance, conversation: str, citation: str) -> None:
    with pytest.raises(Forbidden):
        FORBIDDEN[call](appliance, conversation, citation)


@pytest.mark.usefixtures("citation")
@pytest.mark.parametrize("call", NOTHING)
def test_a_stranger_sees_nothing(call: str, appliance: Appliance) -> None:
    assert NOTHING[call](appliance) == []


def test_a_strangers_answer_in_anothers_conversation_is_refused(appliance: Appliance, conversation: str) -> None:
    with pytest.raises(Forbidden):
        appliance.answer(ASKED, identity=STRANGER, conversation=conversation, cancel=CancelToken())


def test_an_identity_is_more_than_its_name_or_its_number(appliance: Appliance) -> None:
    for pretended in (Identity(2, "local"), Identity(1, "stranger")):
        with pytest.raises(Forbidden):
            appliance.search(ASKED, identity=pretended)


def test_every_call_of_the_appliance_is_in_one_of_these_lists() -> None:
    calls = {name for name, _ in inspect.getmembers(Appliance, inspect.isfunction) if not name.startswith("_")}
    assert calls == {*FORBIDDEN, *NOTHING, *OF_NOBODY}
