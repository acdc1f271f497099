"""What an engine's error reply says, whichever of the three shapes in use it has."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import cast

from models.errors import EngineError, EngineRefused, EngineUnavailable

BUSY = frozenset({429, 502, 503, 504})
"""It may well answer a little later: it loads, it has too much to do, or the proxy before it does not reach it."""

MOST_CHARACTERS = 300


@dataclass(frozen=True)
class Complaint:
    message: str
    code: str | None


def read_complaint(reply: object) -> Complaint | None:
    """The error in a JSON reply, or None when it is no error. Shapes: OpenAI's nested `{"error": {…}}`,
    TensorRT-LLM's flat `{"object": "error", …}` or `{"error": "…"}`, and the hosted `{"status", "title", "detail"}`."""
    if not isinstance(reply, dict):
        return None
    fields = cast("dict[str, object]", reply)
    nested = fields.get("error")
    if isinstance(nested, dict):
        return _openai(cast("dict[str, object]", nested))
    if isinstance(nested, str):
        return Complaint(nested, None)
    if fields.get("object") == "error":
        return _openai(fields)
    if "detail" in fields and ("status" in fields or "title" in fields):
        title, detail = _text(fields.get("title")), _text(fields.get("detail"))
        return Complaint(": ".join(part for part in (title, detail) if part), None)
    return None


def reply_error(engine: str, status: int, body: str) -> EngineError:
    """The exception for an HTTP reply that is no success."""
    if 300 <= status < 400:
        message = "it points to another address, and what is sent follows no redirect; name that address instead"
        return refusal(engine, status, Complaint(message, None))
    try:
        complaint = read_complaint(json.loads(body))
    except ValueError:
        complaint = None
    complaint = complaint or Complaint(body.strip() or "it gave no reason", None)
    if status in BUSY:
        return EngineUnavailable(f"{engine} is not ready ({status}): {_cut(complaint.message)}")
    return refusal(engine, status, complaint)


def refusal(engine: str, status: int, complaint: Complaint) -> EngineRefused:
    return EngineRefused(f"{engine} refused ({status}): {_cut(complaint.message)}", status=status, code=complaint.code)


def _openai(fields: dict[str, object]) -> Complaint:
    # llama.cpp repeats the status as the code and says in the type what it is about.
    code = fields.get("code")
    told = code if isinstance(code, str) and not code.isdigit() else fields.get("type")
    return Complaint(_text(fields.get("message")) or "it gave no reason", told if isinstance(told, str) else None)


def _text(value: object) -> str:
    return value if isinstance(value, str) else "" if value is None else json.dumps(value)


def _cut(message: str) -> str:
    """Some repeat the whole request in their complaint."""
    return message if len(message) <= MOST_CHARACTERS else message[:MOST_CHARACTERS] + "…"
