"""Which weights a folder holds, and what the vectors made of them are called."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from models.errors import ModelError
from models.verification import known_sha256

_FLOAT = "-float/"


def weights_stamp(folder: Path) -> str:
    """Twelve digits of the hash of the weights; of all their files together where there are several. Raises
    `ModelError`."""
    try:
        files = sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*.safetensors"))
        hashes = [known_sha256(folder, file) for file in files]
    except OSError as exc:
        raise ModelError(f"the weights in {folder} cannot be read: {exc}; pull the model again") from exc
    if not hashes:
        raise ModelError(f"{folder} holds no weights (*.safetensors); pull the model again")
    together = hashes[0] if len(hashes) == 1 else hashlib.sha256("\n".join(hashes).encode()).hexdigest()
    return together[:12]


def float_identity(folder: Path, pooling: str, window_tokens: int) -> str:
    """The identity of every embedder that computes in floating point, fp16, bf16 or fp32, on whatever library and
    device: their vectors differ by less than the fp16 rounding of the database, or, in bf16, by about as much, so one
    may go on where another began."""
    return f"{folder.name}@{weights_stamp(folder)}{_FLOAT}{pooling}/w{window_tokens}"


def is_float(identity: str) -> bool:
    """Whether an embedder of that identity computes in floating point."""
    return _FLOAT in identity


def stored_precision(folder: Path) -> str:
    """The kind of number that the model was published in, as its config.json says: "bfloat16", "float32", …"""
    try:
        config = json.loads((folder / "config.json").read_text("utf-8"))
    except (OSError, ValueError) as exc:
        raise ModelError(f"{folder / 'config.json'} cannot be read: {exc}; pull the model again") from exc
    return str(config.get("dtype") or config.get("torch_dtype") or "float32")
