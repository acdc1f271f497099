"""What `trtllm-serve` tells of itself, kept for Prometheus.

Its `/metrics` is a JSON list with a member for each iteration since it was last read, so there must be one reader only,
and this is it. The fields' names are those of TensorRT-LLM 1.2; fields that are missing or new are passed over. Not yet
run against a real `trtllm-serve`, which needs a GPU.
"""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol

from models.engines.endpoint import Address
from models.errors import EngineError, EngineRefused, EngineUnavailable

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

_log = logging.getLogger(__name__)
POLL_S = 3.0
# An engine that has nothing to tell waits 2 s for it before it answers.
ANSWER_S = 6.0
ITERATION_S = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28)


class Fetch(Protocol):
    def __call__(self) -> object:
        """The JSON of `/metrics`, decoded; None while the engine is not ready. Raises `EngineError`."""

    def close(self) -> None: ...


class MetricsFetch:
    """Reads `/metrics` over HTTP. `address` tells where the engine listens now, None while it is not ready."""

    def __init__(self, address: Callable[[], Address | None], *, timeout_s: float = ANSWER_S) -> None:
        import httpx

        self._address = address
        self._client = httpx.Client(timeout=timeout_s, trust_env=False, follow_redirects=False)

    def __call__(self) -> object:
        import httpx

        address = self._address()
        if address is None:
            return None
        headers = {"Authorization": f"Bearer {address.api_key}"} if address.api_key else {}
        url = f"{address.url}/metrics"
        try:
            answer = self._client.get(url, headers=headers)
        except httpx.HTTPError as exc:
            raise EngineUnavailable(f"{url} did not answer: {exc or type(exc).__name__}.") from exc
        if answer.status_code != 200:
            raise EngineRefused(f"{url} answered {answer.status_code}.", status=answer.status_code)
        try:
            return answer.json()
        except ValueError as exc:
            kind = answer.headers.get("content-type", "no type")
            raise EngineRefused(f"{url} sent {kind}, not JSON: is it a trtllm-serve?", status=200) from exc

    def close(self) -> None:
        self._client.close()


class EngineMetrics:
    """Polls an engine from a thread of its own, between `start` and `close`, and keeps what it tells in `registry`. The
    thread closes `fetch` when it ends."""

    def __init__(self, registry: CollectorRegistry, fetch: Fetch, *, poll_s: float = POLL_S) -> None:
        self._series = _Series(registry)
        self._fetch = fetch
        self._poll_s = poll_s
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="engine-metrics", daemon=True)
        self._complained = False

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Stop polling. A request under way ends by itself, as soon as its engine does."""
        self._ended.set()

    def poll(self) -> None:
        """Read once. An engine that cannot be read is logged the first time, and shown as idle."""
        try:
            statistics = self._fetch()
        except EngineError as exc:
            _log.log(logging.DEBUG if self._complained else logging.WARNING, "no engine metrics: %s", exc)
            self._complained = True
            self._series.show_idle()
            return
        self._complained = False
        iterations = [item for item in statistics if isinstance(item, dict)] if isinstance(statistics, list) else []
        for iteration in iterations:
            self._series.count(iteration)
        if iterations:
            self._series.show(iterations[-1])
        else:
            # Work is done in iterations: without one since the last look there was none.
            self._series.show_idle()

    def _run(self) -> None:
        try:
            while not self._ended.wait(self._poll_s):
                self.poll()
        finally:
            self._fetch.close()


class _Series:
    def __init__(self, registry: CollectorRegistry) -> None:
        from prometheus_client import Counter, Gauge, Histogram

        def gauge(name: str, text: str) -> Gauge:
            return Gauge(name, text, registry=registry)

        # The engine's own counts: programs other than Lectern may use it, too.
        self._running = gauge("engine_num_requests_running", "Requests that the engine works on")
        self._waiting = gauge("engine_num_requests_waiting", "Requests in the engine's queue")
        self._cache_usage = gauge("gpu_cache_usage_perc", "Share of the KV cache's blocks in use, 0 to 1")
        self._cache_hits = gauge("engine_prefix_cache_hit_rate", "Share of prompt blocks found in the KV cache, 0 to 1")
        self._gpu_memory = gauge("engine_gpu_memory_bytes", "Memory in use on the engine's GPU, by whomever")
        self._iteration = Histogram(
            "engine_iteration_latency_seconds", "One forward pass", buckets=ITERATION_S, registry=registry
        )
        self._drafted = Counter("engine_draft_tokens", "Tokens guessed by speculation", registry=registry)
        self._accepted = Counter("engine_accepted_draft_tokens", "Guessed tokens that were right", registry=registry)

    def count(self, iteration: Mapping[str, object]) -> None:
        """Add what each iteration adds."""
        latency_ms = _number(iteration, "iterLatencyMS")
        if latency_ms is not None:
            self._iteration.observe(latency_ms / 1000)
        speculation = _object(iteration, "specDecodingStats")
        self._drafted.inc(_number(speculation, "numDraftTokens") or 0)
        self._accepted.inc(_number(speculation, "numAcceptedTokens") or 0)

    def show(self, iteration: Mapping[str, object]) -> None:
        """Show the state that the newest iteration left."""
        cache = _object(iteration, "kvCacheStats")
        used, most = _number(cache, "usedNumBlocks"), _number(cache, "maxNumBlocks")
        usage = used / most if used is not None and most else None
        # Both counted by the engine since its start.
        reused, missed = _number(cache, "reusedBlocks"), _number(cache, "missedBlocks")
        looked_up = None if reused is None or missed is None else reused + missed
        shown = (
            (self._running, _number(iteration, "numActiveRequests")),
            (self._waiting, _number(iteration, "numQueuedRequests")),
            (self._cache_usage, usage),
            (self._cache_hits, reused / looked_up if reused is not None and looked_up else None),
            (self._gpu_memory, _number(iteration, "gpuMemUsage")),
        )
        for gauge, value in shown:
            if value is not None:
                gauge.set(value)

    def show_idle(self) -> None:
        for gauge in (self._running, self._waiting, self._cache_usage):
            gauge.set(0)


def _object(parent: Mapping[str, object], name: str) -> Mapping[str, object]:
    value = parent.get(name)
    return value if isinstance(value, dict) else {}


def _number(parent: Mapping[str, object], name: str) -> float | None:
    """A finite number that is not negative; every statistic read here is one."""
    value = parent.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        return None
    return float(value)
