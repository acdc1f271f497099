"""The one client of every language model: OpenAI's chat protocol over HTTP, streamed, and stopped at any moment."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from models.cancellation import CancelToken
from models.engines.capabilities import Capabilities
from models.engines.complaints import BUSY
from models.engines.counting import most_tokens, open_tokenizer
from models.engines.endpoint import Address, Endpoint
from models.engines.hosts import place_of, require_allowed
from models.engines.reply import Reply, origin
from models.engines.retries import Retries
from models.engines.wire import Wire
from models.errors import EngineError, EngineRefused, EngineUnavailable
from models.interfaces import ChatDelta, ChatMessage

CONNECT_S = 5.0
CHAT_ROUTE = "/v1/chat/completions"
COUNT_ROUTE = "/tokenize"
COUNT_S = 5.0
"""How long an engine may be silent when it is asked to count, which costs it next to nothing."""
WRONG_KEY = frozenset({401, 403})
NO_ROUTE = frozenset({404, 405, 501})

_log = logging.getLogger(__name__)


class OpenAIChat:
    """Fulfils `models.interfaces.ChatModel`. Thread-safe; `close` it when done.

    `name` is the model's id at the engine, `engine` what people call the engine, in errors. `silence_s`: how long it
    may say nothing, reading a long prompt included. `tokenizer_file`: the model's `tokenizer.json`; without it the
    engine is asked to count. `allowed_hosts`: where text may be sent beside this machine; asked before each request.
    `fields`: what each request for a reply has besides (`lora_request`).
    """

    def __init__(
        self,
        name: str,
        endpoint: Endpoint,
        context_tokens: int,
        *,
        engine: str = "",
        silence_s: float = 300.0,
        tokenizer_file: Path | None = None,
        allowed_hosts: Collection[str] = (),
        retries: Retries | None = None,
        fields: Mapping[str, object] | None = None,
    ) -> None:
        import httpx

        self._name = name
        self._engine = engine or name
        self._endpoint = endpoint
        self._context_tokens = context_tokens
        self._tokenizer = open_tokenizer(tokenizer_file) if tokenizer_file else None
        self._engine_counts = True
        self._allowed_hosts = frozenset(allowed_hosts)
        self._retries = retries or Retries()
        self._fields = dict(fields or {})
        self._capabilities = Capabilities(self._engine)
        self._client = httpx.Client(
            timeout=httpx.Timeout(silence_s, connect=CONNECT_S),
            # A connection for each request, so that a cancelled one can be cut without hurting another.
            limits=httpx.Limits(max_keepalive_connections=0),
            # Text of documents goes to the engine: to no proxy that the environment happens to name, nor to wherever
            # the engine would redirect it.
            trust_env=False,
            follow_redirects=False,
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
        salt: str | None = None,
        cancel: CancelToken,
    ) -> Iterator[ChatDelta]:
        """Yield the reply as it is made; the last delta has `finish_reason` and, where the engine counts, `usage`.

        Raises `EngineUnavailable`, `EngineRefused`, `EngineMisconfigured`, `Cancelled`. Closing the iterator aborts
        the generation.
        """
        request: dict[str, object] = {
            "model": self._name,
            "messages": [{"role": message.role, "content": message.content} for message in messages],
            "max_tokens": max_tokens,
            "temperature": temperature,
            "stream": True,
            **self._fields,
        }
        if stop:
            request["stop"] = list(stop)
        optional: dict[str, object] = {"stream_options": {"include_usage": True}}
        if salt:
            optional["cache_salt"] = salt
        with ExitStack() as stack:
            reply = self._accepted(stack, request, optional, cancel)
            for delta in reply.deltas():
                cancel.check()
                yield delta

    def prepare(self, cancel: CancelToken) -> None:
        """Return when it can be asked. Raises `EngineUnavailable`, `EngineMisconfigured`, `Cancelled`."""
        self._endpoint.address(cancel)

    def count_tokens(self, text: str) -> int:
        """Tokens of `text`, special tokens not counted: by the tokenizer's file, else by the engine, else a number that
        they cannot exceed. Raises `EngineUnavailable`, `EngineMisconfigured`, `EngineRefused` for a wrong key."""
        if self._tokenizer:
            return len(self._tokenizer.encode(text, add_special_tokens=False).ids)
        if self._engine_counts and (counted := self._counted_by_engine(text)) is not None:
            return counted
        return most_tokens(text)

    def _counted_by_engine(self, text: str) -> int | None:
        """By `/tokenize` as llama.cpp or vLLM have it. None where it failed for this text, and where there is no such
        thing: then it is not asked again. Nor is a far engine: each count would cost the way there and back."""
        cancel = CancelToken()
        if place_of(self._endpoint.address(cancel).url) == "remote":
            self._ask_for_no_count()
            return None
        llama_cpp: dict[str, object] = {"content": text, "add_special": False}
        vllm: dict[str, object] = {"model": self._name, "prompt": text, "add_special_tokens": False}
        try:
            with self._reply(COUNT_ROUTE, llama_cpp | vllm, cancel) as reply:
                counted = reply.json()
        except EngineRefused as exc:
            if exc.status in WRONG_KEY:
                raise
            if exc.status in NO_ROUTE:
                self._ask_for_no_count()
            return None
        tokens = counted.get("tokens") if isinstance(counted, dict) else None
        return len(tokens) if isinstance(tokens, list) else None

    def _ask_for_no_count(self) -> None:
        self._engine_counts = False
        _log.info("%s cannot count tokens, so its prompts are kept shorter than need be", self._engine)

    def _accepted(
        self, stack: ExitStack, request: Mapping[str, object], optional: Mapping[str, object], cancel: CancelToken
    ) -> Reply:
        """The reply to the request with as many of the optional fields as the engine takes."""
        sent, dropped = self._capabilities.worth_sending(optional), frozenset[str]()
        while True:
            fields = {name: optional[name] for name in sent}
            try:
                reply = stack.enter_context(self._reply(CHAT_ROUTE, {**request, **fields}, cancel))
            except EngineRefused as exc:
                drop = self._capabilities.to_drop(exc, sent)
                if not drop:
                    raise
                sent, dropped = sent - drop, dropped | drop
            else:
                self._capabilities.learn(sent, dropped)
                return reply

    @contextmanager
    def _reply(self, route: str, request: Mapping[str, object], cancel: CancelToken) -> Iterator[Reply]:
        """The successful reply to a request, its body still to be read; errors and cancellation translated."""
        import httpx

        wire = Wire()
        try:
            with cancel.closing(wire.cut), closing(self._sent(route, request, wire, cancel)) as reply:
                reply.require_success()
                yield reply
        except httpx.TimeoutException as exc:
            cancel.check()
            raise EngineUnavailable(f"{self._engine} at {origin(exc)} did not answer in time") from exc
        except httpx.HTTPError as exc:
            cancel.check()
            raise EngineUnavailable(f"{self._engine} at {origin(exc)} cannot be reached: {exc}") from exc
        except EngineError:
            # A cut connection can also look like a reply that ends too early.
            cancel.check()
            raise

    def _sent(self, route: str, request: Mapping[str, object], wire: Wire, cancel: CancelToken) -> Reply:
        """What the engine replies, asked again after a pause where it cannot be reached, or says that it is busy."""
        import httpx

        for pause_s in self._retries.pauses_s():
            address = self._endpoint.address(cancel)
            require_allowed(address.url, self._allowed_hosts, has_key=address.api_key is not None)
            try:
                reply = self._send(address, route, request, wire)
            except (httpx.ConnectError, httpx.ConnectTimeout):
                if pause_s is None:
                    raise
            else:
                if pause_s is not None:
                    pause_s = self._retries.asked_for(pause_s, reply.retry_after) if reply.status in BUSY else None
                if pause_s is None:
                    return reply
                reply.close()
            _log.info("%s does not answer; asked again in %.1f s", self._engine, pause_s)
            if cancel.wait(pause_s):
                cancel.check()
        raise AssertionError("the last pause is None")

    def _send(self, address: Address, route: str, request: Mapping[str, object], wire: Wire) -> Reply:
        import httpx

        headers = {"Authorization": f"Bearer {address.api_key}"} if address.api_key else {}
        built = self._client.build_request(
            "POST",
            address.url + route,
            json=request,
            headers=headers,
            timeout=httpx.Timeout(COUNT_S) if route == COUNT_ROUTE else httpx.USE_CLIENT_DEFAULT,
            extensions={"trace": wire.trace},
        )
        return Reply(self._engine, self._client.send(built, stream=True), address.api_key)
