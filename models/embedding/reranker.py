"""The reranker: a cross-encoder that reads question and passage together, on torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from models.device_lock import DeviceLock
from models.embedding.batching import TokenBudget, run_batches
from models.embedding.tokenization import usable_positions
from models.embedding.torch_models import TorchPrecision, budget_tokens, empty_cache, loading, torch_type
from models.embedding.weights import weights_stamp
from models.errors import ModelError
from models.interfaces import Vectors

LONGEST_PAIR = 1024
"""Tokens of question and passage together at most, for the time that it takes; most models take 512."""


@dataclass(frozen=True)
class _Pair:
    """Question and a stretch of the text that it is compared with; `tokens` of both, special ones counted."""

    text_index: int
    query: str
    text: str
    tokens: int


class TorchReranker:
    """Fulfils `models.interfaces.Reranker` with a sentence-transformers CrossEncoder of one score. A text that is
    too long for the model is read in stretches, and the best of them counts. Thread-safe. Raises `ModelError` as
    `TorchEmbedder` does."""

    def __init__(
        self, folder: Path, device: str, *, precision: TorchPrecision = "fp16", lock: DeviceLock | None = None
    ) -> None:
        with loading(folder, device):
            from sentence_transformers import CrossEncoder

            self._model = CrossEncoder(
                str(folder),
                device=device,
                local_files_only=True,
                model_kwargs={"dtype": torch_type(precision), "use_safetensors": True},
            )
            self._model.to(torch_type(precision)).eval()
        if self._model.num_labels != 1:
            raise ModelError(f"{folder} is no reranker: it gives {self._model.num_labels} scores for a text, not one")
        self._identity = f"{folder.name}@{weights_stamp(folder)}-{precision}/cross-encoder"
        self._longest = _longest(self._model)
        self._lock = lock or DeviceLock()
        self._budget = TokenBudget(budget_tokens(device))

    @property
    def identity(self) -> str:
        return self._identity

    def scores(self, query: str, texts: Sequence[str]) -> Vectors:
        pairs = list(self._pairs(query, texts))
        best = np.full(len(texts), -np.inf, dtype=np.float32)
        parts = run_batches(pairs, lambda pair: pair.tokens, self._run, self._budget, free=empty_cache)
        for batch, logits in parts:
            for pair, logit in zip(batch, logits, strict=True):
                best[pair.text_index] = max(best[pair.text_index], logit)
        return best

    def _run(self, batch: Sequence[_Pair]) -> Vectors:
        import torch

        with self._lock.query():
            logits: Vectors = self._model.predict(
                [(pair.query, pair.text) for pair in batch],
                batch_size=len(batch),
                show_progress_bar=False,
                activation_fn=torch.nn.Identity(),
            )
        return logits.astype(np.float32)

    def _pairs(self, query: str, texts: Sequence[str]) -> Iterator[_Pair]:
        special = self._model.tokenizer.num_special_tokens_to_add(pair=True)
        asked = self._spans(query)[: (self._longest - special) // 2]  # a longer question would leave no room
        query = query[: asked[-1][1]] if asked else query
        room = self._longest - special - len(asked)
        for index, text in enumerate(texts):
            spans = self._spans(text)
            count = max(1, -(-len(spans) // room))
            for number in range(count):
                piece = spans[len(spans) * number // count : len(spans) * (number + 1) // count]
                stretch = text[piece[0][0] : piece[-1][1]] if piece else text
                yield _Pair(index, query, stretch, special + len(asked) + len(piece))

    def _spans(self, text: str) -> list[tuple[int, int]]:
        """The characters of each token."""
        encoded = self._model.tokenizer(
            text, add_special_tokens=False, return_offsets_mapping=True, truncation=False, verbose=False
        )
        spans: list[tuple[int, int]] = encoded["offset_mapping"]
        return spans


def _longest(model: Any) -> int:
    config = model.config
    positions = usable_positions(getattr(config, "max_position_embeddings", None), config.model_type)
    return int(min(known for known in (model.max_seq_length, positions, LONGEST_PAIR) if known))
