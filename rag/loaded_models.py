"""The models that answers need: loaded when first asked for, kept, and ended together."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

from models.catalog import Entry
from models.download import ensure
from models.embedding.opening import open_embedder, open_reranker
from models.engines.failover import FailoverChat
from models.interfaces import Embedder, Reranker
from rag.engines import Engines
from rag.placement import Placement
from rag.retrieval import Retriever

_log = logging.getLogger(__name__)


class LoadedModels:
    """Thread-safe. Weights are taken from the cache only: nothing is fetched here. `reranker` is the folder of a
    cross-encoder."""

    def __init__(
        self, *, embedder: Entry, reranker: Path | None, placement: Placement, engines: Engines, cache: Path
    ) -> None:
        self._embedder_entry = embedder
        self._reranker_folder = reranker
        self._placement = placement
        self.engines = engines
        self._cache = cache
        self._lock = threading.Lock()
        self._embedder: Embedder | None = None
        self._embedder_reason: str | None = None
        self._reranker: Reranker | None = None

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
                place = self._placement
                self._embedder, self._embedder_reason = open_embedder(
                    self._embedder_entry,
                    folder,
                    place.devices,
                    device=place.device,
                    why=place.why,
                    exact=place.exact,
                    lock=place.lock,
                )
                _log.info("Embedder: %s.", self._embedder_reason)
            return self._embedder

    def retriever(self) -> Retriever:
        """With the embedder, and with the reranker where the settings name one. Raises `ModelError`."""
        embedder = self.embedder()
        with self._lock:
            if self._reranker is None and self._reranker_folder is not None:
                place = self._placement
                self._reranker, reason = open_reranker(
                    self._reranker_folder, place.devices, device=place.device, why=place.why, lock=place.lock
                )
                _log.info("Reranker: %s.", reason)
            return Retriever(embedder, self._reranker)

    def chat_model(self, name: str | None = None) -> FailoverChat:
        """For one request: the language model of that name, or whichever answers."""
        return self.engines.chat(name)

    def close(self) -> None:
        """End the language model's process; it starts no more."""
        self.engines.close()
