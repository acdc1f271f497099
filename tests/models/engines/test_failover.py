"""Several engines as one: who is asked, who stands in, what is said when one breaks off, and when none is left."""

from __future__ import annotations

import json
import logging
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from models.cancellation import Cancelled, CancelToken
from models.catalog import load_catalog
from models.devices import LlamaThreads
from models.download import ensure
from models.engines.breaker import CircuitBreaker
from models.engines.chat import OpenAIChat
from models.engines.failover import Candidate, FailoverChat
from models.engines.families import end_family, new_mark
from models.engines.keys import KeyedEndpoint
from models.engines.llama_cpp import LlamaServer
from models.engines.retries import NEVER, Retries
from models.engines.supervisor import State
from models.errors import EngineError, EngineMisconfigured, EngineRefused, EngineUnavailable
from models.interfaces import ChatDelta, ChatMessage, Engine, Usage

STANDIN = Path(__file__).resolve().parents[2] / "standins" / "trtllm_serve.py"
QUESTION = [ChatMessage("user", "Count from one to two hundred, in words.")]


@dataclass
class Scripted:
    """An engine's client: it says `says` word by word, and fails where it is told to."""

    name: str = "tiny"
    context_tokens: int = 4096
    says: str = "one two three"
    error: EngineError | None = None
    fails_after: int = 0
    asked: int = 0
    counted: int = 0
    prepared: int = 0
    closed: int = 0
    salts: list[str | None] = field(default_factory=list)

    def prepare(self, cancel: CancelToken) -> None:
        cancel.check()
        self.prepared += 1

    def stream(
        self,
        messages: Sequence[ChatMessage],
        *,
        max_tokens: int,
        temperature: float = 0.0,
        stop: Sequence[str] = (),
        salt: str | None = None,
        cancel: CancelToken,
    ) -> Iterator[ChatDelta]:
        del messages, max_tokens, temperature, stop
        self.asked += 1
        self.salts.append(salt)
        try:
            for n, word in enumerate(self.says.split()):
                if self.error and n == self.fails_after:
                    raise self.error
                cancel.check()
                yield ChatDelta(word)
            yield ChatDelta("", "stop", Usage(1, 3))
        finally:
            self.closed += 1

    def count_tokens(self, text: str) -> int:
        self.counted += 1
        if self.error:
            raise self.error
        return len(text)


class FailsOnce(Scripted):
    def stream(self, *arguments: object, **given: object) -> Iterator[ChatDelta]:  # type: ignore[override]  # passes all on
        self.error = GONE if self.asked == 0 else None
        return super().stream(*arguments, **given)  # type: ignore[arg-type]  # as they came


GONE = EngineUnavailable("it has gone")


def far(client: Scripted, name: str = "office", pause_s: float = 60.0) -> Candidate:
    return Candidate(client, Engine(name, client.name, "10.0.0.5", "self-hosted"), CircuitBreaker(pause_s=pause_s))


def here(client: Scripted, *states: State) -> Candidate:
    """One whose process is in these states, each time one is asked for; the last one stays."""
    left = list(states)
    engine = Engine("llama.cpp", client.name, "127.0.0.1", "local")
    return Candidate(client, engine, CircuitBreaker(pause_s=60), lambda: left.pop(0) if len(left) > 1 else left[0])


def ask(chat: FailoverChat, cancel: CancelToken | None = None) -> list[ChatDelta]:
    return list(chat.stream(QUESTION, max_tokens=9, salt="s", cancel=cancel or CancelToken()))


def who(chat: FailoverChat) -> str:
    engines = [delta.engine for delta in ask(chat) if delta.engine]
    assert len(engines) == 1, "the engine stands on one delta"
    return engines[0].name


def test_the_first_delta_says_who_answers() -> None:
    client = Scripted()
    deltas = ask(FailoverChat([far(client)]))
    assert deltas[0].engine == Engine("office", "tiny", "10.0.0.5", "self-hosted")
    assert [delta.text for delta in deltas] == ["one", "two", "three", ""]
    assert all(delta.engine is None for delta in deltas[1:])
    assert client.salts == ["s"]


