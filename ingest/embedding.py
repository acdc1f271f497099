"""Chunks without a vector get one: driven by the queue in the database, so that a killed run is gone on with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from indexes.vectors import Unembedded, VectorTable
from models.interfaces import Embedder, Vectors

_WINDOW, _BATCH = 512, 32
_REMEMBERED = 20_000  # with vectors of 384 numbers: some 50 MB


class DistinctTexts:
    """Embeds each text once: documentation repeats itself (12 % of the chunks of the tech-docs set)."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._known: dict[str, Vectors] = {}

    def embed(self, texts: Sequence[str]) -> Vectors:
        """As `Embedder.embed_passages`."""
        if len(self._known) > _REMEMBERED:
            self._known.clear()
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        if new:
            self._known.update(zip(new, self._embedder.embed_passages(new), strict=True))
        return np.stack([self._known[text] for text in texts])


def embed_waiting(table: VectorTable, texts: DistinctTexts) -> Iterator[tuple[Sequence[Unembedded], Vectors]]:
    """Embed what waits now, a batch at a time; whoever takes a batch stores it.

    Chunks of similar length are embedded together, since padding costs as much as text. When something more urgent
    comes in meanwhile, the rest is left for the next call.
    """
    urgency = table.first_priority()
    if urgency is None:
        return
    window = table.unembedded(_WINDOW, urgency)
    by_length = sorted(window, key=lambda chunk: chunk.tokens)
    for first in range(0, len(by_length), _BATCH):
        batch = by_length[first : first + _BATCH]
        yield batch, texts.embed([chunk.text for chunk in batch])
        now = table.first_priority()
        if now is not None and now < urgency:
            return
