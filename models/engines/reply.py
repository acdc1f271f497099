"""What an engine replies: a stream of events as deltas, or a complaint; never with the key that was sent."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from models.engines.complaints import Complaint, read_complaint, refusal, reply_error
from models.engines.keys import without_key
from models.errors import EngineRefused, EngineUnavailable
from models.interfaces import ChatDelta, Usage

if TYPE_CHECKING:
    import httpx

JsonObject = dict[str, object]

MOST_BYTES = 1 << 20


@dataclass(frozen=True)
class Reply:
    """The reply to one request, its body still to be read; `engine` is its name for people. A complaint may repeat the
    key, which is taken out of it."""

    engine: str
    response: httpx.Response
    key: str | None = field(repr=False)

    @property
    def status(self) -> int:
        return self.response.status_code

    @property
    def retry_after(self) -> str | None:
        return cast("str | None", self.response.headers.get("Retry-After"))

    def close(self) -> None:
        self.response.close()

    def require_success(self) -> None:
        """Raises `EngineUnavailable` or `EngineRefused` with what the engine says, when it is not a success."""
        if not self.response.is_success:
            raise reply_error(self.engine, self.status, without_key(self._text(), self.key))

    def json(self) -> object:
        """The whole body; None when it is no JSON, or longer than anything that is asked for."""
        return _json(self._text())

    def deltas(self) -> Iterator[ChatDelta]:
        """The texts as they come, then one last delta: the usage arrives in an event after the one with the reason.
        Raises `EngineRefused` for a complaint in the middle, `EngineUnavailable` when it ends too early."""
        finish_reason: str = "stop"
        usage: Usage | None = None
        for event in self._events():
            try:
                piece = _piece(event)
            except (ArithmeticError, AttributeError, KeyError, TypeError, ValueError) as exc:
                raise EngineUnavailable(f"{self.engine} sent what is no event of a reply") from exc
            finish_reason, usage = piece.finish_reason or finish_reason, piece.usage or usage
            if piece.text:
                yield ChatDelta(piece.text)
        yield ChatDelta("", finish_reason, usage)

    def _events(self) -> Iterator[JsonObject]:
        """The JSON events of a stream up to its `[DONE]`."""
        for line in self.response.iter_lines():
            # Some servers write an error that comes in mid-stream as a field of its own.
            kind, _, value = line.partition(":")
            if kind not in ("data", "error"):
                continue
            if value.strip() == "[DONE]":
                return
            event = _json(value)
            if kind == "error" or not isinstance(event, dict) or read_complaint(event):
                raise self._complaint(kind, value)
            yield cast("JsonObject", event)
        raise EngineUnavailable(f"{self.engine} broke off in the middle of its reply")

    def _complaint(self, kind: str, value: str) -> EngineRefused:
        """The error for what is no event of a reply."""
        said = without_key(value.strip(), self.key)
        complaint = read_complaint({"error": _json(said)} if kind == "error" else _json(said))
        return refusal(
            self.engine, self.status, complaint or Complaint(f"it sent {said[:80]!r}, which is no event", None)
        )

    def _text(self) -> str:
        """The body, cut where no complaint and no list ends."""
        body = bytearray()
        for block in self.response.iter_bytes():
            body += block
            if len(body) > MOST_BYTES:
                break
        return body[:MOST_BYTES].decode("utf-8", "replace")


def origin(error: httpx.HTTPError) -> str:
    """Scheme, host and port that a failed request went to."""
    url = error.request.url
    return f"{url.scheme}://{url.netloc.decode('ascii')}"


def _piece(event: JsonObject) -> ChatDelta:
    """What one event adds to the reply. Raises any of the errors of reading JSON that has another shape."""
    usage, choices = _usage(event), event.get("choices")
    if not choices:
        return ChatDelta("", usage=usage)
    choice = cast("list[JsonObject]", choices)[0]
    text = cast("JsonObject", choice.get("delta") or {}).get("content")
    finish_reason = choice.get("finish_reason")
    return ChatDelta(
        text if isinstance(text, str) else "", finish_reason if isinstance(finish_reason, str) else None, usage
    )


def _usage(event: JsonObject) -> Usage | None:
    counted = event.get("usage")
    if not isinstance(counted, dict):
        return None
    return Usage(int(counted.get("prompt_tokens") or 0), int(counted.get("completion_tokens") or 0))


def _json(text: str) -> object:
    """None for what is no JSON."""
    try:
        return cast("object", json.loads(text))
    except (ValueError, RecursionError):
        return None
