"""The embedder of the GPU: a sentence-transformers model on torch, in half precision there."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from models.embedding.onnx_conversion import WEIGHTS_NAME
from models.embedding.onnx_embedder import embed_windows
from models.embedding.tokenization import Window, WindowTokenizer
from models.errors import ModelError
from models.interfaces import Vectors
from models.verification import known_sha256

if TYPE_CHECKING:
    import torch

TorchPrecision = Literal["fp16", "fp32"]

BUDGET_TOKENS = 16384
"""Padded tokens of one run: about 64 chunks, enough to fill a GPU with a small encoder."""


class TorchEmbedder:
    """Fulfils `models.interfaces.Embedder`. `device` as torch names it ("cuda", "cuda:1", "cpu"). Thread-safe: runs
    go one after the other, since a GPU gains nothing from two at once. Raises `ModelError` when it cannot load."""

    def __init__(self, folder: Path, device: str, *, precision: TorchPrecision = "fp16") -> None:
        import torch
        from sentence_transformers import SentenceTransformer

        kind = torch.float16 if precision == "fp16" else torch.float32
        try:
            model = SentenceTransformer(
                str(folder), device=device, local_files_only=True, model_kwargs={"torch_dtype": kind}
            )
            self._model = model.eval()
            revision = known_sha256(folder, WEIGHTS_NAME)[:12]
        except (OSError, ValueError, RuntimeError, AssertionError) as exc:
            raise ModelError(f"{folder} cannot be loaded on {device}: {exc}") from exc
        self._tokenizer = WindowTokenizer(folder)
        self._dimension = int(self._model.get_embedding_dimension())
        self._identity = f"{folder.name}@{revision}-{precision}/torch/mean/w{self._tokenizer.window_tokens}"
        self._one_at_a_time = threading.Lock()

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
        return embed_windows(self._tokenizer, texts, self._run, self._dimension, BUDGET_TOKENS, None)

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        return self.embed_passages(texts)

    def token_offsets(self, text: str) -> list[tuple[int, int]]:
        return self._tokenizer.token_offsets(text)

    def _run(self, batch: Sequence[Window]) -> Vectors:
        import torch

        longest = max(len(window.ids) for window in batch)
        ids = torch.zeros((len(batch), longest), dtype=torch.long)
        mask = torch.zeros_like(ids)
        for row, window in enumerate(batch):
            ids[row, : len(window.ids)] = torch.tensor(window.ids)
            mask[row, : len(window.ids)] = 1
        with self._one_at_a_time, torch.inference_mode():
            return self._vectors({"input_ids": ids, "attention_mask": mask, "token_type_ids": torch.zeros_like(ids)})

    def _vectors(self, features: dict[str, torch.Tensor]) -> Vectors:
        """Its modules pool and normalise as its own files say."""
        on_device = {name: tensor.to(self._model.device) for name, tensor in features.items()}
        vectors: Vectors = self._model(on_device)["sentence_embedding"].float().cpu().numpy()
        return vectors
