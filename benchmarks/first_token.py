"""How soon an answer begins and how fast it goes on: `python benchmarks/first_token.py [SET] [--questions N]`.

SET is a folder with docs/ and questions.jsonl. For each question, with the passages that Lectern would use: the first
token of a first question, over passages that the engine has not read; the first token of a follow-up over the same
passages; tokens per second of a whole answer as Lectern makes it (each sentence is checked while the next is written),
and of the bare engine on the same prompt, by plain HTTP. The two take turns, on the same server.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import httpx

from indexes.collection import Collection
from models.cancellation import CancelToken
from models.catalog import load_catalog
from models.devices import choose_llama_threads, detect
from models.download import ensure
from models.engines.chat import OpenAIChat
from models.engines.llama_cpp import LlamaServer
from models.interfaces import ChatDelta, ChatMessage, Embedder
from rag.access import LOCAL_USER
from rag.answer import PASSAGES, Answerer
from rag.building import build_appliance
from rag.commands import collection_of
from rag.evaluation import load_set
from rag.ownership import try_own
from rag.prompt import ANSWER_TOKENS, build_prompt
from rag.question import understand
from rag.retrieval import Retriever
from rag.settings import Settings

CONTEXT_TOKENS = 8192
FOLLOW_UP = "Can you say that once more, in one sentence?"


@dataclass
class Timed:
    """A language model that notes when it was asked, with what, and when each piece of its reply was taken."""

    model: OpenAIChat
    messages: tuple[ChatMessage, ...] = ()
    asked_s: float = 0.0
    taken_s: list[float] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.model.name

    @property
    def context_tokens(self) -> int:
        return self.model.context_tokens

    def prepare(self, cancel: CancelToken) -> None:
        self.model.prepare(cancel)

    def count_tokens(self, text: str) -> int:
        return self.model.count_tokens(text)

    def stream(
        self, messages: Sequence[ChatMessage], *, max_tokens: int, cancel: CancelToken, **_: object
    ) -> Iterator[ChatDelta]:
        self.messages, self.asked_s, self.taken_s = tuple(messages), time.perf_counter(), []
        for delta in self.model.stream(messages, max_tokens=max_tokens, cancel=cancel):
            if delta.text:
                self.taken_s.append(time.perf_counter())
            yield delta

    @property
    def first_ms(self) -> float:
        return 1000 * (self.taken_s[0] - self.asked_s)

    @property
    def tokens_per_s(self) -> float:
        return per_second(self.taken_s)


def per_second(taken_s: Sequence[float]) -> float:
    """A piece is a token; the first one's time belongs to the prompt."""
    return (len(taken_s) - 1) / (taken_s[-1] - taken_s[0])


def bare_tokens_per_s(server: LlamaServer, messages: Sequence[ChatMessage], tokens: int) -> float:
    address = server.address(CancelToken())
    request = {
        "messages": [{"role": message.role, "content": message.content} for message in messages],
        "max_tokens": tokens,
        "temperature": 0.0,
        "stream": True,
    }
    headers = {"Authorization": f"Bearer {address.api_key}"}
    taken_s = []
    with httpx.stream(
        "POST", f"{address.url}/v1/chat/completions", json=request, headers=headers, timeout=600, trust_env=False
    ) as response:
        for line in response.iter_lines():
            if line.startswith("data: {") and '"content":"' in line.replace('": "', '":"'):
                taken_s.append(time.perf_counter())
    return per_second(taken_s)


@dataclass(frozen=True)
class Trial:
    prompt_tokens: int
    first_ms: float
    follow_up_ms: float
    answer_tokens: int
    answer_tokens_per_s: float
    bare_tokens_per_s: float


def trial(question: str, collection: Collection, embedder: Embedder, server: LlamaServer, model: Timed) -> Trial | None:
    """None when the answer is too short to have a speed."""
    retriever = Retriever(embedder)
    found = retriever.retrieve(collection, understand(question), PASSAGES).found
    prompt = build_prompt(question, found, [], model)
    reply = "".join(d.text for d in model.stream(prompt.messages, max_tokens=ANSWER_TOKENS, cancel=CancelToken()))
    first_ms = model.first_ms
    history = [ChatMessage("user", question), ChatMessage("assistant", reply)]
    follow_up = build_prompt(FOLLOW_UP, found, history, model)
    for _ in model.stream(follow_up.messages, max_tokens=8, cancel=CancelToken()):
        pass
    follow_up_ms = model.first_ms

    answerer = Answerer(retriever, embedder)
    for _ in answerer.answer(question, collection, mode="generate", model=model, history=(), cancel=CancelToken()):
        pass
    if len(model.taken_s) < 16:
        return None
    bare = bare_tokens_per_s(server, model.messages, len(model.taken_s))
    prompt_tokens = sum(model.count_tokens(message.content) for message in prompt.messages)
    return Trial(prompt_tokens, first_ms, follow_up_ms, len(model.taken_s), model.tokens_per_s, bare)


def run(folder: Path, model_name: str, limit: int, home: Path) -> list[Trial]:
    question_set = load_set(folder)
    settings = Settings(home=home)
    owner = try_own(home)
    assert owner is not None
    devices = detect()
    entry = load_catalog().entry(model_name)
    weights = ensure(entry, settings.cache, fetch=False) / entry.weights.path
    server = LlamaServer(weights, CONTEXT_TOKENS, choose_llama_threads(devices)[0], home / "llama.log")
    model = Timed(OpenAIChat(entry.name, server, CONTEXT_TOKENS))
    trials = []
    with owner:
        appliance = build_appliance(settings, owner)
        try:
            name = collection_of(question_set)
            for _ in appliance.mirror(
                question_set.documents, identity=LOCAL_USER, collection=name, hidden=True, cancel=CancelToken()
            ):
                pass
            collection = appliance.collection(name, identity=LOCAL_USER)
            embedder = appliance.embedder()
            bare_tokens_per_s(server, [ChatMessage("user", "Count to fifty.")], 32)  # warm
            for asked in [question for question in question_set.questions if question.gold][:limit]:
                measured = trial(asked.text, collection, embedder, server, model)
                print(asked.id, measured, file=sys.stderr)
                trials += [measured] if measured else []
        finally:
            server.stop()
            appliance.close()
    return trials


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("set", nargs="?", type=Path, default=Path("../shared/eval/hr-handbook"))
    parser.add_argument("--questions", type=int, default=12)
    parser.add_argument("--model", default="smollm2-135m-instruct")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        trials = run(options.set, options.model, options.questions, Path(home))
    share = [each.follow_up_ms / each.first_ms for each in trials]
    speed = [each.answer_tokens_per_s / each.bare_tokens_per_s for each in trials]
    result = {
        "set": options.set.name,
        "model": options.model,
        "trials": len(trials),
        "prompt_tokens": statistics.median(each.prompt_tokens for each in trials),
        "first_token_ms": round(statistics.median(each.first_ms for each in trials)),
        "follow_up_ms": round(statistics.median(each.follow_up_ms for each in trials)),
        "follow_up_share_median": round(statistics.median(share), 3),
        "follow_up_share_worst": round(max(share), 3),
        "answer_tokens_per_s": round(statistics.median(each.answer_tokens_per_s for each in trials), 1),
        "bare_tokens_per_s": round(statistics.median(each.bare_tokens_per_s for each in trials), 1),
        "speed_share_median": round(statistics.median(speed), 3),
        "commit": subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True
        ).stdout.strip(),
        "machine": f"{detect().cores} cores, {platform.machine()}",
    }
    for name, value in result.items():
        print(f"{name:24} {value}")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
