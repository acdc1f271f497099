"""The parent's embedder, borrowed by the ingest process over their pipe, so that one process alone owns the GPU.

{"embed": 7, "side": "passage", "texts": […]} goes up; {"embedded": 7, "identity": …, "dimension": …, "vectors": …}
comes down, with the vectors as base64 of little-endian float32, or {"failed": 7, "message": …}.
"""

from __future__ import annotations

import base64
import itertools
import queue
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from models.embedding.tokenization import Side, WindowTokenizer
from models.embedding.windowed import WindowedEmbedder
from models.errors import ModelError
from models.interfaces import Vectors

Message = dict[str, Any]


class Loans:
    """The child's end of the pipe: asks, and waits for the answer to come in on another thread."""

    def __init__(self, send: Callable[[Message], None]) -> None:
        self._send = send
        self._numbers = itertools.count(1)
        self._waiting: dict[int, queue.SimpleQueue[Message]] = {}

    def ask(self, side: Side, texts: Sequence[str]) -> Message:
        """Raises `ModelError` as the parent's embedder does."""
        number = next(self._numbers)
        answer = self._waiting[number] = queue.SimpleQueue()
        self._send({"embed": number, "side": side, "texts": list(texts)})
        message = answer.get()  # without a parent there is no process to wait here
        if "failed" in message:
            raise ModelError(message["message"])
        return message

    def take(self, message: Message) -> None:
        """An answer of the parent's."""
        number = message["embedded"] if "embedded" in message else message["failed"]
        self._waiting.pop(number).put(message)


class LentEmbedder(WindowedEmbedder):
    """Fulfils `models.interfaces.Embedder`. It cuts texts into tokens itself, by the tokenizer in `folder` and without
    torch; the parent makes the vectors, questions first. Raises `ModelError`, also as it is made: that is when the
    parent loads its model."""

    def __init__(self, folder: Path, loans: Loans) -> None:
        tokenizer = WindowTokenizer(folder)
        self._loans = loans
        described = loans.ask("passage", [])
        super().__init__(tokenizer, identity=described["identity"], dimension=described["dimension"])

    def _embed(self, texts: Sequence[str], side: Side) -> Vectors:
        vectors = np.frombuffer(base64.b64decode(self._loans.ask(side, texts)["vectors"]), dtype="<f4")
        return vectors.reshape(len(texts), self._dimension).astype(np.float32)
