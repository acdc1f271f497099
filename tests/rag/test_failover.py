"""Fail-over as a person meets it: a real engine killed while it writes, another that stands in, and none at all."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil
import pytest

from models.cancellation import CancelToken
from models.errors import EngineUnavailable
from models.interfaces import ChatMessage, Engine
from rag.access import LOCAL_USER
from rag.appliance import Appliance
from rag.building import build_appliance
from rag.commands import run_command
from rag.errors import BadInput
from rag.events import Answer, Done, EngineLost, Event, Stage, Token
from rag.ownership import try_own
from rag.settings import EngineSetting, Settings
from tests.rag.standin import Office, running_office

SENTENCE = "A broken lens is paid for by the Harbour Board."
QUESTION = "A broken lens is paid for by whom? By the Harbour Board?"
SMOLLM2 = Engine("llama.cpp", "smollm2-135m-instruct", "127.0.0.1", "local")
MakeAppliance = Callable[..., Appliance]


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    with running_office(tmp_path_factory.mktemp("office"), SENTENCE) as office:
        yield office


@pytest.fixture
def make(cache: Path, tmp_path: Path) -> Iterator[MakeAppliance]:
    """An appliance that has read one file."""
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "lens.txt").write_text(f"{SENTENCE} The lamp is lit before sunset.")
    with ExitStack() as stack:

        def make(**settings: Any) -> Appliance:
            owner = try_own(tmp_path / "home")
            assert owner is not None
            stack.enter_context(owner)
            appliance = build_appliance(Settings(home=tmp_path / "home", cache=cache, parsers=1, **settings), owner)
            stack.callback(appliance.close)
            list(appliance.mirror(folder, identity=LOCAL_USER, cancel=CancelToken()))
            return appliance

        yield make


def engine(url: str, **fields: Any) -> EngineSetting:
    return EngineSetting(name="office", url=url, model="llama", **fields)


def told(appliance: Appliance, **given: Any) -> tuple[list[Event], Answer]:
    *events, last = appliance.answer(QUESTION, identity=LOCAL_USER, mode="generate", cancel=CancelToken(), **given)
    assert isinstance(last, Done), last
    return events, last.answer


def kill_once_it_writes(appliance: Appliance) -> threading.Thread:
    """SIGKILL to llama.cpp as soon as its first token has come."""

    def kill() -> None:
        until_s = time.monotonic() + 60
        while not appliance.machine().running and time.monotonic() < until_s:
            time.sleep(0.001)
        appliance_engine = appliance._models.engines._local
        assert appliance_engine is not None
        assert appliance_engine._server is not None
        process_id = appliance_engine._server.status().pid
        assert process_id is not None
        psutil.Process(process_id).kill()

    killer = threading.Thread(target=kill)
    killer.start()
    return killer


def lost(events: list[Event]) -> list[EngineLost]:
    return [event for event in events if isinstance(event, EngineLost)]


def test_an_engine_killed_while_it_writes_is_told_and_the_next_one_writes(make: MakeAppliance, office: Office) -> None:
    appliance = make(engines=(engine(office.url),))
    killer = kill_once_it_writes(appliance)
    events, answer = told(appliance)
    killer.join()
    assert [event.next for event in lost(events)] == ["engine"]
    assert "smollm2-135m-instruct on this machine broke off in the middle of its answer" in lost(events)[0].message
    assert answer.engine == Engine("office", "llama", "127.0.0.1", "local")
    assert answer.text == f"{SENTENCE} [1]"
    # The next question goes to the next engine at once.
    events, answer = told(appliance)
    assert (lost(events), answer.engine and answer.engine.name) == ([], "office")
    assert "cache_salt" in office.bodies()[-1]


def test_with_no_other_engine_the_documents_are_quoted_and_the_killed_one_comes_back(make: MakeAppliance) -> None:
    appliance = make()
    killer = kill_once_it_writes(appliance)
    events, answer = told(appliance)
    killer.join()
    assert [event.next for event in lost(events)] == ["engine", "quote"]
    assert (answer.mode, answer.engine) == ("quote", None)
    assert answer.text.startswith(f"“{SENTENCE}” [1]")
    assert "own words, since no language model answers" in answer.notes[-1]
    events, answer = told(appliance)
    assert lost(events) == []


def test_a_bare_model_that_is_killed_ends_with_an_error(make: MakeAppliance) -> None:
    appliance = make()
    killer = kill_once_it_writes(appliance)
    deltas = appliance.chat(
        [ChatMessage("user", "Count from one to two hundred, in words.")],
        identity=LOCAL_USER,
        model="smollm2-135m-instruct",
        max_tokens=1000,
        temperature=0,
        stop=(),
        cancel=CancelToken(),
    )
    assert next(deltas).engine == SMOLLM2
    with pytest.raises(EngineUnavailable, match="broke off"):
        list(deltas)
    killer.join()


def test_when_all_engines_are_dead_the_documents_are_quoted(make: MakeAppliance) -> None:
    appliance = make(local_engine=False, engines=(engine("http://127.0.0.1:9"),))
    events, answer = told(appliance)
    assert [event.next for event in lost(events)] == ["quote"]
    assert answer.text.startswith(f"“{SENTENCE}” [1]")
    assert "office at http://127.0.0.1:9 cannot be reached" in answer.notes[-1]
    assert [stage.name for stage in events if isinstance(stage, Stage)][-1] == "quote"


def test_where_the_settings_want_no_engine_the_documents_are_quoted(make: MakeAppliance) -> None:
    appliance = make(local_engine=False)
    _, answer = told(appliance)
    assert "none is set up" in answer.notes[-1]
    assert [model.id for model in appliance.models()] == ["lectern"]
    assert appliance.machine().engines == ()
    assert "mode “quote”, since there is no language model" in " ".join(appliance.describe())


def test_a_named_model_writes_itself_or_nobody_does(make: MakeAppliance, office: Office) -> None:
    appliance = make(engines=(engine(office.url), EngineSetting(name="dead", url="http://127.0.0.1:9", model="gone")))
    assert [model.id for model in appliance.models()] == ["lectern", "smollm2-135m-instruct", "llama", "gone"]
    assert told(appliance, model="llama")[1].engine == Engine("office", "llama", "127.0.0.1", "local")
    _, answer = told(appliance, model="gone")
    assert (answer.mode, answer.engine) == ("quote", None)


def test_nothing_is_sent_off_this_machine_that_was_not_allowed(make: MakeAppliance) -> None:
    with pytest.raises(BadInput, match=r"api\.example\.com is not on this machine.*LECTERN_ALLOW_CHAT"):
        make(engines=(engine("https://api.example.com/v1"),))


def test_a_model_that_the_settings_name_wrongly_is_refused_by_the_settings_name(make: MakeAppliance) -> None:
    with pytest.raises(BadInput, match="LECTERN_LLM = 'nope'"):
        make(llm="nope")


def test_the_commands_tell_the_engine_and_its_loss(make: MakeAppliance, office: Office) -> None:
    appliance = make(local_engine=False, engines=(engine(office.url),))
    ask = {"question": QUESTION, "mode": "generate"}
    result: Any = list(run_command(appliance, "ask", ask, CancelToken()))[-1]["result"]
    assert result["engine"] == {"name": "office", "model": "llama", "host": "127.0.0.1", "place": "local"}
    quoted: Any = list(run_command(appliance, "ask", {"question": QUESTION, "mode": "quote"}, CancelToken()))[-1]
    assert quoted["result"]["engine"] is None


def test_a_stored_answer_keeps_its_engine_and_its_note(make: MakeAppliance, office: Office) -> None:
    appliance = make(local_engine=False, engines=(engine(office.url),))
    conversation = appliance.new_conversation(LOCAL_USER)
    events, answer = told(appliance, conversation=conversation)
    assert "".join(event.text for event in events if isinstance(event, Token)).strip() == answer.text
    assert appliance.conversation(conversation, identity=LOCAL_USER) == [answer]
    assert answer.engine is not None


def test_the_embedders_reason_is_the_one_that_was_found_when_it_was_opened(make: MakeAppliance) -> None:
    appliance = make(local_engine=False)
    appliance.embedder()
    reason = appliance._models.embedder_reason
    assert reason
    assert appliance.describe()[0] == f"Embedder: {reason}."