def test_the_first_that_works_answers_and_the_others_are_not_asked() -> None:
    dead, well, spare = Scripted(error=GONE), Scripted(), Scripted()
    candidates = [far(dead, "first"), far(well, "second"), far(spare, "third")]
    assert who(FailoverChat(candidates)) == "second"
    assert (dead.asked, well.asked, spare.asked) == (1, 1, 0)
    assert dead.closed == well.closed == 1


@pytest.mark.parametrize(
    "error",
    [
        GONE,
        EngineRefused("no such model", status=404),
        EngineRefused("wrong key", status=401),
        EngineRefused("not yours", status=403),
        EngineRefused("a fault of its own", status=500),
        EngineRefused("out of memory", status=200),
        EngineMisconfigured("its key is missing"),
    ],
)
def test_what_is_the_engines_fault_is_followed_by_the_next(
    error: EngineError, caplog: pytest.LogCaptureFixture
) -> None:
    assert who(FailoverChat([far(Scripted(error=error), "first"), far(Scripted(), "second")])) == "second"
    assert f"first at 10.0.0.5 (self-hosted) failed: {error}" in caplog.text


@pytest.mark.parametrize("status", [400, 413, 422])
def test_what_is_the_requests_fault_is_told_at_once(status: int) -> None:
    spare = Scripted()
    first = far(Scripted(error=EngineRefused("too long", status=status)), "first")
    for _ in range(4):
        with pytest.raises(EngineRefused, match="too long"):
            ask(FailoverChat([first, far(spare, "second")]))
    assert spare.asked == 0
    assert first.breaker.state == "closed"


def test_when_none_is_left_each_reason_is_told() -> None:
    candidates = [far(Scripted(error=EngineUnavailable(f"{name} is down")), name) for name in ("first", "second")]
    with pytest.raises(EngineUnavailable, match=r"no weights here; first is down; second is down"):
        ask(FailoverChat(candidates, problems=["no weights here"]))
    with pytest.raises(EngineUnavailable, match="none is set up"):
        ask(FailoverChat([]))


def test_who_fails_again_and_again_is_left_out_for_a_while() -> None:
    dead = Scripted(error=GONE)
    candidates = [far(dead, "first"), far(Scripted(), "second")]
    for _ in range(5):
        assert who(FailoverChat(candidates)) == "second"
    assert dead.asked == 3
    with pytest.raises(EngineUnavailable, match=r"first at 10\.0\.0\.5 .* is asked again in \d+ s"):
        ask(FailoverChat(candidates[:1]))


def test_one_that_breaks_off_is_told_and_the_next_request_goes_to_the_next() -> None:
    breaks = Scripted(error=GONE, fails_after=2)
    candidates = [far(breaks, "first"), far(Scripted(), "second")]
    chat = FailoverChat(candidates)
    deltas = chat.stream(QUESTION, max_tokens=9, cancel=CancelToken())
    assert [next(deltas).text, next(deltas).text] == ["one", "two"]
    with pytest.raises(EngineUnavailable, match=r"first at 10\.0\.0\.5 \(self-hosted\) broke off .*it has gone"):
        next(deltas)
    assert who(chat) == "second"
    assert who(FailoverChat(candidates)) == "second"
    assert breaks.asked == 1


def test_one_that_broke_off_is_tried_again_after_a_pause() -> None:
    first = far(Scripted(), "first", pause_s=0.0)
    first.breaker.trip()
    assert who(FailoverChat([first, far(Scripted(), "second")])) == "first"
    assert first.breaker.state == "closed"


def test_one_that_loads_is_passed_over_while_another_can_answer() -> None:
    loading = Scripted()
    assert who(FailoverChat([here(loading, "loading"), far(Scripted(), "second")], moment_s=0.05)) == "second"
    assert loading.asked == 0


