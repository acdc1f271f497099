"""The models that answers need: loaded when first asked for, kept, and ended together."""

from __future__ import annotations

import threading
from pathlib import Path

from models.catalog import Entry
from models.devices import Devices, choose_llama_threads
from models.download import ensure
from models.embedding.opening import open_embedder
from models.engines.chat import OpenAIChat
from models.engines.llama_cpp import LlamaServer
from models.errors import EngineUnavailable
from models.interfaces import ChatModel, Embedder


class LoadedModels:
    """Thread-safe. Weights are taken from the cache only: nothing is fetched here."""

    def __init__(
        self, *, embedder: Entry, language_model: Entry, cache: Path, devices: Devices, context_tokens: int, logs: Path
    ) -> None:
        self._embedder_entry = embedder
        self._language_model = language_model
        self._cache = cache
        self._devices = devices
        self._context_tokens = context_tokens
        self._logs = logs
        self._lock = threading.Lock()
        self._embedder: Embedder | None = None
        self._server: LlamaServer | None = None
        self._chat: OpenAIChat | None = None
        self._closed = False

    @property
    def chat_model_name(self) -> str:
        return self._language_model.name

    @property
    def embedder_ready(self) -> bool:
        return self._embedder is not None

    @property
    def state(self) -> str:
        """What is loaded, for a person."""
        engine = "running" if self._server is not None and self._server.url else "not started"
        return f"embedder {'loaded' if self.embedder_ready else 'not loaded yet'}, language model {engine}"

    def embedder(self) -> Embedder:
        """Raises `WeightsMissing` with the command that fetches them."""
        with self._lock:
            if self._embedder is None:
                folder = ensure(self._embedder_entry, self._cache, fetch=False)
                self._embedder, _ = open_embedder(self._embedder_entry, folder, self._devices)
            return self._embedder

    def chat_model(self) -> ChatModel:
        """The language model's client; its server starts with the first request, if it does not run yet. Raises
        `WeightsMissing`."""
        server = self._llama()
        with self._lock:
            if self._chat is None:
                self._chat = OpenAIChat(self._language_model.name, server, self._context_tokens)
            return self._chat

    def start_chat_model(self) -> None:
        """Begin to load the language model, without waiting for it."""
        self._llama().start()

    def close(self) -> None:
        """End the language model's process; it starts no more."""
        with self._lock:
            self._closed = True
            if self._chat is not None:
                self._chat.close()
            if self._server is not None:
                self._server.stop()

    def _llama(self) -> LlamaServer:
        with self._lock:
            if self._closed:
                raise EngineUnavailable("Lectern is ending, so no language model starts.")
            if self._server is None:
                entry = self._language_model
                folder = ensure(entry, self._cache, fetch=False)
                threads, _ = choose_llama_threads(self._devices)
                self._server = LlamaServer(
                    folder / entry.weights.path, self._context_tokens, threads, self._logs / "llama.log"
                )
            return self._server
