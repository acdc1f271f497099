"""The story of an answer: events in order, every sentence with its place, nothing shown that no passage supports."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from indexes.collection import Collection
from indexes.database import Database
from indexes.library import Library
from models.cancellation import Cancelled, CancelToken
from models.engines.breaker import CircuitBreaker
from models.engines.failover import Candidate, FailoverChat
from models.errors import EngineRefused
from models.interfaces import ChatDelta, ChatMessage, ChatModel, Embedder, Engine
from rag.access import LOCAL_USER
from rag.answer import REFUSAL, Answered, Answerer
from rag.appliance import Appliance
from rag.citations import without_markers
from rag.errors import BadInput, UnknownModel
from rag.events import Answer, Cited, Done, EngineLost, Event, Failed, Mode, Retrieved, Stage, Token
from rag.retrieval import Retriever
from tests.rag.conftest import ScriptedModel

LAMP = "The lamp is lit half an hour before sunset and burns until one hour after sunrise."
UNANSWERABLE = "What is the boiling point of tungsten hexafluoride in kelvin?"


@pytest.fixture(scope="module")
def collection(appliance: Appliance) -> Collection:
    return appliance.collection("default", identity=LOCAL_USER)


@pytest.fixture(scope="module")
def answerer(appliance: Appliance) -> Answerer:
    return Answerer(Retriever(appliance.embedder()), appliance.embedder())


@pytest.fixture
def empty_collection(embedder: Embedder, tmp_path: Path) -> Iterator[Collection]:
    library = Library(Database(tmp_path / "empty.sqlite"), tmp_path / "indexes")
    yield library.ensure("empty", embedder=embedder.identity, dimension=embedder.dimension)
    library.close()


def told(
    answerer: Answerer,
    collection: Collection,
    question: str = LAMP,
    mode: Mode = "quote",
    model: ChatModel | None = None,
    history: Sequence[ChatMessage] = (),
) -> tuple[list[Event], Answer]:
    *events, last = answerer.answer(question, collection, mode=mode, model=model, history=history, cancel=CancelToken())
    assert isinstance(last, Answered)
    return [event for event in events if not isinstance(event, Answered)], last.answer


def stages(events: Sequence[Event]) -> list[str]:
    return [event.name for event in events if isinstance(event, Stage)]


def streamed(events: Sequence[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, Token))


def require_cited(answer: Answer) -> None:
    """Numbered from 1 as they come, every one marked in the text and standing on its page."""
    assert [citation.n for citation in answer.citations] == list(range(1, len(answer.citations) + 1))
    for citation in answer.citations:
        assert f"[{citation.n}]" in answer.text
        assert citation.verified


def test_quotes_come_as_events_in_order(answerer: Answerer, collection: Collection) -> None:
    events, answer = told(answerer, collection)
    assert stages(events) == ["understand", "retrieve", "select", "quote"]
    kinds = [type(event) for event in events]
    assert kinds.index(Retrieved) < kinds.index(Token) < kinds.index(Cited)
    assert streamed(events).strip() == answer.text
    assert [event.citation for event in events if isinstance(event, Cited)] == list(answer.citations)


def test_a_quote_is_the_documents_own_sentence(answerer: Answerer, collection: Collection) -> None:
    _, answer = told(answerer, collection)
    assert not answer.refused
    assert (answer.citations[0].file, " ".join(answer.citations[0].quote.split())) == (
        "sample/guides/lighthouse.txt",
        LAMP,
    )
    assert answer.text.startswith(f"“{LAMP}” [1]")
    assert (answer.mode, answer.model) == ("quote", "quote")
    require_cited(answer)


def test_what_nothing_answers_is_refused_and_the_closest_passages_are_shown(
    answerer: Answerer, collection: Collection
) -> None:
    events, answer = told(answerer, collection, UNANSWERABLE)
    assert (answer.refused, answer.text, answer.citations) == (True, REFUSAL, ())
    assert answer.confidence < 0.5
    assert len(answer.passages) == 8
    assert stages(events) == ["understand", "retrieve", "select"]


def test_a_refusal_asks_no_model(answerer: Answerer, collection: Collection) -> None:
    model = ScriptedModel(["Tungsten hexafluoride boils at 290 K."])
    _, answer = told(answerer, collection, UNANSWERABLE, "generate", model)
    assert answer.refused
    assert model.asked == []


def test_an_unsupported_sentence_is_not_shown(answerer: Answerer, collection: Collection) -> None:
    supported = "The lamp burns until one hour after sunrise and is lit half an hour before sunset."
    model = ScriptedModel([supported, "The lighthouse was built by the Romans in 212."])
    events, answer = told(answerer, collection, LAMP, "generate", model)
    assert without_markers(answer.text).strip() == supported
    assert "Romans" not in streamed(events)
    assert any("left out" in note and "1" in note for note in answer.notes)
    assert answer.citations[0].file == "sample/guides/lighthouse.txt"
    assert (answer.model, answer.usage["total_tokens"]) == ("scripted", 120)
    require_cited(answer)


def test_a_sentence_said_again_ends_the_answer_and_what_was_read_and_written_is_counted(
    answerer: Answerer, collection: Collection
) -> None:
    model = ScriptedModel([LAMP, LAMP.replace(" ", "\n", 3), "The Romans built it."])
    _, answer = told(answerer, collection, LAMP, "generate", model)
    assert without_markers(answer.text).strip() == LAMP
    assert answer.usage["prompt_tokens"] > 50
    assert 0 < answer.usage["completion_tokens"] < 50


@pytest.mark.parametrize(
    "says", [["The Romans built it in 212."], ["NOT FOUND"], []], ids=["unsupported", "not found", "nothing"]
)
def test_when_nothing_is_supported_the_passages_speak(
    answerer: Answerer, collection: Collection, says: list[str]
) -> None:
    events, answer = told(answerer, collection, LAMP, "generate", ScriptedModel(says))
    assert answer.text.startswith(f"“{LAMP}”")
    assert any("own words" in note for note in answer.notes)
    assert stages(events)[-1] == "quote"
    require_cited(answer)


def test_a_question_too_long_for_the_model_is_quoted_for(answerer: Answerer, collection: Collection) -> None:
    model = ScriptedModel([LAMP], context_tokens=460)
    _, answer = told(answerer, collection, LAMP, "generate", model)
    assert model.asked == []
    assert any("too long" in note for note in answer.notes)
    require_cited(answer)


def test_a_follow_up_is_read_with_the_question_before_it(answerer: Answerer, collection: Collection) -> None:
    history = [
        ChatMessage("user", "How long does the lighthouse keep its lamp burning?"),
        ChatMessage("assistant", "…"),
    ]
    _, answer = told(answerer, collection, "And in fog?", history=history)
    assert "lamp burning? And in fog?" in answer.notes[0]
    assert answer.passages[0].file.startswith("sample/")


OFFICE = Engine("office", "llama", "10.0.0.5", "self-hosted")
HOME = Engine("llama.cpp", "smollm2", "127.0.0.1", "local")


def lost(events: Sequence[Event]) -> list[EngineLost]:
    return [event for event in events if isinstance(event, EngineLost)]


def chain(*models: ScriptedModel) -> FailoverChat:
    """As for a real request; the models' engines are asked in this order."""
    return FailoverChat([Candidate(model, model.engine or HOME, CircuitBreaker()) for model in models])


