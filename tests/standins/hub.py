"""A small model hub on 127.0.0.1: it lists a repository page by page, keeps large files at another address, asks for a
token, breaks transfers and gives wrong bytes on demand."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

FIRST_COMMIT, NEXT_COMMIT = "a" * 40, "b" * 40


@dataclass(frozen=True)
class Request:
    host: str
    path: str
    token: str | None
    range: str | None


@dataclass
class StandInHub:
    """What the hub has and how it behaves; may be changed while it runs. Files ending in .safetensors are large."""

    files: dict[str, bytes]
    commit: str = FIRST_COMMIT
    licence_token: str | None = None
    page_rows: int = 3
    false_bytes: dict[str, bytes] = field(default_factory=dict)
    breaks: int = 0
    break_after: int = 0
    store_refusals: int = 0
    honours_ranges: bool = True
    extra_rows: list[dict[str, object]] = field(default_factory=list)
    seen: list[Request] = field(default_factory=list)
    url: str = ""
    store_url: str = ""

    def asked(self, part: str) -> list[Request]:
        return [request for request in self.seen if part in request.path]

    def rows(self) -> list[dict[str, object]]:
        return [{"type": "directory", "path": "original", "oid": "0" * 40, "size": 0}, *self.extra_rows] + [
            listed(path, content) for path, content in self.files.items()
        ]


def listed(path: str, content: bytes) -> dict[str, object]:
    """The row of a file; a large one is known by the SHA-256 of its content, and git only stores a pointer to it."""
    row: dict[str, object] = {"type": "file", "path": path, "size": len(content)}
    if not path.endswith(".safetensors"):
        return row | {"oid": hashlib.sha1(b"blob %d\0%s" % (len(content), content)).hexdigest()}
    large = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 134}
    return row | {"oid": "c" * 40, "lfs": large, "xetHash": "d" * 64}


@contextmanager
def running(hub: StandInHub) -> Iterator[StandInHub]:
    """The hub and the store of its large files, each on a port of its own."""
    with _server(hub, "hub") as hub.url, _server(hub, "store") as hub.store_url:
        yield hub


@contextmanager
def _server(hub: StandInHub, host: str) -> Iterator[str]:
    handler = type("Handler", (_Handler,), {"hub": hub, "host": host})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: StandInHub
    host: str

    def do_GET(self) -> None:
        address = urlsplit(self.path)
        path = unquote(address.path)
        self.hub.seen.append(Request(self.host, path, self.headers["Authorization"], self.headers["Range"]))
        if self.host == "store" and self.hub.store_refusals:
            self.hub.store_refusals -= 1
            return self._refuse(403, "the signature has expired")
        if self.host == "store":
            return self._content(path.removeprefix("/"))
        if path.startswith("/api/models/owner/name/revision/"):
            return self._json({"id": "owner/name", "sha": self.hub.commit})
        if path.startswith("/api/models/owner/name/tree/"):
            return self._tree(int(parse_qs(address.query).get("cursor", ["0"])[0]))
        if path.startswith("/owner/name/resolve/"):
            return self._resolve(path.split("/", 5)[5])
        self._refuse(404, "Repository not found")

    def _tree(self, cursor: int) -> None:
        rows, end = self.hub.rows(), cursor + self.hub.page_rows
        # A mirror gives the link of the hub behind it, which nobody must follow: port 9 takes no request.
        following = f'<http://127.0.0.1:9/api/models?recursive=true&cursor={end}>; rel="next"'
        self._json(rows[cursor:end], {"Link": following} if end < len(rows) else {})

    def _resolve(self, path: str) -> None:
        wanted = self.hub.licence_token
        if wanted and self.headers["Authorization"] != f"Bearer {wanted}":
            known = self.headers["Authorization"] is not None
            self._refuse(403 if known else 401, "Access to model owner/name is restricted")
        elif path not in self.hub.files:
            self._refuse(404, "Entry not found")
        elif path.endswith(".safetensors"):
            self._answer(302, b"", {"Location": f"{self.hub.store_url}/{path}"})
        else:
            self._content(path)

    def _content(self, path: str) -> None:
        content = self.hub.false_bytes.get(path, self.hub.files[path])
        start = int((self.headers["Range"] or "bytes=0-").removeprefix("bytes=").removesuffix("-"))
        if start >= len(content) > 0:
            return self._refuse(416, "the range cannot be satisfied")
        if start == 0 or not self.hub.honours_ranges:
            return self._answer(200, content)
        self._answer(206, content[start:], {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"})

    def _json(self, value: object, headers: dict[str, str] | None = None) -> None:
        self._answer(200, json.dumps(value).encode(), {"Content-Type": "application/json", **(headers or {})})

    def _refuse(self, status: int, message: str) -> None:
        self._answer(status, b"", {"X-Error-Message": message})

    def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.host == "store" and self.hub.breaks and len(body) > self.hub.break_after:
            self.hub.breaks -= 1
            body, self.close_connection = body[: self.hub.break_after], True
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass
