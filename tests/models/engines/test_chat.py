"""The chat client against a small server that answers as told, strictly as `trtllm-serve` does."""

from __future__ import annotations

import json
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from models.cancellation import Cancelled, CancelToken
from models.engines.chat import OpenAIChat
from models.engines.keys import KeyedEndpoint
from models.engines.retries import NEVER, Retries
from models.errors import EngineMisconfigured, EngineRefused, EngineUnavailable, ModelError
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

    statuses: list[int] = field(default_factory=list)
    """Of the next replies, one each; the last one stays."""
    headers: dict[str, str] = field(default_factory=dict)
    known: set[str] = field(default_factory=lambda: set(KNOWN_FIELDS))
    names_unknown: bool = True
    tokenize: bytes | None = None
    lines: list[bytes] = field(default_factory=list)
    hang_before_reply: bool = False
    hang_after_lines: bool = False
    requests: list[dict[str, object]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    arrived: threading.Event = field(default_factory=threading.Event)
    left: threading.Event = field(default_factory=threading.Event)


class Handler(BaseHTTPRequestHandler):
    script: Script

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.script.requests.append(request)
        self.script.paths.append(self.path)
        self.script.keys.append(self.headers["Authorization"])
        self.script.arrived.set()
        if self.path == "/tokenize" and self.script.tokenize is not None:
            return self.reply(self.status(), self.script.tokenize)
        if self.path != "/v1/chat/completions":
            return self.reply(404, b'{"detail": "Not Found", "status": 404}')
        if unknown := set(request) - self.script.known:
            said = f"Extra inputs are not permitted: {unknown if self.script.names_unknown else ''}"
            return self.reply(400, json.dumps({"error": said}).encode())
        if self.script.hang_before_reply:
            self.wait_until_client_leaves()
            return None
        body = b"".join(line + b"\n\n" for line in self.script.lines)
        return self.reply(self.status(), body.replace(b"YOUR KEY", (self.headers["Authorization"] or "").encode()))

    def status(self) -> int:
        statuses = self.script.statuses
        return statuses.pop(0) if len(statuses) > 1 else statuses[0] if statuses else 200

    def reply(self, status: int, body: bytes) -> None:
        self.send_response(status)
        for name, value in self.script.headers.items():
            self.send_header(name, value)
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


@contextmanager
def serving(script: Script) -> Iterator[str]:
    """The server's address."""
    handler = type("Scripted", (Handler,), {"script": script})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def url(script: Script) -> Iterator[str]:
    with serving(script) as url:
        yield url


QUICK = Retries(times=2, first_pause_s=0.01, longest_pause_s=0.05, jitter=lambda: 1.0)


@pytest.fixture
def make(url: str, tmp_path: Path) -> Iterator[Callable[..., OpenAIChat]]:
    """A client of the server, by default with the key "key"."""
    key_file = tmp_path / "key"
    key_file.write_text("key")
    with ExitStack() as stack:

        def make(**given: object) -> OpenAIChat:
            endpoint = given.pop("endpoint", KeyedEndpoint("tiny", f"{url}/v1/", key_file=key_file))
            chat = OpenAIChat("tiny", endpoint, 4096, **{"retries": QUICK, **given})  # type: ignore[arg-type]  # by name
            stack.callback(chat.close)
            return chat

        yield make


@pytest.fixture
def chat(make: Callable[..., OpenAIChat]) -> OpenAIChat:
    return make()


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
    script.statuses, script.lines = [400], [json.dumps(body).encode()]
    with pytest.raises(EngineRefused) as refused:
        ask(chat)
    assert message in str(refused.value)
    assert (refused.value.status, refused.value.code) == (400, code)


def test_an_engine_that_loads_is_unavailable_and_not_a_refusal(chat: OpenAIChat, script: Script) -> None:
    script.statuses = [503]
    with pytest.raises(EngineUnavailable, match="503"):
        ask(chat)


@pytest.mark.parametrize(
    "line", [b'data: {"error": {"message": "out of memory"}}', b'error: {"message": "out of memory"}']
)
def test_an_error_in_the_middle_of_a_stream_is_raised(chat: OpenAIChat, script: Script, line: bytes) -> None:
    script.lines = [event("Be"), line]
    with pytest.raises(EngineRefused, match="out of memory"):
        ask(chat)


@pytest.mark.parametrize(
    "said",
    [
        b'{"choices": ["x"]}',
        b'{"choices": {"delta": {}}}',
        b'{"choices": [{"delta": "hello"}]}',
        b'{"choices": [], "usage": {"prompt_tokens": "many"}}',
        b'{"choices": [], "usage": {"prompt_tokens": Infinity}}',
    ],
)
def test_an_event_of_another_shape_is_as_bad_as_none(chat: OpenAIChat, script: Script, said: bytes) -> None:
    script.lines = [b"data: " + said, DONE]
    with pytest.raises(EngineUnavailable, match="what is no event of a reply"):
        ask(chat)


def test_a_complaint_without_end_is_not_read_to_its_end(script: Script, make: Callable[..., OpenAIChat]) -> None:
    script.statuses, script.lines, script.hang_after_lines = [400], [b"no" * (1 << 20)], True
    with pytest.raises(EngineRefused, match="nono"):
        list(make(silence_s=5).stream(QUESTION, max_tokens=1, cancel=CancelToken()))


def test_a_stream_that_breaks_off_is_not_taken_for_an_answer(chat: OpenAIChat, script: Script) -> None:
    script.lines = [event("Be")]
    with pytest.raises(EngineUnavailable, match="broke off"):
        ask(chat)


def test_a_dead_engine_is_unavailable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1]
    chat = OpenAIChat("tiny", KeyedEndpoint("tiny", f"http://127.0.0.1:{port}"), 4096, engine="office", retries=NEVER)
    with pytest.raises(EngineUnavailable, match=f"office at http://127.0.0.1:{port} cannot be reached"):
        ask(chat)
    chat.close()