def test_one_that_has_loaded_a_moment_later_is_waited_for_unless_it_had_failed() -> None:
    loading = here(Scripted(), "loading", "loading", "loading", "ready")
    assert who(FailoverChat([loading, far(Scripted(), "second")])) == "llama.cpp"
    failed = here(Scripted(), "loading")
    failed.breaker.trip()
    started = time.monotonic()
    assert who(FailoverChat([failed, far(Scripted(), "second")], moment_s=30)) == "second"
    assert time.monotonic() - started < 10


def test_that_moment_ends_when_it_is_cancelled() -> None:
    cancel = CancelToken()
    threading.Timer(0.1, cancel.cancel).start()
    with pytest.raises(Cancelled):
        FailoverChat([here(Scripted(), "loading"), far(Scripted())], moment_s=60).prepare(cancel)


@pytest.mark.parametrize("state", ["loading", "restarting", "not started"])
def test_one_that_loads_is_waited_for_when_no_other_can_answer(state: State) -> None:
    candidates = [here(Scripted(), state), far(Scripted(error=GONE), "second")]
    assert who(FailoverChat(candidates, moment_s=0.05)) == "llama.cpp"


def test_one_whose_process_was_found_dead_is_waited_for_at_last() -> None:
    """Ready when it was looked at, restarting a moment after it had failed."""
    states: tuple[State, ...] = ("ready", "ready", "ready", "loading")
    assert who(FailoverChat([here(FailsOnce(), *states)])) == "llama.cpp"


def test_one_that_was_waited_for_in_vain_is_not_waited_for_again() -> None:
    slow = Scripted(error=EngineUnavailable("it is not ready after 60 s"))
    with pytest.raises(EngineUnavailable, match="not ready after 60 s"):
        ask(FailoverChat([here(slow, "loading")], moment_s=0))
    assert slow.asked == 1


def test_one_that_runs_and_had_failed_is_the_last_resort() -> None:
    """Its supervisor has found it well since."""
    candidate = here(Scripted(), "ready")
    candidate.breaker.trip()
    assert who(FailoverChat([candidate, far(Scripted(), "second")])) == "second"
    assert who(FailoverChat([candidate])) == "llama.cpp"


def test_preparing_waits_only_when_nobody_is_ready() -> None:
    loading = Scripted()
    FailoverChat([here(loading, "loading"), far(Scripted())], moment_s=0).prepare(CancelToken())
    assert loading.prepared == 0
    FailoverChat([here(loading, "loading")], moment_s=0).prepare(CancelToken())
    assert loading.prepared == 1
    with pytest.raises(EngineUnavailable):
        FailoverChat([]).prepare(CancelToken())


def test_tokens_are_counted_by_who_can_and_a_dead_one_is_asked_once_a_request() -> None:
    dead, loading, well = Scripted(error=GONE), Scripted(), Scripted()
    chat = FailoverChat([here(loading, "loading"), far(dead, "first"), far(well, "second")], moment_s=0)
    assert [chat.count_tokens("four") for _ in range(5)] == [4] * 5
    assert (dead.counted, loading.counted, well.counted) == (1, 0, 5)
    assert who(chat) == "second"
    assert dead.asked == 0


def test_a_prompt_must_fit_whoever_answers() -> None:
    assert FailoverChat([far(Scripted(context_tokens=8192)), far(Scripted(context_tokens=4096))]).context_tokens == 4096


def test_cancelling_and_closing_reach_the_engine_and_do_not_blame_it() -> None:
    cancel, client = CancelToken(), Scripted()
    candidate = far(client)
    cancel.cancel()
    with pytest.raises(Cancelled):
        ask(FailoverChat([candidate]), cancel)
    deltas = FailoverChat([candidate]).stream(QUESTION, max_tokens=9, cancel=CancelToken())
    next(deltas)
    deltas.close()  # type: ignore[attr-defined]  # it is a generator
    assert (client.asked, client.closed, candidate.breaker.state) == (2, 2, "closed")


