"""Pieces as OpenAI's `chat.completion` objects: whole, or chunk by chunk as server-sent events."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from models.interfaces import Usage
from web.api_errors import as_api_error
from web.pieces import JsonObject, Piece

DONE = "data: [DONE]\n\n"


@dataclass(frozen=True)
class Completion:
    """What all chunks of one reply share. `created` is seconds since 1970."""

    id: str
    created: int
    model: str

    def whole(self, pieces: Sequence[Piece]) -> JsonObject:
        extras: JsonObject = {}
        for piece in pieces:
            extras |= piece.extras
        message: JsonObject = {"role": "assistant", "content": "".join(piece.text for piece in pieces)}
        if "citations" in extras:
            message["citations"] = extras["citations"]
        reason = next((piece.finish_reason for piece in pieces if piece.finish_reason), "stop")
        choice = {"index": 0, "message": message, "finish_reason": reason, "logprobs": None}
        usage = next((piece.usage for piece in reversed(pieces) if piece.usage), Usage(0, 0))
        return self._object("chat.completion", [choice]) | {"usage": _usage(usage)} | extras

    async def events(self, pieces: AsyncIterator[Piece], *, include_usage: bool) -> AsyncIterator[str]:
        """Server-sent events, ended by `[DONE]`. With `include_usage`, a last chunk without choices carries it, and
        all others have `usage: null`. An error on the way is an event with OpenAI's error object."""
        usage = Usage(0, 0)
        try:
            yield _event(self._chunk({"role": "assistant", "content": ""}, None, include_usage))
            async for piece in pieces:
                usage = piece.usage or usage
                delta: JsonObject = {"content": piece.text} if piece.text else {}
                yield _event(self._chunk(delta, piece.finish_reason, include_usage) | piece.extras)
            if include_usage:
                yield _event(self._object("chat.completion.chunk", []) | {"usage": _usage(usage)})
        # The edge: the status is sent, so whatever goes wrong now must be said within the stream.
        except Exception as error:
            yield _event(as_api_error(error).body())
        yield DONE

    def _chunk(self, delta: JsonObject, finish_reason: str | None, include_usage: bool) -> JsonObject:
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason, "logprobs": None}
        return self._object("chat.completion.chunk", [choice]) | ({"usage": None} if include_usage else {})

    def _object(self, kind: str, choices: list[JsonObject]) -> JsonObject:
        return {"id": self.id, "object": kind, "created": self.created, "model": self.model, "choices": choices}


def _usage(usage: Usage) -> JsonObject:
    total = usage.prompt_tokens + usage.completion_tokens
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": total,
    }


def _event(body: JsonObject) -> str:
    return f"data: {json.dumps(body, ensure_ascii=False)}\n\n"
