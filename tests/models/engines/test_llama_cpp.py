from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from models.cancellation import Cancelled, CancelToken
from models.catalog import load_catalog
from models.devices import LlamaThreads
from models.download import ensure
from models.engines.backoff import Backoff
from models.engines.chat import OpenAIChat
from models.engines.llama_cpp import LlamaProgram, LlamaServer, find_cuda_build
from models.errors import EngineRefused, EngineUnavailable
from models.interfaces import ChatMessage
from tests.standins.supervised import wait_until

THREADS = LlamaThreads(decode=1, prefill=2)
CONTEXT_TOKENS = 2048


@pytest.fixture(scope="module")
def weights(cache: Path) -> Path:
    entry = load_catalog().entry("smollm2-135m-instruct")
    return ensure(entry, cache, fetch=False) / entry.weights.path


@pytest.fixture(scope="module")
def server(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LlamaServer]:
    server = LlamaServer(weights, CONTEXT_TOKENS, THREADS, tmp_path_factory.mktemp("log") / "llama.log")
    yield server
    server.stop()


@pytest.fixture(scope="module")
def chat(server: LlamaServer) -> Iterator[OpenAIChat]:
    chat = OpenAIChat("smollm2-135m-instruct", server, CONTEXT_TOKENS)
    yield chat
    chat.close()


def ask(chat: OpenAIChat, question: str, max_tokens: int = 24, stop: tuple[str, ...] = ()) -> str:
    messages = [ChatMessage("system", "Answer briefly."), ChatMessage("user", question)]
    return "".join(d.text for d in chat.stream(messages, max_tokens=max_tokens, stop=stop, cancel=CancelToken()))


def test_the_reply_streams_and_ends_with_its_reason_and_usage(chat: OpenAIChat) -> None:
    messages = [ChatMessage("user", "Count from one to ten.")]
    deltas = list(chat.stream(messages, max_tokens=12, cancel=CancelToken()))
    assert len([delta for delta in deltas if delta.text]) > 3
    last = deltas[-1]
    assert last.finish_reason == "length"
    assert last.usage is not None
    assert last.usage.completion_tokens == 12
    assert last.usage.prompt_tokens > 10
    assert all(delta.finish_reason is None for delta in deltas[:-1])


def test_without_temperature_the_same_question_has_the_same_answer(chat: OpenAIChat) -> None:
    assert ask(chat, "What is the capital of France?") == ask(chat, "What is the capital of France?")


def test_a_stop_word_ends_the_reply_and_is_not_part_of_it(chat: OpenAIChat) -> None:
    whole = ask(chat, "What is the capital of France?")
    word = whole.split()[2]
    assert ask(chat, "What is the capital of France?", stop=(word,)) == whole[: whole.index(word)]


def test_tokens_are_counted_by_the_models_own_tokenizer(chat: OpenAIChat) -> None:
    assert chat.count_tokens("") == 0
    assert chat.count_tokens("Hello") == 1
    text = "The deductible is 1,500 dollars. " * 20
    longer = list(chat.stream([ChatMessage("user", text + "x")], max_tokens=1, cancel=CancelToken()))[-1].usage
    shorter = list(chat.stream([ChatMessage("user", "x")], max_tokens=1, cancel=CancelToken()))[-1].usage
    assert longer is not None
    assert shorter is not None
    assert longer.prompt_tokens - shorter.prompt_tokens == pytest.approx(chat.count_tokens(text), abs=1)


def test_a_prompt_that_is_too_long_is_refused_with_a_code(chat: OpenAIChat) -> None:
    with pytest.raises(EngineRefused, match="context size") as refused:
        ask(chat, "word " * (CONTEXT_TOKENS + 100))
    assert (refused.value.status, refused.value.code) == (400, "exceed_context_size_error")


def test_a_reply_is_cancelled_between_tokens(chat: OpenAIChat) -> None:
    cancel = CancelToken()
    replies = chat.stream([ChatMessage("user", "Tell a long story.")], max_tokens=1000, cancel=cancel)
    next(replies)
    cancel.cancel()
    with pytest.raises(Cancelled):
        list(replies)
    assert ask(chat, "What is the capital of France?", max_tokens=4)


def test_a_reply_that_is_closed_frees_the_engine(chat: OpenAIChat) -> None:
    replies = chat.stream([ChatMessage("user", "Tell a long story.")], max_tokens=1500, cancel=CancelToken())
    next(replies)
    replies.close()  # type: ignore[attr-defined]  # it is a generator
    started = time.monotonic()
    ask(chat, "Hi", max_tokens=1)
    assert time.monotonic() - started < 15


def test_nobody_without_the_key_is_served(chat: OpenAIChat, server: LlamaServer) -> None:
    chat.count_tokens("it is up")
    assert httpx.post(f"{server.status().url}/v1/chat/completions", json={}, trust_env=False).status_code == 401
    assert httpx.get(f"{server.status().url}/v1/models", trust_env=False).status_code == 401


