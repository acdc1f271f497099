"""A folder of safetensors to an ONNX file beside it, once: derived, stamped with its source, never half-written."""

from __future__ import annotations

import json
import logging
import os
import time
from pathlib import Path

from models.embedding.onnx_graph import BertShape, Precision, encoder_model
from models.errors import ModelError
from models.verification import known_sha256

CONVERTER_VERSION = 1
"""Raise it whenever the graph changes: older files are then made anew, and the embedder's identity changes with it."""

WEIGHTS_NAME = "model.safetensors"

logger = logging.getLogger(__name__)


def stamp_of(folder: Path, precision: Precision) -> str:
    """What an ONNX file is made of: the weights' hash, the precision, the converter. Raises `ModelError`."""
    try:
        revision = known_sha256(folder, WEIGHTS_NAME)[:12]
    except OSError as exc:
        raise ModelError(f"{folder / WEIGHTS_NAME} cannot be read: {exc}; pull the model again") from exc
    return f"{revision}-{precision}-v{CONVERTER_VERSION}"


def is_convertible(folder: Path) -> bool:
    """Whether the folder holds what can become an ONNX file here: a BERT encoder with mean pooling."""
    try:
        _read_shape(folder)
    except (OSError, KeyError, ValueError):
        return False
    return True


def onnx_file(folder: Path, precision: Precision) -> Path:
    """The ONNX file of the weights in `folder`, made now if it is not there yet (about a second).

    Raises `ModelError` when the folder holds no BERT encoder with mean pooling, or cannot be written.
    """
    stamp = stamp_of(folder, precision)
    file = folder / "onnx" / f"{stamp}.onnx"
    if not file.is_file():
        started = time.monotonic()
        _convert(folder, precision, stamp, file)
        logger.info("converted %s to %s in %d ms", folder.name, stamp, int(1000 * (time.monotonic() - started)))
    return file


def _convert(folder: Path, precision: Precision, stamp: str, file: Path) -> None:
    try:
        from safetensors.numpy import load_file

        shape = _read_shape(folder)
        model = encoder_model(load_file(folder / WEIGHTS_NAME), shape, precision, stamp)
    except (OSError, KeyError, ValueError) as exc:
        raise ModelError(f"{folder} cannot be converted to ONNX: {type(exc).__name__}: {exc}") from exc
    # The name is final only when all is written; of two that convert at once, the second replaces like with like.
    temporary = file.with_suffix(f".{os.getpid()}.partial")
    try:
        file.parent.mkdir(exist_ok=True)
        temporary.write_bytes(model.SerializeToString())
        temporary.replace(file)
    except OSError as exc:
        temporary.unlink(missing_ok=True)
        raise ModelError(f"{file} cannot be written: {exc}; free space or set LECTERN_CACHE") from exc


def _read_shape(folder: Path) -> BertShape:
    modules = json.loads((folder / "modules.json").read_text("utf-8"))
    for module in modules:
        if module["type"].rpartition(".")[2] not in ("Transformer", "Pooling", "Normalize"):
            raise ValueError(f"the graph has nothing for its module {module['type']}")
    config = json.loads((folder / "config.json").read_text("utf-8"))
    pooling = json.loads((folder / "1_Pooling" / "config.json").read_text("utf-8"))
    if config["model_type"] != "bert" or config["hidden_act"] != "gelu":
        raise ValueError(f"a {config['model_type']} with {config['hidden_act']} is not a BERT encoder with gelu")
    if not (pooling.get("pooling_mode_mean_tokens") or pooling.get("pooling_mode") == "mean"):
        raise ValueError("its sentence vector is not the mean of its token vectors")
    return BertShape(
        layers=config["num_hidden_layers"],
        heads=config["num_attention_heads"],
        hidden=config["hidden_size"],
        epsilon=config["layer_norm_eps"],
    )
