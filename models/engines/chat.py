"""The one client of every language model: OpenAI's chat protocol over HTTP, streamed, and stopped at any moment."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, cast

from models.cancellation import CancelToken
from models.engines.complaints import Complaint, read_complaint, refusal, reply_error
from models.engines.endpoint import Address, Endpoint
from models.engines.wire import Wire
from models.errors import EngineError, EngineRefused, EngineUnavailable, ModelError
from models.interfaces import ChatDelta, ChatMessage, Usage

if TYPE_CHECKING:
    import httpx
    from tokenizers import Tokenizer

CONNECT_S = 5.0


class OpenAIChat:
    """Fulfils `models.interfaces.ChatModel`. Thread-safe; `close` it when done.

    `silence_s`: how long the engine may say nothing, reading a long prompt included. `tokenizer_file`: a Hugging Face
    `tokenizer.json`, for engines without llama.cpp's `/tokenize` route.
    """

    def __init__(
        self,
        name: str,
        endpoint: Endpoint,
        context_tokens: int,
        *,
        silence_s: float = 300.0,
        tokenizer_file: Path | None = None,
    ) -> None:
        import httpx

        self._name = name
        self._endpoint = endpoint
        self._context_tokens = context_tokens
        self._tokenizer = _open_tokenizer(tokenizer_file) if tokenizer_file else None
        self._client = httpx.Client(
            timeout=httpx.Timeout(silence_s, connect=CONNECT_S),
            # A connection for each request, so that a cancelled one can be cut without hurting another.
            limits=httpx.Limits(max_keepalive_connections=0),
            # Text of documents goes to the engine and to no proxy that the environment happens to name.
            trust_env=False,
        )

    @property
    def name(self) -> str:
        return self._name

    @property
    def context_tokens(self) -> int:
        return self._context_tokens

    def close(self) -> None:
        self._client.close()

    def stream(
        self,
        messages: Sequence[ChatMessage],
        *,
        max_tokens: int,
        temperature: float = 0.0,
        stop: Sequence[str] = (),
        cancel: CancelToken,
    ) -> Iterator[ChatDelta]:
        """Yield the reply as it is made; the last delta has `finish_reason` and, where the engine counts, `usage`.

        Raises `EngineUnavailable`, `EngineRefused`, `Cancelled`. Closing the iterator aborts the generation.
        """
        # Only what every engine knows: `trtllm-serve` answers 400 to any field that is new to it.
        request: dict[str, object] = {
            "model": self._name,
            "messages": [{"role": message.role, "content": message.content} for message in messages],
            "max_tokens": max_tokens,
            "temperature": temperature,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if stop:
            request["stop"] = list(stop)
        with self._reply("/v1/chat/completions", request, cancel) as response:
            for delta in _deltas(self._events(response)):
                cancel.check()
                yield delta

    def count_tokens(self, text: str) -> int:
        """Tokens of `text` by the model's own tokenizer, special tokens not counted.

        Raises `EngineUnavailable`, or `EngineRefused` when neither a file nor the engine can count.
        """
        if self._tokenizer:
            return len(self._tokenizer.encode(text, add_special_tokens=False).ids)
        request: dict[str, object] = {"content": text, "add_special": False}
        with self._reply("/tokenize", request, CancelToken()) as response:
            reply = _json(response.read())
        if not isinstance(reply, dict) or not isinstance(reply.get("tokens"), list):
            message = f"{self._name} cannot count tokens: its /tokenize is not llama.cpp's; name its tokenizer.json"
            raise EngineRefused(message, status=response.status_code)
        return len(reply["tokens"])

    @contextmanager
    def _reply(self, route: str, request: dict[str, object], cancel: CancelToken) -> Iterator[httpx.Response]:
        """The successful reply to a request, its body still to be read; errors and cancellation translated."""
        import httpx

        address = self._endpoint.address(cancel)
        wire = Wire()
        try:
            with cancel.closing(wire.cut), self._send(address, route, request, wire) as response:
                if not response.is_success:
                    raise reply_error(self._name, response.status_code, response.read())
                yield response
        except httpx.TimeoutException as exc:
            cancel.check()
            raise EngineUnavailable(f"{self._name} at {address.url} did not answer in time") from exc
        except httpx.HTTPError as exc:
            cancel.check()
            raise EngineUnavailable(f"{self._name} at {address.url} cannot be reached: {exc}") from exc
        except httpx.InvalidURL as exc:
            raise EngineUnavailable(f"{address.url!r} is no address of an engine: {exc}") from exc
        except EngineError:
            # A cut connection can also look like a reply that ends too early.
            cancel.check()
            raise

    def _send(
        self, address: Address, route: str, request: dict[str, object], wire: Wire
    ) -> AbstractContextManager[httpx.Response]:
        headers = {"Authorization": f"Bearer {address.api_key}"} if address.api_key else {}
        url = address.url + route
        return self._client.stream("POST", url, json=request, headers=headers, extensions={"trace": wire.trace})

    def _events(self, response: httpx.Response) -> Iterator[dict[str, object]]:
        """The JSON events of a stream up to its `[DONE]`."""
        for line in response.iter_lines():
            # Some servers write an error that comes in mid-stream as a field of its own.
            field, _, value = line.partition(":")
            if field not in ("data", "error"):
                continue
            if value.strip() == "[DONE]":
                return
            event = _json(value)
            complaint = read_complaint({"error": event} if field == "error" else event)
            if complaint or not isinstance(event, dict):
                complaint = complaint or Complaint(f"it sent {value.strip()[:80]!r}, which is no event", None)
                raise refusal(self._name, response.status_code, complaint)
            yield cast("dict[str, object]", event)
        raise EngineUnavailable(f"{self._name} broke off in the middle of its reply")


def _deltas(events: Iterator[dict[str, object]]) -> Iterator[ChatDelta]:
    """The texts as they come, then one last delta: the usage arrives in an event after the one with the reason."""
    finish_reason, usage = "stop", None
    for event in events:
        usage = _usage(event) or usage
        choices = event.get("choices")
        if not isinstance(choices, list) or not choices:
            continue
        choice = cast("dict[str, object]", choices[0])
        finish_reason = cast("str | None", choice.get("finish_reason")) or finish_reason
        text = cast("dict[str, object]", choice.get("delta") or {}).get("content")
        if isinstance(text, str) and text:
            yield ChatDelta(text)
    yield ChatDelta("", finish_reason, usage)


def _usage(event: dict[str, object]) -> Usage | None:
    counted = event.get("usage")
    if not isinstance(counted, dict):
        return None
    return Usage(int(counted.get("prompt_tokens") or 0), int(counted.get("completion_tokens") or 0))


def _json(text: str | bytes) -> object:
    """None for what is no JSON."""
    try:
        return cast("object", json.loads(text))
    except ValueError:
        return None


def _open_tokenizer(file: Path) -> Tokenizer:
    from tokenizers import Tokenizer

    try:
        return Tokenizer.from_file(str(file))
    except Exception as exc:  # tokenizers raises bare Exception
        raise ModelError(f"the tokenizer {file} cannot be read: {exc}") from exc
