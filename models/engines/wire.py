"""The connection under one HTTP request, so that another thread can cut it: closing a client does not wake a reader."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Mapping
from typing import Protocol, cast


class _NetworkStream(Protocol):
    def get_extra_info(self, info: str) -> object: ...


class Wire:
    """Give `trace` to httpx as the request's extension of that name, and `cut` to a `CancelToken`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._cut = False

    def trace(self, event: str, details: Mapping[str, object]) -> None:
        """Called by httpx; notes the socket, and with TLS then the one that wraps it."""
        if event in ("connection.connect_tcp.complete", "connection.start_tls.complete"):
            stream = cast("_NetworkStream", details["return_value"])
            with self._lock:
                self._socket = cast("socket.socket | None", stream.get_extra_info("socket"))
                if self._cut:
                    self._shut_down()

    def cut(self) -> None:
        """End the request, now or as soon as it is connected: whoever reads from it sees the connection break."""
        with self._lock:
            self._cut = True
            self._shut_down()

    def _shut_down(self) -> None:
        if self._socket:
            # It may have been closed at the other end, or here, in the same moment.
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