def test_a_silent_engine_is_given_up(script: Script, make: Callable[..., OpenAIChat]) -> None:
    script.hang_before_reply = True
    with pytest.raises(EngineUnavailable, match="in time"):
        ask(make(silence_s=0.1))
    assert len(script.requests) == 1, "silence is waited for once"


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


# -- asked again


@pytest.mark.parametrize("busy", [429, 502, 503, 504])
def test_a_busy_engine_is_asked_again(chat: OpenAIChat, script: Script, busy: int) -> None:
    script.statuses, script.lines = [busy, busy, 200], [event("x", "stop"), DONE]
    assert ask(chat)[0] == ChatDelta("x")
    assert len(script.requests) == 3


def test_it_is_asked_again_a_few_times_only(chat: OpenAIChat, script: Script) -> None:
    script.statuses = [503]
    with pytest.raises(EngineUnavailable, match="503"):
        ask(chat)
    assert len(script.requests) == 3


@pytest.mark.parametrize("status", [400, 401, 404, 500])
def test_another_refusal_is_taken_at_its_word(chat: OpenAIChat, script: Script, status: int) -> None:
    script.statuses, script.lines = [status], [b'{"error": {"message": "no"}}']
    with pytest.raises(EngineRefused, match="no"):
        list(chat.stream(QUESTION, max_tokens=1, cancel=CancelToken()))
    assert len([request for request in script.requests if "stream_options" in request]) == 1


def test_a_short_wish_to_wait_is_granted_and_a_long_one_is_taken_as_a_no(
    make: Callable[..., OpenAIChat], script: Script
) -> None:
    script.statuses, script.lines, script.headers = [429, 200], [event("x", "stop"), DONE], {"Retry-After": "1"}
    started = time.monotonic()
    ask(make(retries=Retries(times=1, first_pause_s=0.0, longest_pause_s=1.0)))
    assert time.monotonic() - started > 0.9
    script.statuses, script.headers = [429], {"Retry-After": "60"}
    with pytest.raises(EngineUnavailable, match="429"):
        ask(make(retries=Retries(times=1, first_pause_s=0.0, longest_pause_s=1.0)))
    assert len(script.requests) == 3