def test_every_delta_passes_the_watch() -> None:
    seen: list[ChatDelta] = []

    def watch(deltas: Iterator[ChatDelta]) -> Iterator[ChatDelta]:
        for delta in deltas:
            seen.append(delta)
            yield delta

    assert ask(FailoverChat([far(Scripted())], watch=watch)) == seen


# -- with a real engine


@pytest.fixture
def server(cache: Path, tmp_path: Path) -> Iterator[LlamaServer]:
    entry = load_catalog().entry("smollm2-135m-instruct")
    weights = ensure(entry, cache, fetch=False) / entry.weights.path
    server = LlamaServer(weights, 2048, LlamaThreads(1, 2), tmp_path / "llama.log")
    yield server
    server.stop()


def test_a_real_engine_killed_in_the_middle_is_told_and_the_next_one_answers_the_next_question(
    server: LlamaServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    client = OpenAIChat("smollm2", server, 2048, retries=NEVER)
    engine = Engine("llama.cpp", "smollm2", "127.0.0.1", "local")
    local = Candidate(client, engine, CircuitBreaker(), lambda: server.state)
    candidates = [local, far(Scripted(), "office")]
    server.address(CancelToken())
    deltas = FailoverChat(candidates).stream(QUESTION, max_tokens=1000, cancel=CancelToken())
    assert next(deltas).engine == engine
    kill_process_of(server)
    started = time.monotonic()
    with pytest.raises(EngineUnavailable, match="smollm2 on this machine broke off in the middle"):
        list(deltas)
    assert time.monotonic() - started < 5
    assert who(FailoverChat(candidates)) == "office"
    # Alone, it is waited for until its supervisor has started it again.
    assert who(FailoverChat([local])) == "llama.cpp"
    client.close()


def kill_process_of(server: LlamaServer) -> None:
    process_id = server.status().pid
    assert process_id is not None
    psutil.Process(process_id).kill()


# -- with the strict stand-in of trtllm-serve


@pytest.fixture
def standin(tmp_path: Path) -> Iterator[str]:
    """Its address, once it answers."""
    checkpoint = tmp_path / "llama"
    checkpoint.mkdir()
    (checkpoint / "config.json").write_text("{}")
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1]
    command = [sys.executable, str(STANDIN), str(checkpoint), "--host", "127.0.0.1", "--port", str(port)]
    environment = {**os.environ, "STANDIN_FOLDER": str(tmp_path), **(mark := new_mark())}
    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as process:
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            end_family(mark, process.pid, grace_s=0, limit_s=5)


def test_a_strict_engine_is_sent_only_what_it_knows_and_the_salt_among_it(standin: str, tmp_path: Path) -> None:
    chat = OpenAIChat("llama", KeyedEndpoint("tiny", standin), 4096, engine="trtllm-serve", retries=Retries(times=30))
    candidate = Candidate(chat, Engine("trtllm-serve", "llama", "127.0.0.1", "local"), CircuitBreaker())
    deltas = ask(FailoverChat([candidate]))
    assert "".join(delta.text for delta in deltas).startswith("The answer")
    assert deltas[-1].usage is not None
    requests = [json.loads(line) for line in (tmp_path / "requests").read_text().splitlines()]
    assert requests[-1]["body"]["cache_salt"] == "s"
    assert chat.count_tokens("four") == 5, "it cannot count"
    chat.close()


def test_a_strict_engine_that_crashes_in_the_middle_is_followed_by_the_next(standin: str) -> None:
    chat = OpenAIChat("llama", KeyedEndpoint("tiny", standin), 4096, engine="trtllm-serve", retries=Retries(times=30))
    first = Candidate(chat, Engine("trtllm-serve", "llama", "127.0.0.1", "local"), CircuitBreaker())
    candidates = [first, far(Scripted(), "second")]
    crash = [ChatMessage("user", "CRASH NOW")]
    with pytest.raises(EngineUnavailable, match="llama on this machine broke off in the middle"):
        list(FailoverChat(candidates).stream(crash, max_tokens=9, cancel=CancelToken()))
    assert who(FailoverChat(candidates)) == "second"
    chat.close()
