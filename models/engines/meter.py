"""Counts what language models are asked and what they say, whichever engine answers: for Prometheus and for people."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from models.cancellation import Cancelled
from models.interfaces import ChatDelta, Usage

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

WINDOW_S = 5.0
FIRST_TOKEN_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
EACH_TOKEN_S = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
WHOLE_REPLY_S = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 320.0)

Outcome = Literal["finished", "stopped", "failed"]


@dataclass(frozen=True)
class Traffic:
    """`waiting` requests have no first token yet, `running` ones have. `tokens_per_s` is over all of them, averaged
    over the last `WINDOW_S` seconds, or over less when the first of its tokens is younger."""

    running: int
    waiting: int
    tokens_per_s: float


@dataclass
class _Reply:
    started_s: float
    first_s: float | None = None
    last_s: float = 0.0
    pieces: int = 0
    engine: str = ""
    finish_reason: str | None = None
    usage: Usage | None = None

    @property
    def tokens(self) -> int:
        """As the engine counts them. One that was stopped sends no count: then each piece is taken for one token."""
        return self.usage.completion_tokens if self.usage else self.pieces

    def take(self, delta: ChatDelta, now_s: float) -> None:
        self.engine = delta.engine.name if delta.engine else self.engine
        self.finish_reason = delta.finish_reason or self.finish_reason
        self.usage = delta.usage or self.usage
        if delta.text:
            self.first_s = now_s if self.first_s is None else self.first_s
            self.last_s = now_s
            self.pieces += 1


class Meter:
    """Thread-safe. The names are those of NVIDIA's NIM, so that its dashboards fit. `registry` is its own, and other
    parts may add theirs to it; `clock` gives seconds and never goes back."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        from prometheus_client import CollectorRegistry

        self.registry = CollectorRegistry()
        self._series = _Series(self.registry)
        self._clock = clock
        self._lock = threading.Lock()
        self._running = 0
        self._waiting = 0
        self._recent: deque[float] = deque()  # when each piece of the last WINDOW_S came
        self._known_pieces = 0
        self._known_tokens = 0

    def watch(self, deltas: Iterator[ChatDelta]) -> Iterator[ChatDelta]:
        """The same deltas, counted as one request from the moment the first one is asked for until they end, fail, or
        are closed; closing this closes `deltas`."""
        reply = _Reply(self._clock())
        self._count(waiting=1)
        outcome: Outcome = "failed"
        try:
            for delta in deltas:
                self._take(reply, delta)
                yield delta
            outcome = "finished"
        except (Cancelled, GeneratorExit):
            # Who has seen the last delta need not ask for another.
            outcome = "finished" if reply.finish_reason else "stopped"
            raise
        finally:
            self._end(reply, outcome)
            close = getattr(deltas, "close", None)
            if close is not None:
                close()

    def traffic(self) -> Traffic:
        with self._lock:
            now_s = self._clock()
            self._forget(now_s)
            # Less than a second of tokens is no rate yet.
            span_s = max(1.0, now_s - self._recent[0]) if self._recent else WINDOW_S
            # An engine may send several tokens in a piece; how many is known from the replies that it counted.
            tokens = len(self._recent) * (self._known_tokens / self._known_pieces if self._known_pieces else 1.0)
            return Traffic(self._running, self._waiting, tokens / span_s)

    def text(self) -> bytes:
        """Everything in the registry in Prometheus' text format 0.0.4."""
        from prometheus_client.exposition import generate_latest

        return generate_latest(self.registry)

    def _take(self, reply: _Reply, delta: ChatDelta) -> None:
        now_s = self._clock()
        is_first = bool(delta.text) and reply.first_s is None
        reply.take(delta, now_s)
        if is_first:
            self._count(waiting=-1, running=1)
            self._series.first_token.observe(now_s - reply.started_s)
        if delta.text:
            with self._lock:
                self._recent.append(now_s)
                self._forget(now_s)

    def _end(self, reply: _Reply, outcome: Outcome) -> None:
        if reply.first_s is None:
            self._count(waiting=-1)
        else:
            self._count(running=-1)
        if reply.usage and reply.pieces:
            with self._lock:
                self._known_pieces += reply.pieces
                self._known_tokens += reply.usage.completion_tokens
        self._series.add(reply, outcome, self._clock() - reply.started_s)

    def _count(self, *, running: int = 0, waiting: int = 0) -> None:
        with self._lock:
            self._running += running
            self._waiting += waiting
        self._series.running.inc(running)
        self._series.waiting.inc(waiting)

    def _forget(self, now_s: float) -> None:
        while self._recent and self._recent[0] < now_s - WINDOW_S:
            self._recent.popleft()


class _Series:
    """The meter's time series. Requests are told apart by outcome and by the engine that answered ("" for none)."""

    def __init__(self, registry: CollectorRegistry) -> None:
        from prometheus_client import Counter, Gauge, Histogram

        def histogram(name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
            return Histogram(name, text, buckets=buckets, registry=registry)

        self.running = Gauge("num_requests_running", "Requests whose reply is being made", registry=registry)
        self.waiting = Gauge("num_requests_waiting", "Requests without a first token yet", registry=registry)
        self.prompt_tokens = Counter("prompt_tokens", "Tokens of prompts, as engines counted them", registry=registry)
        self.generation_tokens = Counter("generation_tokens", "Tokens of replies", registry=registry)
        self.requests = Counter("requests", "Requests that ended", ["engine", "outcome"], registry=registry)
        self.first_token = histogram("time_to_first_token_seconds", "From request to first token", FIRST_TOKEN_S)
        self.each_token = histogram("time_per_output_token_seconds", "A reply's mean after its first", EACH_TOKEN_S)
        self.whole_reply = histogram("e2e_request_latency_seconds", "From request to end", WHOLE_REPLY_S)

    def add(self, reply: _Reply, outcome: Outcome, took_s: float) -> None:
        self.requests.labels(reply.engine, outcome).inc()
        self.generation_tokens.inc(reply.tokens)
        if reply.usage:
            self.prompt_tokens.inc(reply.usage.prompt_tokens)
        if reply.first_s is not None and reply.tokens > 1:
            self.each_token.observe((reply.last_s - reply.first_s) / (reply.tokens - 1))
        if outcome == "finished":
            self.whole_reply.observe(took_s)
