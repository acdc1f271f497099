"""uvicorn's server with a goodbye: told to end, it first ends what would otherwise keep its connections open."""

from __future__ import annotations

import socket
from collections.abc import Callable

import uvicorn


class GracefulServer(uvicorn.Server):
    """Calls `say_goodbye` in its own event loop when it begins to shut down, by a signal or by `should_exit`. An open
    page holds a connection as long as it is open, so a stop would otherwise wait for people to leave."""

    def __init__(self, config: uvicorn.Config, say_goodbye: Callable[[], None]) -> None:
        super().__init__(config)
        self._say_goodbye = say_goodbye

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._say_goodbye()
        await super().shutdown(sockets)
