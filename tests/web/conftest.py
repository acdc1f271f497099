"""One web server over the shared appliance, for the tests that speak to it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from rag.appliance import Appliance
from web.server import WebServer


@pytest.fixture(scope="session")
def server(appliance: Appliance) -> Iterator[WebServer]:
    """Serving on 127.0.0.1, on a free port, until the tests end."""
    server = WebServer(appliance, port=0)
    thread = threading.Thread(target=server.run)
    thread.start()
    deadline = time.monotonic() + 30
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.02)
    yield server
    server.stop()
    thread.join(timeout=15)
    assert not thread.is_alive()
