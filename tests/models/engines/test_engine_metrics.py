"""What an engine tells of itself: drained once, kept for whoever asks; nothing it says or leaves out breaks that."""

from __future__ import annotations

import json
import logging
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from prometheus_client import CollectorRegistry

from models.engines.endpoint import Address
from models.engines.engine_metrics import EngineMetrics, MetricsFetch
from models.errors import EngineRefused, EngineUnavailable

ROOT = Path(__file__).resolve().parents[3]
STAND_IN = ROOT / "tests" / "standins" / "trtllm_serve.py"
BUSY: dict[str, object] = {
    "iter": 7,
    "iterLatencyMS": 16.5,
    "numActiveRequests": 3,
    "numQueuedRequests": 2,
    "gpuMemUsage": 56401920000,
    "kvCacheStats": {
        "maxNumBlocks": 1000,
        "freeNumBlocks": 750,
        "usedNumBlocks": 250,
        "tokensPerBlock": 32,
        "allocTotalBlocks": 400,
        "allocNewBlocks": 300,
        "reusedBlocks": 60,
        "missedBlocks": 40,
        "cacheHitRate": 0.6,
    },
    "inflightBatchingStats": {"numScheduledRequests": 3, "numContextRequests": 1, "numGenRequests": 2},
    "specDecodingStats": {"numDraftTokens": 12, "numAcceptedTokens": 9},
    "somethingNew": {"deep": [1, 2]},
}


class Told:
    """A fetch that tells one thing after another, as an engine whose statistics drain."""

    def __init__(self, *told: object) -> None:
        self._told = list(told)
        self.asked = threading.Semaphore(0)
        self.closed = threading.Event()

    def __call__(self) -> object:
        self.asked.release()
        told = self._told.pop(0) if self._told else []
        if isinstance(told, Exception):
            raise told
        return told

    def close(self) -> None:
        self.closed.set()


def polled(*told: object) -> CollectorRegistry:
    registry = CollectorRegistry()
    metrics = EngineMetrics(registry, Told(*told))
    for _ in told:
        metrics.poll()
    return registry


def test_the_newest_iteration_is_shown_and_every_one_is_counted() -> None:
    older = {**BUSY, "iter": 6, "numActiveRequests": 1, "iterLatencyMS": 3.5}
    get = polled([older, BUSY]).get_sample_value
    assert get("engine_num_requests_running") == 3.0
    assert get("engine_num_requests_waiting") == 2.0
    assert get("gpu_cache_usage_perc") == 0.25
    assert get("engine_prefix_cache_hit_rate") == 0.6
    assert get("engine_gpu_memory_bytes") == 56401920000.0
    assert get("engine_iteration_latency_seconds_count") == 2.0
    assert get("engine_iteration_latency_seconds_sum") == pytest.approx(0.02)
    assert get("engine_draft_tokens_total") == 24.0
    assert get("engine_accepted_draft_tokens_total") == 18.0


def test_counts_outlive_the_drained_statistics_and_an_engine_without_iterations_is_idle() -> None:
    get = polled([BUSY], [BUSY], []).get_sample_value
    assert get("engine_iteration_latency_seconds_count") == 2.0
    assert get("engine_num_requests_running") == get("engine_num_requests_waiting") == 0.0
    assert get("gpu_cache_usage_perc") == 0.0
    assert get("engine_prefix_cache_hit_rate") == 0.6  # what the cache held stays in it


@pytest.mark.parametrize(
    "told",
    [
        None,
        {},
        "text",
        [None, 7, "x"],
        [{}],
        [{"kvCacheStats": None, "specDecodingStats": 5, "iterLatencyMS": "fast"}],
        [{"iterLatencyMS": float("nan"), "numActiveRequests": -1, "gpuMemUsage": True}],
        [{"kvCacheStats": {"usedNumBlocks": 3, "maxNumBlocks": 0, "reusedBlocks": 0, "missedBlocks": 0}}],
    ],
)
def test_what_is_missing_or_odd_is_passed_over(told: object) -> None:
    get = polled(told).get_sample_value
    assert get("engine_iteration_latency_seconds_count") == 0.0
    assert get("engine_num_requests_running") == get("gpu_cache_usage_perc") == get("engine_gpu_memory_bytes") == 0.0


