"""The language model on this machine: its weights from the cache, its process, the client that asks it."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

from models.devices import LlamaThreads
from models.download import ensure
from models.engines.breaker import CircuitBreaker
from models.engines.chat import OpenAIChat
from models.engines.endpoint import Address
from models.engines.engine_metrics import EngineMetrics, MetricsFetch
from models.engines.failover import Candidate
from models.engines.llama_cpp import LlamaServer
from models.engines.retries import NEVER
from models.engines.supervisor import Supervisor
from models.engines.tensorrt_llm import TensorRtLlm
from models.errors import EngineUnavailable, ModelError
from models.interfaces import Engine
from rag.local_model import LocalModel
from rag.machine import EngineState, EngineStatus

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

NAMES = {"llama.cpp": "llama.cpp", "tensorrt-llm": "TensorRT-LLM"}
HOST = "127.0.0.1"


class LocalEngine:
    """Thread-safe. Nothing is opened before it is first asked for, and nothing is fetched at all: weights that are
    missing are looked for again each time."""

    def __init__(
        self,
        model: LocalModel,
        *,
        cache: Path,
        threads: LlamaThreads,
        adapters: tuple[Path, ...],
        logs: Path,
        registry: CollectorRegistry,
    ) -> None:
        self._model = model
        self._cache = cache
        self._threads = threads
        self._adapters = adapters
        self._logs = logs
        self._registry = registry
        self._lock = threading.Lock()
        self._server: Supervisor | None = None
        self._candidate: Candidate | None = None
        self._chat: OpenAIChat | None = None
        self._metrics: EngineMetrics | None = None
        self._problem = ""
        self._closed = False

    @property
    def engine(self) -> Engine:
        return Engine(NAMES[self._model.profile.backend], self._model.name, HOST, "local")

    def candidate(self) -> Candidate:
        """Its client, with its process begun. Raises `ModelError` when it cannot be, `WeightsMissing` with the command
        that fetches them."""
        with self._lock:
            if self._closed:
                raise EngineUnavailable("Lectern is ending, so no language model starts.")
            try:
                candidate = self._candidate = self._candidate or self._open()
            except ModelError as exc:
                self._problem = str(exc)
                raise
            self._problem = ""
        assert self._server is not None
        self._server.start()
        return candidate

    def status(self) -> EngineStatus:
        engine, server, candidate = self.engine, self._server, self._candidate
        if server is None or candidate is None:
            state: EngineState = "down" if self._problem else "not started"
            detail = self._problem or "starts with the first question that it writes an answer to"
        else:
            process = server.status()
            state = "down" if process.state == "stopped" else process.state
            detail = "" if process.state == "ready" else process.detail
            if process.state == "ready" and (pause_s := candidate.breaker.left_s):
                detail = f"ready again; it broke off, so for {pause_s:.0f} s others are asked before it"
        return EngineStatus(engine.name, engine.model, engine.place, engine.host, state, detail)

    def close(self) -> None:
        """End its process; it starts no more."""
        with self._lock:
            self._closed = True
            if self._metrics:
                self._metrics.close()
            if self._chat:
                self._chat.close()
            if self._server:
                self._server.stop()

    def _open(self) -> Candidate:
        server: Supervisor
        name, context_tokens = self._model.name, self._model.profile.context_tokens
        # Whether it answers is for its supervisor to know, so nothing is asked again.
        if self._model.profile.backend == "llama.cpp":
            server = self._open_llama()
            self._chat = OpenAIChat(name, server, context_tokens, retries=NEVER)
        else:
            server = self._open_tensorrt()
            lora, file = server.lora_request, self._folder() / "tokenizer.json"
            self._chat = OpenAIChat(
                name,
                server,
                context_tokens,
                tokenizer_file=file if file.is_file() else None,
                retries=NEVER,
                fields={"lora_request": lora} if lora else None,
            )
        self._server = server
        if self._model.profile.backend == "tensorrt-llm":
            self._metrics = EngineMetrics(self._registry, MetricsFetch(lambda: _address(server)))
            self._metrics.start()
        return Candidate(self._chat, self.engine, CircuitBreaker(), lambda: server.state)

    def _folder(self) -> Path:
        """Where the weights are. Raises `WeightsMissing`."""
        return self._model.path or ensure(self._model.entry, self._cache, fetch=False)

    def _open_llama(self) -> LlamaServer:
        profile = self._model.profile
        file = self._model.path or self._folder() / self._model.entry.weights.path
        return LlamaServer(file, profile.context_tokens, self._threads, self._logs / "llama.log", profile.gpus)

    def _open_tensorrt(self) -> TensorRtLlm:
        assert self._model.trtllm_serve is not None
        return TensorRtLlm(
            self._model.profile,
            self._folder(),
            self._model.name,
            self._model.trtllm_serve,
            self._logs / "tensorrt-llm",
            adapters=self._adapters,
        )


def _address(server: Supervisor) -> Address | None:
    """Where its metrics are, once it is ready; it is not waited for."""
    url = server.status().url
    return Address(url) if url else None