def test_an_answer_says_which_engine_wrote_it(answerer: Answerer, collection: Collection) -> None:
    _, answer = told(answerer, collection, LAMP, "generate", chain(ScriptedModel([LAMP], engine=OFFICE)))
    assert (answer.engine, answer.model, answer.mode) == (OFFICE, "llama", "generate")
    _, quoted = told(answerer, collection)
    assert quoted.engine is None


def test_when_no_engine_answers_the_documents_are_quoted_and_it_is_said_why(
    answerer: Answerer, collection: Collection
) -> None:
    events, answer = told(answerer, collection, LAMP, "generate", chain(ScriptedModel(fails=True)))
    assert answer.text.startswith(f"“{LAMP}”")
    assert (answer.mode, answer.model, answer.engine) == ("quote", "quote", None)
    assert [event.next for event in lost(events)] == ["quote"]
    assert "own words, since no language model answers: the engine has gone" in answer.notes[-1]
    require_cited(answer)


def test_without_any_engine_the_documents_are_quoted(answerer: Answerer, collection: Collection) -> None:
    chat = FailoverChat([], problems=["the weights are missing: python app.py models pull it"])
    _, answer = told(answerer, collection, LAMP, "generate", chat)
    assert answer.text.startswith(f"“{LAMP}”")
    assert "models pull it" in answer.notes[-1]


def test_an_engine_that_fails_before_its_first_word_is_followed_by_the_next(
    answerer: Answerer, collection: Collection
) -> None:
    models = chain(ScriptedModel(fails=True), ScriptedModel([LAMP], engine=OFFICE))
    events, answer = told(answerer, collection, LAMP, "generate", models)
    assert (answer.engine, lost(events)) == (OFFICE, [])


def test_an_engine_that_breaks_off_before_anything_is_shown_is_followed_by_the_next(
    answerer: Answerer, collection: Collection
) -> None:
    models = chain(
        ScriptedModel(["The Romans built it in 212."], breaks_off_after=1), ScriptedModel([LAMP], engine=OFFICE)
    )
    events, answer = told(answerer, collection, LAMP, "generate", models)
    assert (answer.engine, answer.text) == (OFFICE, f"{LAMP} [1]")
    assert [event.next for event in lost(events)] == ["engine"]
    assert "smollm2 on this machine broke off" in lost(events)[0].message


