"""What the rest of Lectern may ask of a model, whatever runs it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from models.cancellation import CancelToken

Vectors = NDArray[np.float32]


class Embedder(Protocol):
    """Texts to vectors. Every token of a text takes part: a text longer than the window is embedded in windows
    whose vectors are averaged by token count."""

    @property
    def identity(self) -> str:
        """Name, revision, precision and pooling in one string; stamped on every vector and cache."""

    @property
    def dimension(self) -> int: ...

    @property
    def window_tokens(self) -> int:
        """The most tokens of text that one window takes, special tokens not counted."""

    def embed_passages(self, texts: Sequence[str]) -> Vectors:
        """(n, dimension) float32, each row of length 1."""

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        """As `embed_passages`, for questions (some models want another prefix)."""

    def token_offsets(self, text: str) -> list[tuple[int, int]]:
        """The character span (start, end) of each token of `text`, special tokens left out."""


class Reranker(Protocol):
    """How well each text answers a question, read together with it."""

    @property
    def identity(self) -> str:
        """Name, revision and precision in one string."""

    def scores(self, query: str, texts: Sequence[str]) -> Vectors:
        """(n,) float32 of any range, higher is better; every part of a text takes part. Raises `ModelError`."""


@dataclass(frozen=True)
class ChatMessage:
    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True)
class Usage:
    prompt_tokens: int
    completion_tokens: int


@dataclass(frozen=True)
class Engine:
    """Which engine makes a reply. `host` is where the text of the documents went; "remote" is off the premises."""

    name: str
    model: str
    host: str
    place: Literal["local", "self-hosted", "remote"]

    def __str__(self) -> str:
        """For people."""
        return (
            f"{self.model} on this machine" if self.place == "local" else f"{self.name} at {self.host} ({self.place})"
        )


@dataclass(frozen=True)
class ChatDelta:
    """One piece of a streamed reply; the last one has `finish_reason` and, where the engine counts, `usage`. With
    several engines, `engine` stands on the first piece."""

    text: str
    finish_reason: str | None = None
    usage: Usage | None = None
    engine: Engine | None = None


class ChatModel(Protocol):
    """A language model behind an OpenAI-compatible endpoint."""

    @property
    def name(self) -> str: ...

    @property
    def context_tokens(self) -> int: ...

    def prepare(self, cancel: CancelToken) -> None:
        """Return when it can be asked, waiting for it while it loads. Raises `models.errors.EngineError` kinds,
        `Cancelled`."""

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
        """Yield the reply as it is made. `salt` keeps the engine's cache of prompts apart from that of other salts.
        Raises `models.errors.EngineError` kinds; `Cancelled` when stopped."""

    def count_tokens(self, text: str) -> int:
        """Tokens of `text` by the model's own tokenizer, special tokens not counted; or a number that they cannot
        exceed, where nothing here has that tokenizer. Raises `models.errors.EngineError` kinds."""
