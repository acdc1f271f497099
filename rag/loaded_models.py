"""The models that answers need: loaded when first asked for, kept, and ended together."""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import Literal

from models.catalog import Entry
from models.devices import Devices
from models.download import ensure
from models.embedding.opening import open_embedder
from models.engines.failover import FailoverChat
from models.interfaces import Embedder
from rag.engines import Engines

_log = logging.getLogger(__name__)


class LoadedModels:
    """Thread-safe. Weights are taken from the cache only: nothing is fetched here."""

    def __init__(
        self,
        *,
        embedder: Entry,
        device: Literal["auto", "cpu", "cuda"],
        engines: Engines,
        cache: Path,
        devices: Devices,
    ) -> None:
        self._embedder_entry = embedder
        self._device = device
        self.engines = engines
        self._cache = cache
        self._devices = devices
        self._lock = threading.Lock()
        self._embedder: Embedder | None = None
        self._embedder_reason: str | None = None

    @property
    def chat_model_names(self) -> list[str]:
        """Of all engines, each once, in the order in which they are asked."""
        return list(dict.fromkeys(engine.model for engine in self.engines.all))

    @property
    def embedder_ready(self) -> bool:
        return self._embedder is not None

    @property
    def embedder_reason(self) -> str | None:
        """What runs the embedder, and why that; known once it is loaded."""
        return self._embedder_reason

    @property
    def state(self) -> str:
        """What is loaded, for a person."""
        engines = [f"{engine.name} {engine.state}" for engine in self.engines.status()]
        return f"embedder {'loaded' if self.embedder_ready else 'not loaded yet'}, {', '.join(engines) or 'no engine'}"

    def embedder(self) -> Embedder:
        """Raises `WeightsMissing` with the command that fetches them."""
        with self._lock:
            if self._embedder is None:
                folder = ensure(self._embedder_entry, self._cache, fetch=False)
                self._embedder, reason = open_embedder(self._embedder_entry, folder, self._devices, device=self._device)
                self._embedder_reason = reason
                _log.info("Embedder: %s.", reason)
            return self._embedder

    def chat_model(self, name: str | None = None) -> FailoverChat:
        """For one request: the language model of that name, or whichever answers."""
        return self.engines.chat(name)

    def close(self) -> None:
        """End the language model's process; it starts no more."""
        self.engines.close()
