"""The language models that may answer, in their order: this machine's, then one's own network's, then remote ones."""

from __future__ import annotations

import logging
import threading
from collections.abc import Collection, Sequence

from models.cancellation import CancelToken
from models.engines.breaker import CircuitBreaker
from models.engines.chat import OpenAIChat
from models.engines.failover import Candidate, FailoverChat
from models.engines.hosts import host_of, place_of, require_allowed
from models.engines.keys import KeyedEndpoint
from models.engines.meter import Meter
from models.errors import EngineError, EngineMisconfigured, ModelError
from models.interfaces import Engine
from rag.errors import BadInput
from rag.local_engine import LocalEngine
from rag.machine import EngineState, EngineStatus
from rag.settings import EngineSetting

PLACES = ("local", "self-hosted", "remote")

_log = logging.getLogger(__name__)


class Engines:
    """Thread-safe. Each request gets a chain of its own over the engines that all requests share."""

    def __init__(
        self,
        local: LocalEngine | None,
        settings: Sequence[EngineSetting],
        *,
        meter: Meter,
        allowed_hosts: Collection[str] = (),
        unfit: EngineStatus | None = None,
    ) -> None:
        """`unfit` stands for a language model that the settings want on this machine, and that cannot run here. Raises
        BadInput for an engine that the settings do not allow to be asked."""
        self._local = local
        self._meter = meter
        self._unfit = unfit
        self._lock = threading.Lock()
        self._far = [FarEngine(setting, allowed_hosts) for setting in settings]
        self._far.sort(key=lambda far: PLACES.index(far.engine.place))

    @property
    def all(self) -> list[Engine]:
        """In the order in which they are asked."""
        return [*([self._local.engine] if self._local else []), *(far.engine for far in self._far)]

    def chat(self, model: str | None = None) -> FailoverChat:
        """For one request: all engines, or those that serve the model of that id. This machine's begins to load."""
        candidates: list[Candidate] = []
        problems = [self._unfit.detail] if self._unfit else []
        for source in (self._local, *self._far):
            if source is None or model not in (None, source.engine.model):
                continue
            try:
                candidates.append(source.candidate())
            except ModelError as exc:
                _log.warning("%s cannot be asked: %s", source.engine, exc)
                problems.append(str(exc))
        return FailoverChat(candidates, problems=problems, watch=self._meter.watch)

    def start(self) -> None:
        """Begin to load this machine's model, without waiting. Raises `ModelError`."""
        if self._local:
            self._local.candidate()

    def status(self) -> tuple[EngineStatus, ...]:
        here = self._local.status() if self._local else self._unfit
        return (*([here] if here else []), *(far.status() for far in self._far))

    def close(self) -> None:
        """End this machine's model; it starts no more."""
        for source in (self._local, *self._far):
            if source:
                source.close()


class FarEngine:
    """An engine that somebody else runs. Raises BadInput when it may not be asked, and says what to set."""

    def __init__(self, setting: EngineSetting, allowed_hosts: Collection[str]) -> None:
        self._setting = setting
        self._allowed_hosts = allowed_hosts
        self._endpoint = KeyedEndpoint(setting.name, setting.url, setting.key_variable, setting.key_file)
        try:
            require_allowed(setting.url, allowed_hosts, has_key=self._endpoint.has_key)
            self.engine = Engine(setting.name, setting.model, host_of(setting.url), place_of(setting.url))
        except EngineMisconfigured as exc:
            raise BadInput(f"LECTERN_ENGINES, {setting.name}: {exc}.") from exc
        if setting.tokenizer and not setting.tokenizer.expanduser().is_file():
            raise BadInput(f"LECTERN_ENGINES, {setting.name}: there is no tokenizer {setting.tokenizer}.")
        self._lock = threading.Lock()
        self._chat: OpenAIChat | None = None
        self._candidate: Candidate | None = None

    def candidate(self) -> Candidate:
        """Raises `ModelError` when its tokenizer cannot be read."""
        with self._lock:
            self._candidate = self._candidate or self._open()
            return self._candidate

    def status(self) -> EngineStatus:
        state, detail = self._state()
        return EngineStatus(self.engine.name, self.engine.model, self.engine.place, self.engine.host, state, detail)

    def close(self) -> None:
        with self._lock:
            if self._chat:
                self._chat.close()

    def _open(self) -> Candidate:
        setting = self._setting
        self._chat = OpenAIChat(
            setting.model,
            self._endpoint,
            setting.context_tokens,
            engine=setting.name,
            silence_s=setting.silence_s,
            tokenizer_file=setting.tokenizer.expanduser() if setting.tokenizer else None,
            allowed_hosts=self._allowed_hosts,
        )
        return Candidate(self._chat, self.engine, CircuitBreaker())

    def _state(self) -> tuple[EngineState, str]:
        """Without asking it: what its last requests came to, and whether its key is there."""
        try:
            self._endpoint.address(CancelToken())
        except EngineError as exc:
            return "down", str(exc)
        if self._candidate is None:
            return "not started", "not asked yet"
        if pause_s := self._candidate.breaker.left_s:
            return "down", f"it has failed, and is asked again in {pause_s:.0f} s"
        return "ready", ""
