"""Chunks without a vector get one: driven by the database alone, so that a killed run goes on where it stopped."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence

import numpy as np

from indexes.vectors import VectorTable
from models.cancellation import CancelToken
from models.interfaces import Embedder, Vectors

_log = logging.getLogger(__name__)
_WINDOW, _BATCH = 512, 64
_IDLE_S = 0.05
_REMEMBERED = 20_000  # vectors of 384 numbers: 30 MB


def embed_missing(
    table: VectorTable,
    embedder: Embedder,
    *,
    more_may_come: Callable[[], bool],
    report: Callable[[int], None],
    cancel: CancelToken,
) -> int:
    """Embed and store chunks until none is left and `more_may_come()` is false; returns how many.

    Chunks of similar length are embedded together, since padding costs as much as text, and the same text is embedded
    once; `report` is told the size of each stored batch. Raises `Cancelled` between batches.
    """
    done = after = 0
    started = time.monotonic()
    texts = _DistinctTexts(embedder)
    while True:
        last_look = not more_may_come()
        window = table.unembedded(after, _WINDOW)
        by_length = sorted(window, key=lambda chunk: chunk.tokens)
        for first in range(0, len(by_length), _BATCH):
            cancel.check()
            batch = by_length[first : first + _BATCH]
            table.put(batch, texts.embed([chunk.text for chunk in batch]))
            report(len(batch))
        done += len(window)
        if window:
            after = window[-1].chunk_id
        elif after:
            after = 0  # a document published meanwhile may have chunks of lower ids
        elif last_look:
            _log.info("embedded %d chunks in %d ms", done, 1000 * (time.monotonic() - started))
            return done
        else:
            cancel.check()
            cancel.wait(_IDLE_S)


class _DistinctTexts:
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