def test_a_door_that_opens_meanwhile_is_entered(script: Script) -> None:
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1]
    with ExitStack() as stack:

        class Opening:
            asked = 0

            def address(self, cancel: CancelToken) -> object:
                self.asked += 1
                where = stack.enter_context(serving(script)) if self.asked == 2 else f"http://127.0.0.1:{port}"
                return KeyedEndpoint("tiny", where).address(cancel)

        script.lines = [event("x", "stop"), DONE]
        chat = OpenAIChat("tiny", Opening(), 4096, retries=QUICK)  # type: ignore[arg-type]  # a stand-in
        assert ask(chat)[0] == ChatDelta("x")
        chat.close()


def test_what_has_begun_is_never_begun_again(chat: OpenAIChat, script: Script) -> None:
    script.lines = [event("Be")]
    with pytest.raises(EngineUnavailable):
        ask(chat)
    assert len(script.requests) == 1


def test_a_pause_ends_when_it_is_cancelled(make: Callable[..., OpenAIChat], script: Script) -> None:
    script.statuses = [503]
    cancel = CancelToken()
    threading.Timer(0.1, cancel.cancel).start()
    started = time.monotonic()
    with pytest.raises(Cancelled):
        ask(make(retries=Retries(first_pause_s=30, longest_pause_s=30)), cancel)
    assert time.monotonic() - started < 5


def test_pauses_double_up_to_a_limit_and_are_shortened_by_up_to_a_half() -> None:
    longest = Retries(times=4, first_pause_s=1, longest_pause_s=3, jitter=lambda: 1.0)
    assert list(longest.pauses_s()) == [1, 2, 3, 3, None]
    shortest = Retries(times=4, first_pause_s=1, longest_pause_s=3, jitter=lambda: 0.0)
    assert list(shortest.pauses_s()) == [0.5, 1, 1.5, 1.5, None]
    assert shortest.asked_for(1, "Wed, 21 Oct 2026 07:28:00 GMT") == 1


# -- only what it knows


def salted(chat: OpenAIChat) -> None:
    list(chat.stream(QUESTION, max_tokens=9, salt="of-user-1", cancel=CancelToken()))


@pytest.mark.parametrize("names_unknown", [True, False])
def test_a_field_that_the_engine_refuses_is_left_out_from_then_on(
    chat: OpenAIChat, script: Script, names_unknown: bool
) -> None:
    script.lines, script.names_unknown = [event("x", "stop"), DONE], names_unknown
    salted(chat)
    salted(chat)
    assert ["cache_salt" in request for request in script.requests] == [True, False, False]
    if names_unknown:
        assert all("stream_options" in request for request in script.requests), "only what it named is left out"


def test_a_field_that_the_engine_takes_is_sent_each_time(chat: OpenAIChat, script: Script) -> None:
    script.lines, script.known = [event("x", "stop"), DONE], KNOWN_FIELDS | {"cache_salt"}
    salted(chat)
    salted(chat)
    assert [request["cache_salt"] for request in script.requests] == ["of-user-1", "of-user-1"]


def test_a_refusal_for_another_reason_teaches_nothing(chat: OpenAIChat, script: Script) -> None:
    script.known = KNOWN_FIELDS | {"cache_salt"}
    script.statuses, script.lines = [400], [b'{"error": {"message": "the prompt is too long"}}']
    with pytest.raises(EngineRefused, match="too long"):
        salted(chat)
    script.statuses, script.lines, script.requests[:] = [200], [event("x", "stop"), DONE], []
    salted(chat)
    assert ["cache_salt" in request for request in script.requests] == [True]


