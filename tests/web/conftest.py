"""Web servers for the tests that speak to one: over the shared appliance, or over one that a test makes slow."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import cast

import pytest

from rag.appliance import Appliance
from web.server import WebServer


@contextmanager
def running(appliance: Appliance) -> Iterator[WebServer]:
    """A server on 127.0.0.1, on a free port, until the block ends."""
    server = WebServer(appliance, port=0)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield server
    finally:
        server.stop()
        thread.join(timeout=15)
    assert not thread.is_alive()


@pytest.fixture(scope="session")
def server(appliance: Appliance) -> Iterator[WebServer]:
    with running(appliance) as server:
        yield server


@pytest.fixture
def serve() -> Iterator[Callable[[object], WebServer]]:
    """Starts a server over whatever stands in for an appliance; it ends with the test."""
    with ExitStack() as stack:
        yield lambda appliance: stack.enter_context(running(cast(Appliance, appliance)))
