"""`GET /v1/metrics`: the language models' traffic, and what the index holds, as Prometheus reads them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Depends
from fastapi.responses import PlainTextResponse

from rag.access import Identity
from rag.appliance import Appliance
from rag.status import NO_FILES, STATES, CollectionStatus
from web.sign_in import signed_in

SignedIn = Annotated[Identity, Depends(signed_in)]
TEXT_FORMAT = "text/plain; version=0.0.4; charset=utf-8"
NOTES = """
The text format of Prometheus, version 0.0.4. Names without a prefix are those of a NIM and tell of the language models,
all engines together; `engine_…` and `gpu_cache_usage_perc` are what a TensorRT-LLM engine on this machine tells of
itself; `lectern_…` is about the documents.
"""


def add_metrics(routes: APIRouter, appliance: Appliance) -> None:
    """Add the route to those of the API."""

    @routes.get("/metrics", tags=["health"], description=NOTES, response_class=PlainTextResponse)
    def metrics(identity: SignedIn) -> PlainTextResponse:
        names = appliance.collections(identity)
        held = [appliance.status(identity=identity, collection=name, wanted=NO_FILES) for name in names]
        return PlainTextResponse(appliance.metrics_text() + documents_text(held), media_type=TEXT_FORMAT)


def documents_text(collections: Sequence[CollectionStatus]) -> bytes:
    """What the collections hold now."""
    from prometheus_client import CollectorRegistry, Gauge
    from prometheus_client.exposition import generate_latest

    registry = CollectorRegistry()

    def gauge(name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"lectern_{name}", text, ["collection", *labels], registry=registry)

    documents = gauge("documents", "Files by state", "state")
    pages = gauge("pages_indexed", "Pages that can be searched")
    chunks = gauge("chunks", "Chunks of text")
    embedded = gauge("chunks_embedded", "Chunks that have a vector")
    lag_s = gauge("index_lag_seconds", "How far the index is behind the disk")
    vectors_lag_s = gauge("vectors_lag_seconds", "How long the oldest text has waited for its vectors")
    queued = gauge("queue_files", "Files in the queue", "state")
    paused = gauge("paused", "1 while files are made to wait")
    reading = gauge("reading", "1 while files are being read")
    for status in collections:
        name, totals = status.collection, status.totals
        for state in STATES:
            documents.labels(name, state).set(totals.get(state, 0))
        pages.labels(name).set(totals.get("pages_indexed", 0))
        chunks.labels(name).set(totals.get("chunks", 0))
        embedded.labels(name).set(totals.get("chunks_embedded", 0))
        lag_s.labels(name).set(status.lag_s)
        vectors_lag_s.labels(name).set(status.vectors_lag_s)
        for state in ("waiting", "reading", "retrying"):
            queued.labels(name, state).set(getattr(status.queue, state))
        paused.labels(name).set(status.queue.paused)
        reading.labels(name).set(status.activity is not None)
    return generate_latest(registry)