def test_after_a_crash_the_server_comes_back_by_itself_and_questions_wait_for_it(
    chat: OpenAIChat, server: LlamaServer
) -> None:
    chat.count_tokens("it is up")
    first, process = server.status().url, child_of(server)
    os.kill(process, 9)
    wait_until(lambda: server.status().pid not in (None, process))
    assert chat.count_tokens("Hello") == 1
    assert server.status().url not in (None, first)


def test_a_model_that_cannot_be_loaded_is_an_error_and_then_a_pause(tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF nonsense")
    server = LlamaServer(broken, 512, THREADS, tmp_path / "log", backoff=Backoff(first_s=60))
    with pytest.raises(
        EngineUnavailable, match=r"broken\.gguf.*while it loaded, 2 times in a row.*starts again in.*log"
    ):
        server.address(CancelToken())
    assert (server.status().url, server.status().state) == (None, "restarting")
    server.stop()


def test_a_follow_up_reads_only_what_is_new_in_its_prompt(server: LlamaServer) -> None:
    passages = " ".join(f"Plan {number} has a deductible of {number * 7} dollars." for number in range(20))
    first = timings(server, passages + " What is the deductible of plan 3?")
    other = timings(server, "Say something else entirely, about the weather in the mountains, and about the snow.")
    follow_up = timings(server, passages + " And that of plan 9?")
    assert first["prompt_n"] > 250
    assert other["prompt_n"] < 60
    # Also after another conversation had its turn in between.
    assert follow_up["cache_n"] > 0.9 * first["prompt_n"]
    assert follow_up["prompt_n"] < 40


def test_without_gpus_no_layer_leaves_the_processor(server: LlamaServer, chat: OpenAIChat) -> None:
    chat.count_tokens("it is up")
    process = psutil.Process(child_of(server))
    assert "--gpu" not in process.cmdline()
    assert process.environ()["CUDA_VISIBLE_DEVICES"] == ""


def test_with_gpus_the_layers_go_there(tmp_path: Path) -> None:
    program = LlamaProgram(tmp_path / "model.gguf", 512, THREADS, gpus=(1, 0))
    assert "--gpu" in program.command
    assert program.variables["CUDA_VISIBLE_DEVICES"] == "1,0"


def test_the_installed_build_says_whether_it_knows_gpus() -> None:
    found, reason = find_cuda_build()
    assert found == ("sees the devices" in reason)


def test_the_folder_it_is_called_in_cannot_stand_in_for_llama_cpp(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "xllamacpp.py").write_text("raise SystemExit(3)")
    monkeypatch.chdir(tmp_path)
    assert "cannot be asked" not in find_cuda_build()[1]


def test_waiting_for_a_server_can_be_cancelled_and_stopping_is_quick(weights: Path, tmp_path: Path) -> None:
    server = LlamaServer(weights, 512, THREADS, tmp_path / "log")
    server.start()
    cancel = CancelToken()
    cancel.cancel()
    with pytest.raises(Cancelled):
        server.address(cancel)
    started = time.monotonic()
    server.stop()
    assert time.monotonic() - started < 5
    assert not server.alive
    with pytest.raises(EngineUnavailable, match="was stopped"):
        server.start()


def test_the_server_dies_with_whoever_started_it(weights: Path, tmp_path: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path; from models.cancellation import CancelToken;"
        "from models.devices import LlamaThreads; from models.engines.llama_cpp import LlamaServer;"
        "s = LlamaServer(Path(sys.argv[1]), 512, LlamaThreads(1, 1), Path(sys.argv[2]));"
        "s.address(CancelToken()); print(s.status().url, flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", script, str(weights), str(tmp_path / "log")]
    root = Path(__file__).resolve().parents[3]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        url = parent.stdout.readline().strip()
        assert httpx.get(f"{url}/health", trust_env=False).status_code == 200
        parent.kill()
    deadline = time.monotonic() + 5
    while answers(url) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not answers(url)


def child_of(server: LlamaServer) -> int:
    """The process that listens, found from outside as a person would find it."""
    port = int((server.status().url or "").rpartition(":")[2])
    for child in psutil.Process().children(recursive=True):
        if any(c.laddr.port == port and c.status == "LISTEN" for c in child.net_connections("tcp")):
            return int(child.pid)
    raise AssertionError(f"nobody listens at {server.status().url}")


def timings(server: LlamaServer, question: str) -> dict[str, float]:
    """What llama.cpp tells of its work: `cache_n` tokens of the prompt stood there already, `prompt_n` were read."""
    address = server.address(CancelToken())
    request = {"messages": [{"role": "user", "content": question}], "max_tokens": 1}
    headers = {"Authorization": f"Bearer {address.api_key}"}
    reply = httpx.post(f"{address.url}/v1/chat/completions", json=request, headers=headers, timeout=60, trust_env=False)
    return dict(reply.json()["timings"])


def answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health", trust_env=False, timeout=1).status_code == 200
    except httpx.HTTPError:
        return False
