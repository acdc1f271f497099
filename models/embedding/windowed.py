"""What the embedders have in common: a name for their vectors, and texts cut into windows by one tokenizer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from models.embedding.tokenization import Side, WindowTokenizer
from models.interfaces import Vectors


class WindowedEmbedder(ABC):
    """Fulfils `models.interfaces.Embedder` by `_embed`, the one thing that differs."""

    def __init__(self, tokenizer: WindowTokenizer, *, identity: str, dimension: int) -> None:
        self._tokenizer = tokenizer
        self._identity = identity
        self._dimension = dimension

    @property
    def identity(self) -> str:
        return self._identity

    @property
    def dimension(self) -> int:
        return self._dimension

    @property
    def window_tokens(self) -> int:
        return self._tokenizer.window_tokens

    def embed_passages(self, texts: Sequence[str]) -> Vectors:
        return self._embed(texts, "passage")

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        return self._embed(texts, "query")

    def token_offsets(self, text: str) -> list[tuple[int, int]]:
        return self._tokenizer.token_offsets(text)

    @abstractmethod
    def _embed(self, texts: Sequence[str], side: Side) -> Vectors:
        """(n, dimension) float32, each row of length 1."""
