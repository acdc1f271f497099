"""One's own checkpoints and LoRA adapters, read from the disk as far as planning needs them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from models.catalog import Entry, Shape
from models.errors import BadCheckpoint
from models.planning.gguf import read_gguf

_MODELOPT = {"FP8": "fp8", "NVFP4": "nvfp4", "W4A16_AWQ": "int4-awq"}
_LLM_COMPRESSOR_FP8 = ("channel", "block")
_DTYPES = {"bfloat16": "bf16", "float16": "fp16"}


@dataclass(frozen=True)
class Adapter:
    """A LoRA adapter: `rank`, and the names of the projections it changes ("q_proj", …; "all-linear" is all)."""

    path: Path
    rank: int
    targets: tuple[str, ...]

    def bytes_for(self, shape: Shape) -> int:
        """In 16 bits: for each projection of each layer a matrix (rank × in) and one (out × rank)."""
        sizes = _projections(shape)
        chosen = sizes.values() if "all-linear" in self.targets else [sizes[name] for name in self.targets]
        return 2 * self.rank * shape.layers * sum(chosen)


def read_checkpoint(path: Path) -> Entry:
    """A folder of safetensors as trtllm-serve takes it, or a GGUF file, as an entry like those of the catalog; its name
    is the path. Raises `BadCheckpoint` that says what is missing or not understood."""
    if path.is_file() and path.suffix.lower() == ".gguf":
        facts = read_gguf(path)
        return _entry(path, "llama.cpp", facts.precision, path.stat().st_size, facts.shape, facts.context_tokens)
    config = _json(path / "config.json")
    weights = sum(file.stat().st_size for file in path.glob("*.safetensors"))
    if not weights:
        raise BadCheckpoint(f"{path} has no *.safetensors; give the folder of a checkpoint, or a GGUF file")
    context = _number(config, "max_position_embeddings", path)
    return _entry(path, "tensorrt-llm", _precision(config, path), weights, _shape(config, path), context)


def read_adapter(path: Path) -> Adapter:
    """The folder of a LoRA adapter as PEFT writes it. Raises `BadCheckpoint`."""
    config = _json(path / "adapter_config.json")
    targets = config.get("target_modules")
    names = (targets,) if isinstance(targets, str) else tuple(map(str, targets)) if isinstance(targets, list) else ()
    known = {"all-linear", *_PROJECTION_NAMES}
    if not names or set(names) - known:
        raise BadCheckpoint(f"{path} changes {targets!r}; an adapter here may change {', '.join(sorted(known))}")
    return Adapter(path, _number(config, "r", path), names)


_PROJECTION_NAMES = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


def _projections(shape: Shape) -> dict[str, int]:
    """Inputs and outputs together of each projection."""
    queries, keys = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
    attention = [shape.hidden_size + size for size in (queries, keys, keys, queries)]
    return dict(zip(_PROJECTION_NAMES, attention + [shape.hidden_size + shape.intermediate_size] * 3, strict=True))


def _shape(config: Mapping[str, object], path: Path) -> Shape:
    hidden, heads = _number(config, "hidden_size", path), _number(config, "num_attention_heads", path)
    return Shape.counted(
        layers=_number(config, "num_hidden_layers", path),
        hidden_size=hidden,
        intermediate_size=_number(config, "intermediate_size", path),
        heads=heads,
        kv_heads=_number(config, "num_key_value_heads", path, heads),
        head_dim=_number(config, "head_dim", path, hidden // heads),
        vocabulary=_number(config, "vocab_size", path),
    )


def _precision(config: Mapping[str, object], path: Path) -> str:
    """By Model Optimizer's own file or section, else by llm-compressor's section, else by the type of the numbers."""
    own = path / "hf_quant_config.json"
    quantized = _json(own).get("quantization") if own.exists() else config.get("quantization_config")
    if not isinstance(quantized, Mapping):
        dtype = str(config.get("torch_dtype", config.get("dtype")))
        if dtype in _DTYPES:
            return _DTYPES[dtype]
        raise BadCheckpoint(f"{path} is in {dtype}; save it in bfloat16 or float16")
    if (algorithm := quantized.get("quant_algo")) in _MODELOPT:
        return _MODELOPT[str(algorithm)]
    if quantized.get("quant_method") == "compressed-tensors" and _weights_strategy(quantized) in _LLM_COMPRESSOR_FP8:
        return "fp8"
    how = algorithm or quantized.get("quant_method")
    raise BadCheckpoint(
        f"{path} is quantized by {how}, which trtllm-serve does not read; quantize it with NVIDIA's Model Optimizer to "
        f"{', '.join(_MODELOPT)}"
    )


def _weights_strategy(quantized: Mapping[str, object]) -> object:
    """llm-compressor's way of scaling 8-bit weights; None for weights of another size."""
    groups = quantized.get("config_groups")
    group = groups.get("group_0") if isinstance(groups, Mapping) else None
    weights = group.get("weights") if isinstance(group, Mapping) else None
    return weights.get("strategy") if isinstance(weights, Mapping) and weights.get("num_bits") == 8 else None


def _entry(path: Path, backend: str, precision: str, weights: int, shape: Shape, context_tokens: int) -> Entry:
    return Entry(
        name=str(path),
        kind="llm",
        backend="llama.cpp" if backend == "llama.cpp" else "tensorrt-llm",
        architecture="one's own",
        precision=precision,
        licence="as its publisher says",
        attribution=path.name,
        summary="a checkpoint on this machine",
        family=str(path),
        weights_bytes=weights,
        shape=shape,
        context_tokens=context_tokens,
    )


def _json(file: Path) -> Mapping[str, object]:
    try:
        content = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as exc:
        raise BadCheckpoint(f"{file} cannot be read: {exc}") from exc
    if not isinstance(content, dict):
        raise BadCheckpoint(f"{file} holds no JSON object")
    return content


def _number(config: Mapping[str, object], name: str, path: Path, default: int | None = None) -> int:
    value = config.get(name, default)
    value = default if value is None else value
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise BadCheckpoint(f"{path} has no usable {name} in its configuration: {value!r}")
    return value
