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
from typing import Any, cast

from models.cancellation import CancelToken
from rag.errors import OwnerBusy, OwnerGone

_log = logging.getLogger(__name__)
_LOCK, _DOOR = "owner.lock", "owner.json"
_WAIT_S = 30.0
_POLL_S = 0.05
_LONGEST_REQUEST_BYTES = 1 << 24

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
        threading.Thread(target=self._server.serve_forever, args=(_POLL_S,), name="owner-door", daemon=True).start()
        door = {"pid": os.getpid(), "port": self._server.server_address[1], "token": token}
        partial = self._home / f"{_DOOR}.partial"
        partial.unlink(missing_ok=True)
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump(door, file)
        os.replace(partial, self._home / _DOOR)

    def close_door(self) -> None:
        """Serve nobody any more; who is still being served hears nothing further, and may become the owner."""
        if self._server is not None:
            (self._home / _DOOR).unlink(missing_ok=True)
            self._server.shutdown()
            self._server.server_close()
            self._server.hang_up()
            self._server = None

    def close(self) -> None:
        self.close_door()
        os.close(self.descriptor)

    def __enter__(self) -> Ownership:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Owner:
    """A line to the process `pid`, which owns the data folder: for one command."""

    def __init__(self, pid: int, token: str, connection: socket.socket) -> None:
        self.pid = pid
        self._token = token
        self._connection = connection

    def run(self, command: str, arguments: Message) -> Iterator[Message]:
        """The command's messages; leaving off early cancels it. Raises OwnerGone when the owner hangs up before the
        last one."""
        finished = False
        try:
            with self._connection, self._connection.makefile("rwb") as lines:
                request = {"token": self._token, "command": command, "arguments": arguments}
                lines.write(json.dumps(request).encode() + b"\n")
                lines.flush()
                for line in lines:
                    message = json.loads(line)
                    finished = "result" in message or "error" in message
                    yield message
        except (ConnectionError, json.JSONDecodeError) as exc:  # it was killed, maybe in the middle of a line
            _log.info("the owner hung up: %r", exc)
        if not finished:
            raise OwnerGone("The Lectern process that ran this command has ended. Run the command again.")

    def close(self) -> None:
        self._connection.close()


def try_own(home: Path) -> Ownership | None:
    """Become the owner of `home`; None when another process is."""
    home.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(home / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    # An owner that was killed left it behind; its port may be another program's by now.
    (home / _DOOR).unlink(missing_ok=True)
    return Ownership(home, descriptor)


def own_or_call(home: Path, wait_s: float = _WAIT_S) -> Ownership | Owner:
    """Become the owner, or get a line to the one there is. An owner that is just starting or ending is waited for.
    Raises OwnerBusy when none of it succeeds within `wait_s` seconds."""
    until = time.monotonic() + wait_s
    while True:
        if found := try_own(home) or _call(home):
            return found
        if time.monotonic() > until:
            raise OwnerBusy(
                f"Another Lectern process holds the data folder {home} and does not answer. "
                "Wait for it to end, stop it, or use another LECTERN_HOME."
            )
        time.sleep(_POLL_S)


def _call(home: Path) -> Owner | None:
    try:
        door = json.loads((home / _DOOR).read_text(encoding="utf-8"))
        pid, token, port = door["pid"], door["token"], door["port"]
        connection = socket.create_connection(("127.0.0.1", port), timeout=None)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return Owner(pid, token, connection)


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, handler: Handler, token: str) -> None:
        self.run_command = handler
        self.token = token
        self._lock = threading.Lock()
        self._calls: set[_Request] = set()
        self._hung_up = False
        super().__init__(("127.0.0.1", 0), _Request)

    def begin(self, call: _Request) -> bool:
        """Note that it is being served; false when nobody is any more."""
        with self._lock:
            if not self._hung_up:
                self._calls.add(call)
            return not self._hung_up

    def end(self, call: _Request) -> None:
        with self._lock:
            self._calls.discard(call)

    def hang_up(self) -> None:
        with self._lock:
            self._hung_up = True
            calls = list(self._calls)
        for call in calls:
            call.hang_up()


class _Request(socketserver.StreamRequestHandler):
    server: _Server

    def handle(self) -> None:
        request = self._authorised()
        if request is None or not self.server.begin(self):
            return
        cancel = CancelToken()
        watcher = threading.Thread(target=self._watch, args=(cancel,), name="owner-caller", daemon=True)
        watcher.start()
        try:
            for message in self.server.run_command(str(request["command"]), request["arguments"], cancel):
                self._send(message)
        except OSError:
            cancel.cancel()  # the caller has gone
        finally:
            self.server.end(self)
            self.hang_up()  # what was written still arrives; the watcher wakes up
            watcher.join()

    def hang_up(self) -> None:
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def _authorised(self) -> dict[str, Any] | None:
        try:
            request = json.loads(self.rfile.readline(_LONGEST_REQUEST_BYTES))
            token = str(request["token"])
        except (OSError, ValueError, TypeError, KeyError):
            return None
        if hmac.compare_digest(token.encode(), self.server.token.encode()):
            return cast("dict[str, Any]", request)
        _log.warning("a request with a wrong token was refused")
        with contextlib.suppress(OSError):
            self._send({"error": "Refused: the token is not this owner's. Run the command again."})
        return None

    def _send(self, message: Message) -> None:
        self.wfile.write(json.dumps(message).encode() + b"\n")
        self.wfile.flush()

    def _watch(self, cancel: CancelToken) -> None:
        """The caller says nothing more; when its end closes, the work is not wanted any longer."""
        with contextlib.suppress(OSError):
            self.connection.recv(1)
        cancel.cancel()
