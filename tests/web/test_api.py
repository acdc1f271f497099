"""The HTTP API as its clients meet it: OpenAI's own client, plain HTTP, and pure pieces for what is rare."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace

import httpx
import openai
import pytest

from models.cancellation import Cancelled, CancelToken
from models.errors import EngineRefused, EngineUnavailable
from models.interfaces import ChatDelta, Engine, Usage
from rag.appliance import Appliance
from rag.errors import BadInput, Forbidden, NotFound, UnknownCollection
from rag.events import Answer, Citation, Cited, Done, EngineLost, Event, Failed, Passage, Retrieved, Token
from web.api_errors import ApiError, as_api_error
from web.completions import Completion
from web.errors import CannotListen, PortInUse
from web.pieces import Piece, pieces_of_answer, pieces_of_chat
from web.server import WebServer, listen

QUESTION = "What is balance billing and how does the Northwind Standard plan protect against it?"


@pytest.fixture(scope="module")
def client(server: WebServer) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0, timeout=60) as client:
        yield client


@pytest.fixture(scope="module")
def http(server: WebServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=60) as http:
        yield http


def ask(http: httpx.Client, **fields: object) -> httpx.Response:
    body = {"model": "lectern", "messages": [{"role": "user", "content": QUESTION}]} | fields
    return http.post("/v1/chat/completions", json=body)


# -- answers from documents


def test_a_whole_answer_comes_with_verified_citations(client: openai.OpenAI) -> None:
    reply = client.chat.completions.create(model="lectern", messages=[{"role": "user", "content": QUESTION}])
    extra = reply.model_extra or {}
    assert reply.choices[0].finish_reason == "stop"
    assert "[1]" in (reply.choices[0].message.content or "")
    citations = extra["citations"]
    assert citations["total_results"] == len(citations["results"]) > 0
    first = citations["results"][0]
    assert first["document_name"].endswith("Northwind_Standard_Benefits_Details.pdf")
    assert isinstance(first["metadata"]["page_number"], int)
    assert first["verified"]
    assert " ".join(first["quote"].split()) in (reply.choices[0].message.content or "")
    assert extra["lectern"]["refused"] is False
    assert extra["metrics"]["rag_ttft_ms"] > 0
    assert citations == (reply.choices[0].message.model_extra or {})["citations"]


def test_a_stream_is_the_whole_answer_in_pieces(client: openai.OpenAI) -> None:
    chunks = list(
        client.chat.completions.create(
            model="lectern",
            messages=[{"role": "user", "content": QUESTION}],
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    whole = client.chat.completions.create(model="lectern", messages=[{"role": "user", "content": QUESTION}])
    told = [chunk for chunk in chunks if chunk.choices]
    assert (
        "".join(chunk.choices[0].delta.content or "" for chunk in told).strip()
        == whole.choices[0].message.content.strip()
    )
    assert told[0].choices[0].delta.role == "assistant"
    assert [chunk.choices[0].finish_reason for chunk in told][-1] == "stop"
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert all(chunk.usage is None for chunk in told)
    assert len({chunk.id for chunk in chunks}) == 1
    assert (told[-1].model_extra or {})["citations"]["results"]
    assert "metrics" in (told[-1].model_extra or {})


def test_a_stream_ends_with_done(http: httpx.Client) -> None:
    response = ask(http, stream=True)
    assert response.headers["content-type"].startswith("text/event-stream")
    events = [event.removeprefix("data: ") for event in response.text.strip().split("\n\n")]
    assert events[-1] == "[DONE]"
    assert {json.loads(event)["object"] for event in events[:-1]} == {"chat.completion.chunk"}


def test_citations_can_be_left_out(http: httpx.Client) -> None:
    assert "citations" not in ask(http, enable_citations=False).json()


def test_a_question_that_the_documents_do_not_answer_is_refused_and_says_so(http: httpx.Client) -> None:
    messages = [{"role": "user", "content": "Who won the 1954 football world cup final in Bern?"}]
    reply = ask(http, messages=messages).json()
    assert reply["lectern"]["refused"] is True
    assert reply["citations"]["total_results"] == 0


def test_system_messages_are_accepted_and_earlier_turns_are_history(http: httpx.Client) -> None:
    messages = [
        {"role": "system", "content": "Answer in French."},
        {"role": "user", "content": QUESTION},
        {"role": "assistant", "content": "It protects you."},
        {"role": "user", "content": [{"type": "text", "text": "What is balance billing?"}]},
    ]
    assert ask(http, messages=messages).status_code == 200


# -- what is refused, and how


def test_an_unknown_model_is_not_found(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        client.chat.completions.create(model="gpt-9", messages=[{"role": "user", "content": "x"}])
    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("gpt-9")


def test_an_unknown_collection_is_not_found_even_for_a_stream(http: httpx.Client) -> None:
    response = ask(http, collection_names=["nowhere"], stream=True)
    assert response.status_code == 404
    assert response.json()["error"]["code"] == "collection_not_found"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": "  "}]}, "messages"),
        ({"messages": [{"role": "assistant", "content": "x"}]}, "messages"),
        ({"temperature": 9}, "temperature"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"n": 2}, "n"),
        ({"tools": [{"type": "function"}]}, "tools"),
        ({"collection_names": ["a", "b"]}, "collection_names"),
        ({"response_format": {"type": "json_object"}}, "response_format.type"),
    ],
)
def test_a_wrong_field_is_named(http: httpx.Client, fields: dict[str, object], param: str) -> None:
    response = ask(http, **fields)
    assert response.status_code == 400
    error = response.json()["error"]
    assert (error["type"], error["param"]) == ("invalid_request_error", param)


def test_a_body_that_is_no_json_is_refused_in_the_same_shape(http: httpx.Client) -> None:
    response = http.post("/v1/chat/completions", content="{", headers={"Content-Type": "application/json"})
    assert (response.status_code, response.json()["error"]["code"]) == (400, "invalid_json")


def test_an_unknown_path_and_a_wrong_method_are_refused_in_the_same_shape(http: httpx.Client) -> None:
    assert http.get("/v1/nothing").json()["error"]["code"] == "not_found"
    wrong = http.delete("/v1/models")
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "GET")
    assert wrong.json()["error"]["code"] == "method_not_allowed"


# -- the rest of the surface


def test_models_are_listed_and_each_can_be_asked_for(client: openai.OpenAI) -> None:
    ids = [model.id for model in client.models.list()]
    assert ids[0] == "lectern"
    assert [client.models.retrieve(name).id for name in ids] == ids


def test_health_has_the_shape_of_a_nim(http: httpx.Client) -> None:
    assert http.get("/v1/health/live").status_code == 200
    ready = http.get("/v1/health/ready")
    assert ready.json() == {"object": "health.response", "message": ready.json()["message"], "ready": True}


def test_the_api_describes_itself_without_another_machine(http: httpx.Client) -> None:
    paths = http.get("/openapi.json").json()["paths"]
    assert set(paths) == {
        "/v1/chat/completions",
        "/v1/models",
        "/v1/models/{model_id}",
        "/v1/health/live",
        "/v1/health/ready",
        "/v1/metrics",
    }
    assert "cdn" not in http.get("/docs").text


def test_a_citations_source_and_picture_can_be_fetched(http: httpx.Client) -> None:
    citation = ask(http).json()["citations"]["results"][0]
    assert "lx-highlight" in http.get(f"/ui/source/{citation['id']}").text
    assert http.get(f"/ui/page/{citation['id']}.png").content.startswith(b"\x89PNG")
    assert http.get("/ui/source/none-such").status_code == 404
    assert http.get("/ui/page/none-such.png").status_code == 404


def test_a_foreign_host_is_refused_at_every_route(http: httpx.Client) -> None:
    for path in ("/", "/v1/models", "/ui/source/x", "/ui/assets/page.js", "/gradio_api/queue/data", "/config"):
        assert http.get(path, headers={"Host": "evil.example"}).status_code == 421


# -- the server itself


def test_a_port_in_use_is_said_with_what_to_do(server: WebServer) -> None:
    with pytest.raises(PortInUse, match=rf"Port {server.port} on 127\.0\.0\.1 is in use.*--port"):
        listen("127.0.0.1", server.port)


def test_an_address_that_is_not_ours_is_said() -> None:
    with pytest.raises(CannotListen, match=r"203\.0\.113\.1"):
        listen("203.0.113.1", 0)


# -- pieces: what is rare, made by hand

CITATION = Citation("c1", 1, "handbook.pdf", None, 3, "Leave is twenty days.", 7, 1, True)
PASSAGE = Passage("handbook.pdf", None, 3, 3, "Leave is twenty days. Ask early.", 0.9, 7, 2, 1, "Leave")
ANSWER = Answer("q", "Leave is twenty days. [1]", "quote", False, 0.9, (CITATION,), (PASSAGE,), "quote")


def test_citations_follow_their_sentence_and_the_last_piece_has_them_all() -> None:
    events: list[Event] = [Retrieved((PASSAGE,)), Token("Leave is twenty days. [1]"), Cited(CITATION), Done(ANSWER)]
    pieces = list(pieces_of_answer(iter(events), with_citations=True, clock=iter([0.0, 0.25]).__next__))
    assert [piece.text for piece in pieces] == ["Leave is twenty days. [1]", "", ""]
    assert pieces[1].extras["citations"] == pieces[2].extras["citations"]
    citations = pieces[1].extras["citations"]
    assert isinstance(citations, dict)
    assert citations["results"][0]["content"] == PASSAGE.text
    metrics = pieces[2].extras["metrics"]
    assert isinstance(metrics, dict)
    assert metrics["rag_ttft_ms"] == 250.0


OFFICE = Engine("office", "llama", "10.0.0.5", "self-hosted")
OFFICE_JSON = {"name": "office", "model": "llama", "host": "10.0.0.5", "place": "self-hosted"}


def test_the_last_piece_says_which_engine_wrote_and_one_on_the_way_that_an_engine_was_lost() -> None:
    written = replace(ANSWER, mode="generate", engine=OFFICE)
    events: list[Event] = [EngineLost("It broke off.", "engine"), Token("Leave."), Done(written)]
    pieces = list(pieces_of_answer(events, with_citations=True))
    assert pieces[0].extras == {"lectern": {"engine_lost": {"message": "It broke off.", "next": "engine"}}}
    for last in (pieces[-1].extras["lectern"], Completion("id", 0, "m").whole(pieces)["lectern"]):
        assert isinstance(last, dict)
        assert last["engine"] == OFFICE_JSON
    quoted = list(pieces_of_answer([Done(ANSWER)], with_citations=True))[-1].extras["lectern"]
    assert isinstance(quoted, dict)
    assert quoted["engine"] is None


def test_a_bare_reply_says_which_engine_makes_it() -> None:
    first, last = pieces_of_chat([ChatDelta("a", engine=OFFICE), ChatDelta("", "stop")])
    assert (first.extras, last.extras) == ({"lectern": {"engine": OFFICE_JSON}}, {})


def test_whichever_model_there_is_answers_without_documents_when_none_is_named(http: httpx.Client) -> None:
    reply = ask(http, use_knowledge_base=False, max_tokens=4).json()
    assert reply["lectern"]["engine"]["model"] == "smollm2-135m-instruct"
    assert reply["choices"][0]["message"]["content"]


def test_a_failed_answer_is_an_error_with_its_status() -> None:
    with pytest.raises(ApiError) as caught:
        list(pieces_of_answer([Failed("engine_unavailable", "It is loading.")], with_citations=True))
    assert caught.value.status == 503


@pytest.mark.parametrize(("next_", "reason"), [("end", "length"), ("engine", "stop"), ("quote", "stop")])
def test_an_answer_that_its_engine_broke_off_says_so_in_openais_own_field(next_: str, reason: str) -> None:
    answer = Answer("Why?", "So.", "generate", False, 0.9, (), (), "llama")
    lost = EngineLost("It broke off.", next_)  # type: ignore[arg-type]  # one of the literals
    events: list[Event] = [Token("So."), lost, Done(answer)]
    assert list(pieces_of_answer(events, with_citations=False))[-1].finish_reason == reason


def test_a_bare_reply_that_ends_without_a_reason_was_cut_short() -> None:
    assert list(pieces_of_chat([ChatDelta("a")]))[-1].finish_reason == "length"
    whole = Completion("id", 0, "m").whole(list(pieces_of_chat([ChatDelta("a"), ChatDelta("b", "stop", Usage(2, 3))])))
    assert whole["usage"] == {"prompt_tokens": 2, "completion_tokens": 3, "total_tokens": 5}


def test_an_error_within_a_stream_is_an_event_and_the_stream_still_ends() -> None:
    async def pieces() -> AsyncIterator[Piece]:
        yield Piece("Leave")
        raise EngineUnavailable("The engine went away.")

    async def collect() -> list[str]:
        return [event async for event in Completion("id", 0, "m").events(pieces(), include_usage=False)]

    events = asyncio.run(collect())
    assert json.loads(events[-2].removeprefix("data: "))["error"]["code"] == "engine_unavailable"
    assert events[-1] == "data: [DONE]\n\n"


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (BadInput("x"), 400),
        (NotFound("x"), 404),
        (UnknownCollection("x"), 404),
        (Forbidden("x"), 403),
        (EngineUnavailable("x"), 503),
        (EngineRefused("too long", status=400), 400),
        (EngineRefused("broken", status=500), 502),
        (Cancelled(), 499),
    ],
)
def test_each_error_has_its_status(error: Exception, status: int) -> None:
    assert as_api_error(error).status == status


def test_an_error_that_is_not_ours_says_nothing_of_the_inside() -> None:
    assert "secret" not in str(as_api_error(ValueError("secret path")))


# -- leaving


class Patient:
    """An appliance that says one word and then waits to be cancelled, as a slow language model does."""

    def __init__(self, appliance: Appliance) -> None:
        self._appliance = appliance
        self.cancelled = threading.Event()

    def __getattr__(self, name: str) -> object:
        return getattr(self._appliance, name)

    def answer(self, _: str, *, cancel: CancelToken, **__: object) -> Iterator[Event]:
        yield Token("Wait")
        if cancel.wait(20):
            self.cancelled.set()
        yield Failed("cancelled", "Stopped.")


def test_a_client_that_goes_away_cancels_its_answer(appliance: Appliance, serve: Callable[[object], WebServer]) -> None:
    patient = Patient(appliance)
    server = serve(patient)
    body = json.dumps({"model": "lectern", "stream": True, "messages": [{"role": "user", "content": "x"}]})
    head = "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
        received = b""
        while b"Wait" not in received:
            received += connection.recv(4096)
    assert patient.cancelled.wait(10)
