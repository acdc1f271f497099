"""The header of a GGUF file: the model's shape, precision and context, without reading the weights.

The format (llama.cpp's `gguf` specification, version 2 and 3, little-endian): "GGUF", version, count of tensors, count
of key-value pairs; then each pair as a string, the number of a type, and a value. A string is its length and its bytes,
an array the number of its type, its length and its values.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from models.catalog import Shape
from models.errors import BadCheckpoint

_NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
_MOST_PAIRS = 10_000
_MOST_LAYERS = 10_000

_FILE_TYPES = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K", 11: "Q3_K_S", 12: "Q3_K_M",
    13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S", 17: "Q5_K_M", 18: "Q6_K", 32: "BF16",
}  # fmt: skip
"""llama.cpp's `llama_ftype`; the rarer ones are told by their number."""


@dataclass(frozen=True)
class GgufFacts:
    precision: str
    shape: Shape
    context_tokens: int


def read_gguf(file: Path) -> GgufFacts:
    """Raises `BadCheckpoint` when it is no GGUF file, is cut off, or lacks what planning needs."""
    try:
        with file.open("rb") as stream:
            pairs = _pairs(stream)
        return _facts(pairs)
    except (OSError, struct.error, ValueError, KeyError, TypeError, ArithmeticError, RecursionError) as exc:
        raise BadCheckpoint(f"{file} is no GGUF file that can be read: {exc}") from exc


def _facts(pairs: dict[str, int | float | str]) -> GgufFacts:
    kind = pairs["general.architecture"]
    hidden, heads = int(pairs[f"{kind}.embedding_length"]), int(pairs[f"{kind}.attention.head_count"])
    shape = Shape.counted(
        layers=int(pairs[f"{kind}.block_count"]),
        hidden_size=hidden,
        intermediate_size=int(pairs[f"{kind}.feed_forward_length"]),
        heads=heads,
        kv_heads=int(pairs.get(f"{kind}.attention.head_count_kv", heads)),
        head_dim=int(pairs.get(f"{kind}.attention.key_length", hidden // heads)),
        vocabulary=int(pairs["tokenizer.ggml.tokens"]),
    )
    file_type = int(pairs.get("general.file_type", -1))
    return GgufFacts(_FILE_TYPES.get(file_type, f"type {file_type}"), shape, int(pairs[f"{kind}.context_length"]))


def _pairs(stream: BinaryIO) -> dict[str, int | float | str]:
    """Every key with its value. Of an array of numbers it is the largest: models whose layers differ have one for each,
    and the largest is enough memory for all. Of the tokenizer's, and of any other array, it is the length."""
    if stream.read(4) != b"GGUF":
        raise ValueError("it does not begin with GGUF")
    version, _, count = _unpack(stream, "IQQ")
    if version not in (2, 3) or count > _MOST_PAIRS:
        raise ValueError(f"version {version} with {count} pairs is not understood")
    pairs: dict[str, int | float | str] = {}
    for _ in range(count):
        key = _string(stream)
        kind = _unpack(stream, "I")[0]
        counted = key.startswith("tokenizer.")
        pairs[key] = _array(stream, counted) if kind == _ARRAY else _value(stream, kind)
    return pairs


def _value(stream: BinaryIO, kind: int) -> int | float | str:
    if kind == _STRING:
        return _string(stream)
    if kind == _ARRAY:
        return _array(stream, counted=True)
    if kind not in _NUMBERS:
        raise ValueError(f"a value has the unknown type {kind}")
    number: int | float = _unpack(stream, _NUMBERS[kind])[0]
    return number


def _array(stream: BinaryIO, counted: bool) -> int | float:
    """The largest number; the length if it is to be `counted`, has no numbers, or is longer than a model has layers."""
    kind, length = _unpack(stream, "IQ")
    if kind in _NUMBERS and not counted and 0 < length <= _MOST_LAYERS:
        return max(_unpack(stream, _NUMBERS[kind] * length))
    if kind in _NUMBERS:
        stream.seek(length * struct.calcsize("<" + _NUMBERS[kind]), 1)
    else:
        for _ in range(length):
            _value(stream, kind)
    return int(length)


def _string(stream: BinaryIO) -> str:
    length = _unpack(stream, "Q")[0]
    content = stream.read(length) if length < 1 << 24 else b""
    if len(content) != length:
        raise ValueError("a text in it is cut off")
    return content.decode("utf-8", "replace")


def _unpack(stream: BinaryIO, layout: str) -> tuple[int, ...]:
    return struct.unpack("<" + layout, stream.read(struct.calcsize("<" + layout)))
