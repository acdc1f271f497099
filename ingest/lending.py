"""The parent's end of a borrowed embedder: answers what the ingest process asks to have embedded."""

from __future__ import annotations

import base64
import logging
import queue
import threading
from collections.abc import Callable
from contextlib import suppress

from ingest.lent_embedder import Message
from models.errors import ModelError
from models.interfaces import Embedder

_log = logging.getLogger(__name__)


class Lender:
    """One for each life of the process; works in a thread of its own, so that events are heard meanwhile."""

    def __init__(self, embedder: Callable[[], Embedder], send: Callable[[Message], None]) -> None:
        """`embedder` is called with each request, and may load the model with the first."""
        self._embedder = embedder
        self._send = send
        self._requests: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
        threading.Thread(target=self._work, name="lend-embedder", daemon=True).start()

    def take(self, request: Message) -> None:
        self._requests.put(request)

    def close(self) -> None:
        """End after what is under way."""
        self._requests.put(None)

    def _work(self) -> None:
        while (request := self._requests.get()) is not None:
            answer = self._answer(request)
            with suppress(OSError, ValueError):  # it has ended; who listens to its events is told
                self._send(answer)

    def _answer(self, request: Message) -> Message:
        try:
            embedder = self._embedder()
            embed = embedder.embed_queries if request["side"] == "query" else embedder.embed_passages
            vectors = embed(request["texts"]).astype("<f4").tobytes()
        except ModelError as exc:
            return {"failed": request["embed"], "message": str(exc)}
        except Exception as exc:  # the edge of this thread: the child waits for an answer
            _log.exception("embedding for the ingest process failed")
            return {"failed": request["embed"], "message": f"{type(exc).__name__}: {exc}"}
        return {
            "embedded": request["embed"],
            "identity": embedder.identity,
            "dimension": embedder.dimension,
            "vectors": base64.b64encode(vectors).decode("ascii"),
        }
