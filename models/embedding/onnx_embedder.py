"""The embedder of the CPU: a BERT encoder on ONNX Runtime, one thread for each batch and as many batches as cores."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from models.embedding.averaging import average
from models.embedding.onnx_conversion import onnx_file, stamp_of
from models.embedding.onnx_graph import Precision
from models.embedding.tokenization import Side, Window, WindowTokenizer, batches
from models.embedding.weights import float_identity
from models.embedding.windowed import WindowedEmbedder
from models.errors import ModelError
from models.interfaces import Vectors

if TYPE_CHECKING:
    import onnxruntime

BUDGET_TOKENS = 256
"""Padded tokens of one run: a chunk of a document runs alone, short texts share a run. More is slower: the
activations no longer fit into a core's cache."""


class OnnxEmbedder(WindowedEmbedder):
    """Fulfils `models.interfaces.Embedder`. `folder` holds a sentence-transformers model; the ONNX file beside it is
    made at the first use. Thread-safe. Raises `ModelError` when the model cannot be loaded."""

    def __init__(self, folder: Path, *, precision: Precision = "int8", threads: int = 1) -> None:
        tokenizer = WindowTokenizer(folder)
        self._session = _open_session(onnx_file(folder, precision))
        window = tokenizer.window_tokens
        int8_identity = f"{folder.name}@{stamp_of(folder, precision)}/onnx/mean/w{window}"
        super().__init__(
            tokenizer,
            identity=int8_identity if precision == "int8" else float_identity(folder, "mean", window),
            dimension=int(self._session.get_outputs()[0].shape[1]),
        )
        # Batches side by side, each on one thread, beat one batch on many threads: nobody waits at each node.
        self._workers = ThreadPoolExecutor(threads, thread_name_prefix="embedder")

    def _embed(self, texts: Sequence[str], side: Side) -> Vectors:
        groups = list(batches(self._tokenizer.windows(texts, side), BUDGET_TOKENS))
        # A question is embedded on the caller's own thread: it does not queue behind the passages of an ingest.
        results = self._workers.map(self._run, groups) if side == "passage" else map(self._run, groups)
        return average(len(texts), self._dimension, zip(groups, results, strict=True))

    def _run(self, batch: Sequence[Window]) -> Vectors:
        longest = max(len(window.ids) for window in batch)
        ids = np.zeros((len(batch), longest), np.int32)
        averaging = np.zeros((len(batch), 1, longest), np.float32)
        lengths = np.array([len(window.ids) for window in batch], np.int32)
        for row, window in enumerate(batch):
            ids[row, : lengths[row]] = window.ids
            averaging[row, 0, : lengths[row]] = 1 / lengths[row]
        feed = {"input_ids": ids, "lengths": lengths, "averaging": averaging}
        vectors: Vectors = self._session.run(None, feed)[0]
        return vectors


def _open_session(file: Path) -> onnxruntime.InferenceSession:
    import onnxruntime

    onnxruntime.disable_telemetry_events()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Every batch has another shape, so a memory plan per shape would only pile up.
    options.enable_mem_pattern = False
    try:
        return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    except Exception as exc:  # onnxruntime's own exceptions share no other base
        raise ModelError(f"{file} cannot be loaded: {exc}; remove it and it is made anew") from exc
