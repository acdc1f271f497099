"""The door: refuses requests that a foreign web page could have sent, and tells browsers what our pages may do.

Pure ASGI, so that streams pass untouched. Three checks, before any route sees the request:

- `Host` must be one of our names. A page of evil.example whose name was re-pointed to 127.0.0.1 (DNS rebinding) still
  sends its own name there.
- `Origin`, where there is one, must be the host that was asked, unless the method only reads. It is what browsers add
  to requests that a foreign page makes (CSRF).
- `Sec-Fetch-Site: cross-site` is refused for methods that write; it catches the requests that carry no `Origin`.

No answer ever carries a permission for another origin (`Access-Control-Allow-*`), whoever below would add one.
"""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK_NAMES = frozenset({"127.0.0.1", "localhost", "::1"})
SAFE_METHODS = frozenset({"GET", "HEAD"})

# Gradio's page holds inline scripts, and its HTML component makes functions of its templates, so scripts need both
# "unsafe" words. What counts here: nothing can be loaded from, or sent to, another machine.
PAGE_POLICY = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self' 'unsafe-inline' 'unsafe-eval'",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "font-src 'self' data:",
        "connect-src 'self'",
        "worker-src 'self' blob:",
        "object-src 'none'",
        "base-uri 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
OTHER_POLICY = "default-src 'none'; frame-ancestors 'none'"
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Not "no-referrer": with it browsers send `Origin: null` even to ourselves.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}

# Of the routes that Gradio brings, the page uses these; the others (reading and uploading files, fetching for the
# page, the editor, run history) are closed, since most of Gradio's security record is about them.
GRADIO_PREFIX = "/gradio_api/"
GRADIO_OPEN = ("queue/join", "queue/data", "heartbeat/", "cancel", "reset", "run/", "startup-events", "theme.css")


class Door:
    """ASGI middleware with the checks above. `names`: what `Host` may be called besides the loopback names."""

    def __init__(self, app: ASGIApp, *, names: Iterable[str] = ()) -> None:
        self._app = app
        self._names = LOOPBACK_NAMES | {name.lower().strip("[]") for name in names}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        if refusal is None:
            await self._app(scope, receive, _guarded(send))
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008, "reason": refusal[1]})
        else:
            await _refuse(*refusal)(scope, receive, _guarded(send))

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if len(headers.getlist("host")) != 1 or _name(host) not in self._names:
            return 421, f"Host {host!r} is not a name of this server: use 127.0.0.1 or localhost."
        writes = scope["type"] == "websocket" or scope["method"] not in SAFE_METHODS
        origin = headers.get("origin")
        if writes and origin is not None and not _same_origin(origin, host, scope):
            return 403, f"Origin {origin!r} is not this server ({host}): pages of other sites may not write here."
        if writes and headers.get("sec-fetch-site") == "cross-site":
            return 403, "The request comes from a page of another site: such pages may not write here."
        path = scope["path"]
        if path.startswith(GRADIO_PREFIX) and not path.removeprefix(GRADIO_PREFIX).startswith(GRADIO_OPEN):
            return 404, f"{path} is closed: the page does not need it."
        return None


def _name(host: str) -> str | None:
    """The name in a `Host` header, without port and brackets; None when it is not a plain `name[:port]`."""
    try:
        parts = urlsplit(f"//{host}")
        _ = parts.port
    except ValueError:
        return None
    plain = parts.hostname is not None and parts.username is None and not (parts.path or parts.query or parts.fragment)
    return parts.hostname if plain else None


def _same_origin(origin: str, host: str, scope: Scope) -> bool:
    scheme = {"ws": "http", "wss": "https"}.get(scope["scheme"], scope["scheme"])
    return origin.lower() == f"{scheme}://{host}".lower()


def _refuse(status: int, message: str) -> JSONResponse:
    code = {421: "wrong_host", 403: "foreign_origin"}.get(status, "not_found")
    error = {"message": message, "type": "invalid_request_error", "param": None, "code": code}
    return JSONResponse({"error": error}, status_code=status)


def _guarded(send: Send) -> Send:
    """`send`, adding our headers to the start of a response; its body is not looked at."""

    async def guarded(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name in [name for name in headers if name.lower().startswith("access-control-")]:
                del headers[name]
            is_page = headers.get("content-type", "").startswith("text/html")
            headers["Content-Security-Policy"] = PAGE_POLICY if is_page else OTHER_POLICY
            for name, value in HEADERS.items():
                headers[name] = value
        await send(message)

    return guarded
