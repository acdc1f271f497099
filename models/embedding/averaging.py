"""Vectors of windows to vectors of texts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from models.embedding.tokenization import Window
from models.interfaces import Vectors


def average(texts: int, dimension: int, parts: Iterable[tuple[Sequence[Window], Vectors]]) -> Vectors:
    """Vectors (texts, dimension) of length 1: the unit vectors of the windows of one text, averaged by their count of
    tokens. `parts` are the windows of all texts in groups, each with its vectors."""
    total = np.zeros((texts, dimension), np.float32)
    for windows, vectors in parts:
        for window, vector in zip(windows, vectors, strict=True):
            # A text without a single token still has the vector of its special tokens.
            total[window.text_index] += max(1, window.weight) * vector
    # Windows that point in opposite ways could cancel out; dividing by nothing must not make NaN of them.
    lengths = np.linalg.norm(total, axis=1, keepdims=True)
    normalised: Vectors = (total / np.maximum(lengths, 1e-12)).astype(np.float32)
    return normalised
