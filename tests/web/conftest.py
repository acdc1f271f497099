"""Web servers for the tests that speak to one: over the shared appliance, or over one that a test makes slow."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, cast

import pytest

from rag.appliance import Appliance
from web.server import WebServer

if TYPE_CHECKING:
    from playwright.sync_api import Browser

CHROMIUM = "/usr/bin/chromium"
FLAGS = [
    "--no-sandbox",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
]


@contextmanager
def running(appliance: Appliance, port: int = 0) -> Iterator[WebServer]:
    """A server on 127.0.0.1, on that or a free port, until the block ends."""
    server = WebServer(appliance, port=port)
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


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if not shutil.which(CHROMIUM):
        pytest.skip(f"{CHROMIUM} is not here: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()