def test_what_was_shown_stays_when_the_engine_breaks_off_and_the_answer_says_that_it_is_not_whole(
    answerer: Answerer, collection: Collection
) -> None:
    spare = ScriptedModel(["Another answer."], engine=OFFICE)
    models = chain(ScriptedModel([LAMP, "And in fog it"], breaks_off_after=2), spare)
    events, answer = told(answerer, collection, LAMP, "generate", models)
    assert streamed(events).strip() == answer.text == f"{LAMP} [1]"
    assert (answer.engine, answer.mode) == (HOME, "generate")
    assert [event.next for event in lost(events)] == ["end"]
    assert answer.notes[-1] == lost(events)[0].message
    assert "not whole: smollm2 on this machine broke off" in answer.notes[-1]
    assert spare.asked == []
    require_cited(answer)


def test_a_refused_request_is_quoted_for_too(answerer: Answerer, collection: Collection) -> None:
    class Refusing(ScriptedModel):
        def stream(self, *_: object, **__: object) -> Iterator[ChatDelta]:  # type: ignore[override]  # takes all
            raise EngineRefused("the prompt is too long", status=400)
            yield

    _, answer = told(answerer, collection, LAMP, "generate", chain(Refusing()))
    assert "since the prompt is too long" in answer.notes[-1]
    assert answer.mode == "quote"


def test_the_users_salt_goes_along(answerer: Answerer, collection: Collection) -> None:
    model = ScriptedModel([LAMP])
    list(
        answerer.answer(
            LAMP, collection, mode="generate", model=model, history=(), salt="of this user", cancel=CancelToken()
        )
    )
    assert model.salts == ["of this user"]


def test_a_cancelled_answer_stops_in_the_middle(answerer: Answerer, collection: Collection) -> None:
    cancel = CancelToken()
    model = ScriptedModel([f"The lamp burns and this is said for the {n}th time." for n in range(50)], cancel_after=30)
    events = answerer.answer(LAMP, collection, mode="generate", model=model, history=(), cancel=cancel)
    with pytest.raises(Cancelled):
        list(events)


def test_a_reply_that_repeats_itself_is_ended(answerer: Answerer, collection: Collection) -> None:
    model = ScriptedModel([LAMP] * 50)
    _, answer = told(answerer, collection, LAMP, "generate", model)
    assert answer.text == f"{LAMP} [1]"


def test_an_empty_collection_is_told_apart_from_an_unanswered_question(
    answerer: Answerer, empty_collection: Collection
) -> None:
    _, answer = told(answerer, empty_collection, LAMP)
    assert answer.refused
    assert "no document" in answer.text
    assert answer.passages == ()


def test_the_appliance_ends_with_failed_when_it_was_stopped(appliance: Appliance) -> None:
    cancel = CancelToken()
    events = appliance.answer(LAMP, identity=LOCAL_USER, cancel=cancel)
    next(events)
    cancel.cancel()
    assert list(events)[-1] == Failed("cancelled", "Stopped.")


def test_the_real_model_writes_only_what_is_supported(own_appliance: tuple[Appliance, Path]) -> None:
    appliance, _ = own_appliance
    question = "A broken lens is paid for by whom? By the Harbour Board?"
    *events, last = appliance.answer(question, identity=LOCAL_USER, mode="generate", cancel=CancelToken())
    assert isinstance(last, Done), last
    assert stages(events)[:4] == ["understand", "retrieve", "select", "generate"]
    assert last.answer.citations[0].file == "lens.txt"
    assert last.answer.usage["completion_tokens"] > 0
    assert last.answer.model == "smollm2-135m-instruct"
    assert last.answer.engine == Engine("llama.cpp", "smollm2-135m-instruct", "127.0.0.1", "local")
    require_cited(last.answer)


def test_what_makes_no_sense_is_said_before_the_first_event(appliance: Appliance) -> None:
    with pytest.raises(BadInput):
        appliance.answer("  ", identity=LOCAL_USER, cancel=CancelToken())
    with pytest.raises(UnknownModel, match="gpt-99"):
        appliance.answer("Why?", identity=LOCAL_USER, model="gpt-99", cancel=CancelToken())


def test_a_question_as_long_as_a_document_is_refused_at_once(appliance: Appliance) -> None:
    with pytest.raises(BadInput, match="1,000,000 characters"):
        appliance.answer("a" * 1_000_000, identity=LOCAL_USER, cancel=CancelToken())
    with pytest.raises(BadInput, match="1,000,000 characters"):
        appliance.search("a" * 1_000_000, identity=LOCAL_USER)
