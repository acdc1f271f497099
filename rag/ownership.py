"""One owner per data folder: the lock, and the door through which other processes hand their work to the owner.

The owner listens on a free loopback port and publishes it, with a token, in a file that only its user can read. A
request is one line of JSON; the answer is a line for each message, the last a result or an error. Whoever hangs up
cancels.
"""

from __future__ import annotations

import contextlib
import fcntl
import hmac
import json
import logging
import os
import secrets
import socket
import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType

from models.cancellation import CancelToken
from rag.errors import OwnerBusy

_log = logging.getLogger(__name__)
_LOCK, _DOOR = "owner.lock", "owner.json"
_WAIT_S = 30.0

Message = dict[str, object]
Handler = Callable[[str, Message, CancelToken], Iterator[Message]]


class Ownership:
    """The lock on a data folder, held until `close` and by every child that inherits `descriptor`."""

    def __init__(self, home: Path, descriptor: int) -> None:
        self._home = home
        self.descriptor = descriptor
        self._server: _Server | None = None

    def open_door(self, handler: Handler) -> None:
        """Serve other processes from now on, each request in a thread of its own."""
        token = secrets.token_urlsafe(24)
        self._server = _Server(handler, token)
        threading.Thread(target=self._server.serve_forever, name="owner-door", daemon=True).start()
        door = {"pid": os.getpid(), "port": self._server.server_address[1], "token": token}
        partial = self._home / f"{_DOOR}.partial"
        partial.unlink(missing_ok=True)
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump(door, file)
        os.replace(partial, self._home / _DOOR)

    def close(self) -> None:
        if self._server is not None:
            (self._home / _DOOR).unlink(missing_ok=True)
            self._server.shutdown()
            self._server.server_close()
        os.close(self.descriptor)

    def __enter__(self) -> Ownership:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def try_own(home: Path) -> Ownership | None:
    """Become the owner of `home`; None when another process is."""
    home.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(home / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return Ownership(home, descriptor)


def own_or_call(home: Path, wait_s: float = _WAIT_S) -> Ownership | socket.socket:
    """Become the owner, or get a connection to the one there is. An owner that is just starting or ending is waited
    for. Raises OwnerBusy when none of it succeeds within `wait_s` seconds."""
    until = time.monotonic() + wait_s
    while True:
        if ownership := try_own(home):
            return ownership
        if connection := _call(home):
            return connection
        if time.monotonic() > until:
            raise OwnerBusy(
                f"Another Lectern process holds the data folder {home} and does not answer. "
                "Wait for it to end, stop it, or use another LECTERN_HOME."
            )
        time.sleep(0.1)


def hand_over(connection: socket.socket, home: Path, command: str, arguments: Message) -> Iterator[Message]:
    """Ask the owner to run a command; yields its messages."""
    door = json.loads((home / _DOOR).read_text(encoding="utf-8"))
    with connection, connection.makefile("rwb") as lines:
        request = {"token": door["token"], "command": command, "arguments": arguments}
        lines.write(json.dumps(request).encode() + b"\n")
        lines.flush()
        for line in lines:
            yield json.loads(line)


def _call(home: Path) -> socket.socket | None:
    try:
        door = json.loads((home / _DOOR).read_text(encoding="utf-8"))
        return socket.create_connection(("127.0.0.1", door["port"]), timeout=None)
    except (OSError, ValueError):
        return None


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, handler: Handler, token: str) -> None:
        self.run_command = handler
        self.token = token
        super().__init__(("127.0.0.1", 0), _Request)


class _Request(socketserver.StreamRequestHandler):
    server: _Server

    def handle(self) -> None:
        try:
            request = json.loads(self.rfile.readline())
        except ValueError:
            return
        if not hmac.compare_digest(str(request.get("token", "")).encode(), self.server.token.encode()):
            _log.warning("a request with a wrong token was refused")
            return
        cancel = CancelToken()
        threading.Thread(target=self._watch, args=(cancel,), name="owner-caller", daemon=True).start()
        try:
            for message in self.server.run_command(request["command"], request["arguments"], cancel):
                self.wfile.write(json.dumps(message).encode() + b"\n")
                self.wfile.flush()
        except OSError:
            cancel.cancel()  # the caller has gone

    def _watch(self, cancel: CancelToken) -> None:
        """The caller says nothing more; when its end closes, the work is not wanted any longer."""
        with contextlib.suppress(OSError, ValueError):  # closed here, after the last message
            self.rfile.read(1)
        cancel.cancel()
