"""The web server: the application put together, the port opened, a clean end."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from web.errors import CannotListen, PortInUse
from web.runs import Runs

if TYPE_CHECKING:
    import uvicorn
    from fastapi import FastAPI

    from rag.appliance import Appliance

log = logging.getLogger(__name__)

# How long a stop waits for requests under way, once each was told to end.
GOODBYE_S = 3
DESCRIPTION = "Questions answered from your documents, with the page that each sentence stands on."


def build_app(appliance: Appliance, *, host: str = "127.0.0.1", port: int = 7860, runs: Runs | None = None) -> FastAPI:
    """The page at `/`, the API at `/v1`, its description at `/openapi.json`; all behind the door of `web/security.py`.

    `host` is a name besides the loopback names that clients may call this server by.
    """
    _silence_gradio()
    from fastapi import FastAPI
    from starlette.staticfiles import StaticFiles

    from web.api import api_routes
    from web.api_errors import install_errors
    from web.handlers import Handlers
    from web.page import mount_page
    from web.security import Door
    from web.source import ASSETS, source_routes

    # The interactive pages that FastAPI brings load their scripts from another machine.
    app = FastAPI(title="Lectern", version="1", description=DESCRIPTION, docs_url=None, redoc_url=None)
    install_errors(app)
    app.include_router(api_routes(appliance))
    app.include_router(source_routes(appliance))
    app.mount("/ui/assets", StaticFiles(directory=ASSETS))
    handlers = Handlers(appliance, runs or Runs())
    # With an event loop running (in a thread, as the caller may have one already): Gradio otherwise makes loops of its
    # own and never closes them.
    with ThreadPoolExecutor(1) as aside:
        app.state.end_of_pages = aside.submit(asyncio.run, mount_page(app, handlers, host, port)).result()
    app.add_middleware(Door, names=[host])
    return app


def _silence_gradio() -> None:
    """Before Gradio is imported, as it reads these then: no telemetry, no look for newer versions."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")


def listen(host: str, port: int) -> socket.socket:
    """A bound socket; port 0 takes a free one. Raises `PortInUse` or `CannotListen`, with what to do."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
        # From here on clients wait for the server rather than being refused.
        bound.listen()
    except OSError as error:
        bound.close()
        if error.errno == errno.EADDRINUSE:
            raise PortInUse(
                f"Port {port} on {host} is in use by another program: stop that one, or choose another with --port."
            ) from error
        raise CannotListen(
            f"Cannot listen on {host} port {port}: {error.strerror}. Choose others with --host, --port."
        ) from error
    return bound


class WebServer:
    """The server on one socket. The port is taken when the object is made; `run` blocks until `stop` or a signal."""

    def __init__(self, appliance: Appliance, host: str = "127.0.0.1", port: int = 7860) -> None:
        self._socket = listen(host, port)
        self._host = host
        self.port = int(self._socket.getsockname()[1])
        self._runs = Runs()
        self._server = self._build(appliance)

    @property
    def url(self) -> str:
        return f"http://{f'[{self._host}]' if ':' in self._host else self._host}:{self.port}"

    def _build(self, appliance: Appliance) -> uvicorn.Server:
        import uvicorn

        from web.graceful import GracefulServer

        app = build_app(appliance, host=self._host, port=self.port, runs=self._runs)
        config = uvicorn.Config(
            app, log_config=None, access_log=False, server_header=False, timeout_graceful_shutdown=GOODBYE_S
        )
        return GracefulServer(config, self._say_goodbye(app))

    def _say_goodbye(self, app: FastAPI) -> Callable[[], None]:
        def say_goodbye() -> None:
            self._runs.stop_all()
            app.state.end_of_pages.set()

        return say_goodbye

    @property
    def started(self) -> bool:
        """Whether it answers by now."""
        return bool(self._server.started)

    def run(self) -> None:
        """Serve until `stop`, SIGINT or SIGTERM (signals only in the main thread); then end what is under way."""
        log.info("listening on %s", self.url)
        try:
            self._server.run(sockets=[self._socket])
        finally:
            self._socket.close()

    def stop(self) -> None:
        """From any thread: take no new requests, cancel the answers under way, let `run` return."""
        self._server.should_exit = True