def test_an_engine_that_cannot_be_read_is_said_once_and_shown_as_idle(caplog: pytest.LogCaptureFixture) -> None:
    gone = EngineUnavailable("http://127.0.0.1:1/metrics did not answer.")
    with caplog.at_level(logging.WARNING):
        registry = polled([BUSY], gone, gone)
    assert [record.message for record in caplog.records] == [f"no engine metrics: {gone}"]
    assert registry.get_sample_value("engine_num_requests_running") == 0.0


def test_its_thread_polls_until_closed() -> None:
    told = Told([BUSY])
    metrics = EngineMetrics(CollectorRegistry(), told, poll_s=0.001)
    metrics.start()
    assert told.asked.acquire(timeout=20)
    assert told.asked.acquire(timeout=20)
    metrics.close()
    assert told.closed.wait(20)


# -- over HTTP


@contextmanager
def serving(status: int, body: bytes, kind: str = "application/json") -> Iterator[tuple[str, list[str | None]]]:
    """A server that says the same to every GET; its URL, and the keys that it was shown."""
    keys: list[str | None] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            keys.append(self.headers.get("Authorization"))
            self.send_response(status if self.path == "/metrics" else 404)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", keys
        finally:
            server.shutdown()
            thread.join()


def fetch_once(address: Address | None) -> object:
    fetch = MetricsFetch(lambda: address)
    try:
        return fetch()
    finally:
        fetch.close()


def test_statistics_are_fetched_where_the_engine_listens() -> None:
    with serving(200, json.dumps([BUSY]).encode()) as (url, keys):
        assert fetch_once(Address(url, "secret")) == [BUSY]
    assert keys == ["Bearer secret"]


def test_an_engine_that_is_not_ready_is_not_asked() -> None:
    assert fetch_once(None) is None


def test_errors_of_the_engine_are_told_apart() -> None:
    with serving(503, b"") as (url, _), pytest.raises(EngineRefused, match="/metrics answered 503"):
        fetch_once(Address(url))
    with serving(200, b"# x", "text/plain") as (url, _), pytest.raises(EngineRefused, match="text/plain, not JSON"):
        fetch_once(Address(url))
    with pytest.raises(EngineUnavailable, match="did not answer"):
        fetch_once(Address(url))


# -- the stand-in of trtllm-serve


@contextmanager
def standing_in(folder: Path) -> Iterator[str]:
    """The strict stand-in with iteration statistics on, once it is well; it and its workers end with the block."""
    (folder / "llama").mkdir()
    (folder / "llama" / "config.json").write_text("{}")
    (folder / "cfg.json").write_text(
        json.dumps({"enable_iter_perf_stats": True, "kv_cache_config": {"max_tokens": 320}})
    )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    serve = [str(STAND_IN), "serve", str(folder / "llama"), "--host", "127.0.0.1", "--port", port]
    command = [sys.executable, "-m", "models.engines.guard", str(folder), "--", sys.executable, *serve]
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen([*command, "--config", str(folder / "cfg.json")], cwd=ROOT, stdin=subprocess.PIPE, stderr=log),
        httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as http,
    ):  # leaving closes the guard's standard input, and waits for its end
        assert any(is_well(http) for _ in range(300)), (folder / "log").read_text()
        yield str(http.base_url).rstrip("/")


def is_well(http: httpx.Client) -> bool:
    try:
        well = http.get("/health").status_code == 200
    except httpx.TransportError:
        well = False
    if not well:
        time.sleep(0.1)
    return well


def test_the_statistics_of_a_reply_are_read_once_and_then_the_engine_is_idle(tmp_path: Path) -> None:
    registry = CollectorRegistry()
    with standing_in(tmp_path) as url:
        fetch = MetricsFetch(lambda: Address(url))
        metrics = EngineMetrics(registry, fetch)
        question = {"model": "llama", "messages": [{"role": "user", "content": "Where?"}], "max_tokens": 5}
        assert httpx.post(f"{url}/v1/chat/completions", json=question, trust_env=False).status_code == 200
        metrics.poll()
        get = registry.get_sample_value
        assert get("engine_iteration_latency_seconds_count") == 5.0
        assert get("engine_num_requests_running") == 1.0
        assert get("gpu_cache_usage_perc") == 0.1
        metrics.poll()
        assert get("engine_iteration_latency_seconds_count") == 5.0
        assert get("engine_num_requests_running") == 0.0
        fetch.close()
