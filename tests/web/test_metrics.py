"""`/v1/metrics` as Prometheus meets it: its format, its names, and the door before it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from ingest.events import Activity
from models.engines.meter import Meter
from models.interfaces import ChatDelta, Usage
from rag.access import LOCAL_USER, Identity
from rag.status import NO_FILES, CollectionStatus, QueueStatus, Wanted
from web.metrics import documents_text
from web.server import WebServer

TOTALS = {"files": 4, "indexed": 3, "failed": 1, "pages_indexed": 40, "chunks": 90, "chunks_embedded": 80}
HELD = CollectionStatus("default", ("/docs",), (), TOTALS, None, 12.5, 3.5, QueueStatus(4, 1, 2, True, 900))
READING = Activity("odd", "/x", "reading", "a.pdf", 1, 5, 0, 0, 9.0, None)
ODD = CollectionStatus('odd "name"\n', (), (), {}, READING, 0.0)


class Metered:
    """As much of an appliance as the route asks for: one reply was made, two collections are held."""

    def __init__(self) -> None:
        self._meter = Meter()
        list(self._meter.watch(iter([ChatDelta("Hello", "stop", Usage(7, 2))])))
        self.asked_by: list[Identity] = []

    def metrics_text(self) -> bytes:
        return self._meter.text()

    def collections(self, identity: Identity) -> list[str]:
        self.asked_by.append(identity)
        return [HELD.collection, ODD.collection]

    def status(self, *, identity: Identity, collection: str, wanted: Wanted) -> CollectionStatus:
        assert wanted == NO_FILES, "no file is listed to be counted"
        self.asked_by.append(identity)
        return next(status for status in (HELD, ODD) if status.collection == collection)

    def conversations(self, _: Identity) -> list[object]:
        return []


@pytest.fixture
def metered() -> Metered:
    return Metered()


@pytest.fixture
def http(metered: Metered, serve: Callable[[object], WebServer]) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=serve(metered).url, timeout=30) as http:
        yield http


def samples(text: str) -> dict[tuple[str, tuple[str, ...]], float]:
    return {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_prometheus_reads_the_models_traffic_and_what_is_indexed(http: httpx.Client) -> None:
    answer = http.get("/v1/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    found = samples(answer.text)
    assert found["prompt_tokens_total", ()] == 7
    assert found["generation_tokens_total", ()] == 2
    assert found["requests_total", ("", "finished")] == 1
    assert found["num_requests_running", ()] == found["num_requests_waiting", ()] == 0
    assert found["lectern_documents", ("default", "indexed")] == 3
    assert found["lectern_chunks", ("default",)] == 90


def test_what_is_told_is_what_the_one_who_asks_may_read(http: httpx.Client, metered: Metered) -> None:
    metered.asked_by.clear()
    http.get("/v1/metrics")
    assert metered.asked_by == [LOCAL_USER] * 3


def test_the_door_stands_before_it(http: httpx.Client) -> None:
    assert http.get("/v1/metrics", headers={"Host": "evil.example"}).status_code == 421


def test_it_can_only_be_read(http: httpx.Client) -> None:
    answer = http.post("/v1/metrics")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET"
    assert answer.json()["error"]["type"] == "invalid_request_error"


def test_it_is_described_with_its_type(http: httpx.Client) -> None:
    described = http.get("/openapi.json").json()["paths"]["/v1/metrics"]["get"]
    assert list(described["responses"]["200"]["content"]) == ["text/plain"]


def test_documents_are_counted_by_collection_and_state_whatever_the_name() -> None:
    found = samples(documents_text([HELD, ODD]).decode())
    assert found["lectern_documents", ("default", "failed")] == 1
    assert found["lectern_documents", ("default", "pending")] == 0
    assert found["lectern_pages_indexed", ("default",)] == 40
    assert found["lectern_chunks_embedded", ("default",)] == 80
    assert found["lectern_index_lag_seconds", ("default",)] == 12.5
    assert found["lectern_vectors_lag_seconds", ("default",)] == 3.5
    queued = [found["lectern_queue_files", ("default", state)] for state in ("waiting", "reading", "retrying")]
    assert queued == [4, 1, 2]
    assert found["lectern_paused", ("default",)] == 1
    assert found["lectern_reading", ("default",)] == 0
    assert found["lectern_reading", ('odd "name"\n',)] == 1
