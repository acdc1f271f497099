"""The chat client against a small server that answers as told, strictly as `trtllm-serve` does."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from models.cancellation import Cancelled, CancelToken
from models.engines.chat import OpenAIChat
from models.engines.endpoint import FixedEndpoint
from models.errors import EngineRefused, EngineUnavailable
from models.interfaces import ChatDelta, ChatMessage, Usage

KNOWN_FIELDS = {"model", "messages", "max_tokens", "temperature", "stream", "stream_options", "stop", "seed", "top_k"}
QUESTION = [ChatMessage("user", "Why?")]


def event(text: str | None = None, finish: str | None = None) -> bytes:
    delta = {} if text is None else {"content": text}
    return b"data: " + json.dumps({"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}).encode()


USAGE = b'data: {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 2}}'
DONE = b"data: [DONE]"


@dataclass
class Script:
    """What the server does with the next request, and what it saw of it."""

    status: int = 200
    lines: list[bytes] = field(default_factory=list)
    hang_before_reply: bool = False
    hang_after_lines: bool = False
    requests: list[dict[str, object]] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    arrived: threading.Event = field(default_factory=threading.Event)
    left: threading.Event = field(default_factory=threading.Event)


class Handler(BaseHTTPRequestHandler):
    script: Script

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.script.requests.append(request)
        self.script.keys.append(self.headers["Authorization"])
        self.script.arrived.set()
        if self.path != "/v1/chat/completions":
            return self.reply(404, b'{"detail": "Not Found", "status": 404}')
        if unknown := set(request) - KNOWN_FIELDS:
            return self.reply(400, json.dumps({"error": f"Extra inputs are not permitted: {unknown}"}).encode())
        if self.script.hang_before_reply:
            self.wait_until_client_leaves()
            return None
        body = b"".join(line + b"\n\n" for line in self.script.lines)
        return self.reply(self.script.status, body)

    def reply(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.end_headers()
        self.wfile.write(body)
        if self.script.hang_after_lines:
            self.wait_until_client_leaves()

    def wait_until_client_leaves(self) -> None:
        self.connection.settimeout(10)
        if self.connection.recv(1) == b"":
            self.script.left.set()

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
def chat(script: Script) -> Iterator[OpenAIChat]:
    handler = type("Scripted", (Handler,), {"script": script})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        chat = OpenAIChat("tiny", FixedEndpoint(f"http://127.0.0.1:{server.server_port}/v1/", "key"), 4096)
        yield chat
        chat.close()
        server.shutdown()
        thread.join()


def ask(chat: OpenAIChat, cancel: CancelToken | None = None) -> list[ChatDelta]:
    return list(chat.stream(QUESTION, max_tokens=9, stop=["\n"], cancel=cancel or CancelToken()))


def test_deltas_are_the_texts_and_one_last_with_reason_and_usage(chat: OpenAIChat, script: Script) -> None:
    script.lines = [b": ping", event("Be"), event(""), event("cause"), event(finish="stop"), USAGE, DONE]
    assert ask(chat) == [ChatDelta("Be"), ChatDelta("cause"), ChatDelta("", "stop", Usage(7, 2))]


def test_only_fields_that_every_engine_knows_are_sent(chat: OpenAIChat, script: Script) -> None:
    script.lines = [event("x", "stop"), DONE]
    ask(chat)
    assert script.requests[0]["stop"] == ["\n"]
    assert script.requests[0]["messages"] == [{"role": "user", "content": "Why?"}]
    list(chat.stream(QUESTION, max_tokens=9, cancel=CancelToken()))
    assert "stop" not in script.requests[1]
    assert script.keys == ["Bearer key", "Bearer key"]


@pytest.mark.parametrize(
    ("body", "message", "code"),
    [
        ({"error": {"message": "too long", "type": "bad", "param": None, "code": "long"}}, "too long", "long"),
        ({"error": {"message": "too long", "type": "exceeds", "code": 400}}, "too long", "exceeds"),
        ({"object": "error", "message": "no such", "type": "NotFound", "code": 404}, "no such", "NotFound"),
        ({"error": "Extra inputs"}, "Extra inputs", None),
        ({"status": 400, "title": "Bad Request", "detail": "n > 1"}, "Bad Request: n > 1", None),
        ({"surprise": 1}, '{"surprise": 1}', None),
    ],
)  # fmt: skip
def test_every_shape_of_error_is_understood(
    chat: OpenAIChat, script: Script, body: dict[str, object], message: str, code: str | None
) -> None:
    script.status, script.lines = 400, [json.dumps(body).encode()]
    with pytest.raises(EngineRefused) as refused:
        ask(chat)
    assert message in str(refused.value)
    assert (refused.value.status, refused.value.code) == (400, code)


def test_an_engine_that_loads_is_unavailable_and_not_a_refusal(chat: OpenAIChat, script: Script) -> None:
    script.status = 503
    with pytest.raises(EngineUnavailable, match="503"):
        ask(chat)


@pytest.mark.parametrize(
    "line", [b'data: {"error": {"message": "out of memory"}}', b'error: {"message": "out of memory"}']
)
def test_an_error_in_the_middle_of_a_stream_is_raised(chat: OpenAIChat, script: Script, line: bytes) -> None:
    script.lines = [event("Be"), line]
    with pytest.raises(EngineRefused, match="out of memory"):
        ask(chat)


def test_a_stream_that_breaks_off_is_not_taken_for_an_answer(chat: OpenAIChat, script: Script) -> None:
    script.lines = [event("Be")]
    with pytest.raises(EngineUnavailable, match="broke off"):
        ask(chat)


def test_a_dead_engine_is_unavailable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1]
    chat = OpenAIChat("tiny", FixedEndpoint(f"http://127.0.0.1:{port}"), 4096)
    with pytest.raises(EngineUnavailable, match="cannot be reached"):
        ask(chat)
    chat.close()


def test_a_silent_engine_is_given_up(script: Script, chat: OpenAIChat) -> None:
    address = chat._endpoint.address(CancelToken())
    impatient = OpenAIChat("tiny", FixedEndpoint(address.url), 4096, silence_s=0.1)
    script.hang_before_reply = True
    with pytest.raises(EngineUnavailable, match="in time"):
        ask(impatient)
    impatient.close()


@pytest.mark.parametrize("half_way", [False, True])
def test_cancel_wakes_a_read_that_waits_and_hangs_up(chat: OpenAIChat, script: Script, half_way: bool) -> None:
    script.lines, script.hang_before_reply, script.hang_after_lines = [event("Be")], not half_way, half_way
    cancel = CancelToken()

    def cancel_soon() -> None:
        script.arrived.wait()
        time.sleep(0.05)
        cancel.cancel()

    canceller = threading.Thread(target=cancel_soon)
    canceller.start()
    started = time.monotonic()
    with pytest.raises(Cancelled):
        ask(chat, cancel)
    assert time.monotonic() - started < 2
    assert script.left.wait(2)
    canceller.join()


def test_nothing_is_sent_when_it_was_cancelled_before(chat: OpenAIChat, script: Script) -> None:
    cancel = CancelToken()
    cancel.cancel()
    with pytest.raises(Cancelled):
        ask(chat, cancel)
    assert script.requests == []


def test_an_engine_that_cannot_count_tokens_says_so(chat: OpenAIChat) -> None:
    with pytest.raises(EngineRefused, match="Not Found"):
        chat.count_tokens("text")
