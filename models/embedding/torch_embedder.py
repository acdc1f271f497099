"""The embedder of the GPU: any sentence-transformers model on torch, in half precision there."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from models.device_lock import DeviceLock
from models.embedding.averaging import average
from models.embedding.batching import Budget, Pace, TokenBudget, run_batches
from models.embedding.tokenization import Side, Window, WindowTokenizer
from models.embedding.torch_models import TorchPrecision, budget_tokens, empty_cache, loading, torch_type
from models.embedding.weights import float_identity
from models.embedding.windowed import WindowedEmbedder
from models.interfaces import Vectors

if TYPE_CHECKING:
    import torch

INGEST_S = 0.04
"""How long one batch of an ingest may hold the GPU, and a question wait for it."""


class TorchEmbedder(WindowedEmbedder):
    """Fulfils `models.interfaces.Embedder`. `device` as torch names it ("cuda:0", "cpu"). Thread-safe: runs go one
    after the other by the device's lock, since a GPU gains nothing from two at once. Raises `ModelError` when it cannot
    load; embedding raises it when the device cannot take a single text."""

    def __init__(
        self, folder: Path, device: str, *, precision: TorchPrecision = "fp16", lock: DeviceLock | None = None
    ) -> None:
        with loading(folder, device):
            from sentence_transformers import SentenceTransformer

            self._model = SentenceTransformer(
                str(folder),
                device=device,
                local_files_only=True,
                model_kwargs={"dtype": torch_type(precision), "use_safetensors": True},
            )
            self._model.to(torch_type(precision)).eval()
        tokenizer = WindowTokenizer(folder)
        super().__init__(
            tokenizer,
            identity=float_identity(folder, self._pooling(), tokenizer.window_tokens),
            dimension=int(self._model.get_embedding_dimension()),
        )
        self._lock = lock or DeviceLock()
        self._device_budget = TokenBudget(budget_tokens(device))
        self._ingest_pace = Pace(self._device_budget, INGEST_S)
        self._budget: Budget = self._device_budget
        self._turn: Callable[[], AbstractContextManager[None]] = self._lock.query

    def for_ingest(self) -> TorchEmbedder:
        """The same model for work that every question goes before: its batches are short, and wait. What one of these
        has learnt of the device's pace, the next one knows."""
        other = copy.copy(self)
        other._turn = self._lock.ingest
        other._budget = self._ingest_pace
        return other

    def _embed(self, texts: Sequence[str], side: Side) -> Vectors:
        windows = self._tokenizer.windows(texts, side)
        parts = run_batches(windows, lambda window: len(window.ids), self._run, self._budget, free=empty_cache)
        return average(len(texts), self._dimension, parts)

    def _run(self, batch: Sequence[Window]) -> Vectors:
        import torch

        longest = max(len(window.ids) for window in batch)
        padding = self._model.tokenizer.pad_token_id or 0
        ids = torch.full((len(batch), longest), padding, dtype=torch.long)
        mask = torch.zeros_like(ids)
        for row, window in enumerate(batch):
            ids[row, : len(window.ids)] = torch.tensor(window.ids)
            mask[row, : len(window.ids)] = 1
        features = {"input_ids": ids, "attention_mask": mask}
        if "token_type_ids" in self._model.tokenizer.model_input_names:
            features["token_type_ids"] = torch.zeros_like(ids)
        with self._turn(), torch.inference_mode():
            started = time.perf_counter()
            vectors = self._vectors(features)
            self._budget.took(ids.numel(), time.perf_counter() - started)
        return vectors

    def _vectors(self, features: dict[str, torch.Tensor]) -> Vectors:
        """Its modules pool as its own files say; the result is made a unit vector whether or not they do that."""
        from torch.nn.functional import normalize

        on_device = {name: tensor.to(self._model.device) for name, tensor in features.items()}
        pooled = self._model(on_device)["sentence_embedding"].float()
        vectors: Vectors = normalize(pooled, dim=1).cpu().numpy()
        return vectors

    def _pooling(self) -> str:
        """Its way of making one vector of many, for the identity."""
        mode = next((module.pooling_mode for module in self._model if hasattr(module, "pooling_mode")), "model")
        return mode if isinstance(mode, str) else "+".join(mode)