def test_once_a_field_was_taken_a_refusal_is_not_blamed_on_it(chat: OpenAIChat, script: Script) -> None:
    script.lines, script.known = [event("x", "stop"), DONE], KNOWN_FIELDS | {"cache_salt"}
    salted(chat)
    script.statuses, script.lines = [400], [b'{"error": {"message": "the prompt is too long"}}']
    with pytest.raises(EngineRefused, match="too long"):
        salted(chat)
    assert len(script.requests) == 2


def test_an_engine_without_usage_is_asked_without(chat: OpenAIChat, script: Script) -> None:
    script.lines, script.known = [event("x", "stop"), DONE], KNOWN_FIELDS - {"stream_options"}
    assert ask(chat) == [ChatDelta("x"), ChatDelta("", "stop", None)]


# -- where it may go, and its key


@pytest.mark.parametrize("call", [ask, lambda chat: chat.count_tokens("a secret paragraph")])
def test_nothing_leaves_the_machine_unless_the_host_is_allowed(
    call: Callable[[OpenAIChat], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_network(*_: object, **__: object) -> None:
        raise AssertionError("a connection was tried")

    monkeypatch.setattr(socket, "create_connection", no_network)
    monkeypatch.setattr(socket, "getaddrinfo", no_network)
    chat = OpenAIChat("tiny", KeyedEndpoint("tiny", "http://10.1.2.3:8000"), 4096, allowed_hosts=["10.1.2.4"])
    with pytest.raises(EngineMisconfigured, match=r"10\.1\.2\.3 is not on this machine.*LECTERN_ALLOW_CHAT"):
        call(chat)
    chat.close()


def test_an_engine_that_moves_elsewhere_is_refused_at_the_next_request(
    url: str, script: Script, make: Callable[..., OpenAIChat]
) -> None:
    class Moving:
        where = url

        def address(self, cancel: CancelToken) -> object:
            return KeyedEndpoint("tiny", self.where).address(cancel)

    moving = Moving()
    chat = make(endpoint=moving)
    script.lines = [event("x", "stop"), DONE]
    ask(chat)
    moving.where = "http://10.1.2.3"
    with pytest.raises(EngineMisconfigured, match="not on this machine"):
        ask(chat)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed(chat: OpenAIChat, script: Script, status: int) -> None:
    elsewhere = Script(lines=[event("stolen", "stop"), DONE])
    with serving(elsewhere) as other:
        script.statuses, script.headers = [status], {"Location": f"{other}/v1/chat/completions"}
        with pytest.raises(EngineRefused, match="follows no redirect"):
            ask(chat)
    assert elsewhere.requests == []


def test_no_proxy_of_the_environment_is_used(
    make: Callable[..., OpenAIChat], script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    script.lines = [event("x", "stop"), DONE]
    assert ask(make())[0] == ChatDelta("x")


KEY = "sk-very-secret-123"


@pytest.mark.parametrize(
    ("status", "lines"),
    [
        (401, [b'{"error": {"message": "Incorrect API key provided: YOUR KEY"}}']),
        (500, [b"x" * 290 + b"YOUR KEY"]),
        (503, [b"YOUR KEY"]),
        (200, [event("Be"), b'data: {"error": {"message": "YOUR KEY is spent"}}']),
        (200, [event("Be"), b"data: YOUR KEY"]),
    ],
)
def test_a_key_that_the_engine_repeats_is_in_no_error_and_no_log(
    make: Callable[..., OpenAIChat],
    url: str,
    script: Script,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    status: int,
    lines: list[bytes],
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("FAR_KEY", KEY)
    script.statuses, script.lines = [status], lines
    chat = make(endpoint=KeyedEndpoint("far", url, key_variable="FAR_KEY"), engine="far")
    with pytest.raises((EngineRefused, EngineUnavailable)) as failed:
        ask(chat)
    assert script.keys[-1] == f"Bearer {KEY}"
    shown = f"{failed.getrepr(style='native', showlocals=False)} {failed.value!r} {chat!r} {vars(chat)!r} {caplog.text}"
    assert KEY[:9] not in shown


def test_a_missing_key_is_said_before_anything_is_sent(
    make: Callable[..., OpenAIChat], url: str, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FAR_KEY", raising=False)
    with pytest.raises(EngineMisconfigured, match="FAR_KEY"):
        ask(make(endpoint=KeyedEndpoint("far", url, key_variable="FAR_KEY")))
    assert script.requests == []


def test_a_reply_is_left_as_it_is_whatever_word_the_key_may_be(make: Callable[..., OpenAIChat], script: Script) -> None:
    script.lines = [event("the key"), event(finish="stop"), DONE]
    assert ask(make())[0] == ChatDelta("the key")


# -- counting


@pytest.mark.parametrize("said", [b'{"tokens": [1, 2, 3]}', b'{"count": 3, "max_model_len": 9, "tokens": [1, 2, 3]}'])
def test_tokens_are_counted_by_llama_cpp_and_by_vllm(chat: OpenAIChat, script: Script, said: bytes) -> None:
    script.tokenize = said
    assert chat.count_tokens("three of them") == 3
    asked = script.requests[0]
    assert (asked["content"], asked["prompt"]) == ("three of them", "three of them")
    assert (asked["add_special"], asked["add_special_tokens"]) == (False, False)


@pytest.mark.parametrize("status", [404, 405, 501])
def test_where_nobody_can_count_there_is_a_number_that_tokens_cannot_exceed(
    chat: OpenAIChat, script: Script, status: int
) -> None:
    script.tokenize, script.statuses = b'{"detail": "Not Found"}', [status]
    assert [chat.count_tokens(text) for text in ("text", "灯塔")] == [5, 7]
    assert script.paths == ["/tokenize"], "the engine is asked once"


@pytest.mark.parametrize(("status", "said"), [(500, b"oh"), (200, b'{"surprise": 1}'), (200, b"no JSON")])
def test_a_count_that_failed_once_is_asked_for_again(
    chat: OpenAIChat, script: Script, status: int, said: bytes
) -> None:
    script.tokenize, script.statuses = said, [status]
    assert chat.count_tokens("text") == 5
    script.tokenize, script.statuses = b'{"tokens": [1]}', [200]
    assert chat.count_tokens("text") == 1


def test_a_count_is_not_waited_for_as_long_as_an_answer(
    chat: OpenAIChat, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("models.engines.chat.COUNT_S", 0.1)
    script.tokenize, script.hang_after_lines = b'{"tok', True
    with pytest.raises(EngineUnavailable, match="in time"):
        chat.count_tokens("text")


def test_a_wrong_key_is_no_reason_to_guess(chat: OpenAIChat, script: Script) -> None:
    script.tokenize, script.statuses = b'{"error": "no such key"}', [401]
    with pytest.raises(EngineRefused, match="no such key"):
        chat.count_tokens("text")


def test_a_far_engine_is_not_asked_to_count() -> None:
    chat = OpenAIChat("tiny", KeyedEndpoint("tiny", "https://api.example.com"), 4096, allowed_hosts=["api.example.com"])
    assert chat.count_tokens("four") == 5
    chat.close()


def test_the_tokenizers_own_file_counts_where_it_is_named(cache: Path, make: Callable[..., OpenAIChat]) -> None:
    files = sorted(cache.rglob("tokenizer.json"))
    chat = make(tokenizer_file=files[0])
    assert chat.count_tokens("hello world") == 2


def test_a_tokenizer_that_cannot_be_read_is_said_by_name(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"missing\.json"):
        OpenAIChat("tiny", KeyedEndpoint("tiny", "http://127.0.0.1"), 4096, tokenizer_file=tmp_path / "missing.json")
