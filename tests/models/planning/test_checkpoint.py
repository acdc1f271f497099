from __future__ import annotations

import json
import struct
from pathlib import Path

import platformdirs
import pytest

from models.catalog import load_catalog
from models.errors import BadCheckpoint
from models.planning.cards import match
from models.planning.checkpoint import read_adapter, read_checkpoint
from models.planning.choice import choose_profile
from models.planning.wishes import Wishes

CONFIG = {
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "vocab_size": 128256,
    "max_position_embeddings": 131072,
    "torch_dtype": "bfloat16",
}


def checkpoint(folder: Path, config: dict[str, object] | None = None, hf_quant: object = None) -> Path:
    (folder / "config.json").write_text(json.dumps(CONFIG if config is None else config))
    if hf_quant is not None:
        (folder / "hf_quant_config.json").write_text(json.dumps({"quantization": hf_quant}))
    for name in ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"):
        (folder / name).write_bytes(bytes(500))
    return folder


def test_a_folder_is_read_as_an_entry_of_the_catalog_would_be(tmp_path: Path) -> None:
    entry = read_checkpoint(checkpoint(tmp_path))
    assert (entry.name, entry.backend, entry.precision) == (str(tmp_path), "tensorrt-llm", "bf16")
    assert (entry.total_bytes, entry.context_tokens) == (1000, 131072)
    assert entry.shape is not None
    assert (entry.shape.head_dim, entry.shape.kv_heads) == (128, 8)
    assert abs(entry.shape.parameters - 8.03e9) < 0.6e9  # the embedding is counted once


@pytest.mark.parametrize(("algorithm", "precision"), [("FP8", "fp8"), ("NVFP4", "nvfp4"), ("W4A16_AWQ", "int4-awq")])
def test_the_precision_is_what_model_optimizer_wrote(tmp_path: Path, algorithm: str, precision: str) -> None:
    assert read_checkpoint(checkpoint(tmp_path, hf_quant={"quant_algo": algorithm})).precision == precision


def test_the_quantization_may_stand_in_the_configuration_itself(tmp_path: Path) -> None:
    in_config = {**CONFIG, "quantization_config": {"quant_method": "modelopt", "quant_algo": "NVFP4"}}
    assert read_checkpoint(checkpoint(tmp_path, in_config)).precision == "nvfp4"
    weights = {"weights": {"num_bits": 8, "strategy": "channel"}}
    compressed = {"quant_method": "compressed-tensors", "config_groups": {"group_0": weights}}
    assert read_checkpoint(checkpoint(tmp_path, {**CONFIG, "quantization_config": compressed})).precision == "fp8"


@pytest.mark.parametrize(
    "quantization",
    [
        {"quant_method": "awq", "bits": 4},
        {"quant_method": "gptq", "bits": 4},
        {
            "quant_method": "compressed-tensors",
            "config_groups": {"group_0": {"weights": {"num_bits": 8, "strategy": "tensor"}}},
        },
    ],
)
def test_a_quantization_that_trtllm_serve_cannot_read_is_refused_with_the_way_out(
    tmp_path: Path, quantization: dict[str, object]
) -> None:
    method = str(quantization["quant_method"])
    with pytest.raises(BadCheckpoint, match=f"quantized by {method}.*Model Optimizer"):
        read_checkpoint(checkpoint(tmp_path, {**CONFIG, "quantization_config": quantization}))


def test_what_is_missing_or_wrong_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadCheckpoint, match=r"config\.json cannot be read"):
        read_checkpoint(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    with pytest.raises(BadCheckpoint, match=r"no \*\.safetensors"):
        read_checkpoint(tmp_path)
    with pytest.raises(BadCheckpoint, match=r"num_hidden_layers.*'many'"):
        read_checkpoint(checkpoint(tmp_path, {**CONFIG, "num_hidden_layers": "many"}))
    with pytest.raises(BadCheckpoint, match="float32; save it in bfloat16"):
        read_checkpoint(checkpoint(tmp_path, {**CONFIG, "torch_dtype": "float32"}))


def test_ones_own_checkpoint_is_planned_like_any_model(tmp_path: Path) -> None:
    entry = read_checkpoint(checkpoint(tmp_path, hf_quant={"quant_algo": "FP8"}))
    profile, _ = choose_profile(match("4090", cores=8, memory_bytes=0)[0], Wishes((entry,)))
    assert (profile.name, profile.model, profile.fit) == ("trtllm-fp8-tp1", str(tmp_path), "runnable")


def test_a_lora_adapter_has_its_rank_and_projections(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text(json.dumps({"r": 8, "target_modules": ["q_proj", "down_proj"]}))
    adapter = read_adapter(tmp_path)
    shape = load_catalog().entry("llama-3.1-8b-instruct-bf16").shape
    assert shape is not None
    assert adapter.bytes_for(shape) == 2 * 8 * 32 * ((4096 + 4096) + (14336 + 4096))


@pytest.mark.parametrize("targets", [["lm_head"], [], None])
def test_an_adapter_that_changes_what_no_engine_takes_is_refused(tmp_path: Path, targets: object) -> None:
    (tmp_path / "adapter_config.json").write_text(json.dumps({"r": 8, "target_modules": targets}))
    with pytest.raises(BadCheckpoint, match="may change all-linear, down_proj"):
        read_adapter(tmp_path)


@pytest.mark.parametrize("name", ["smollm2-135m-instruct", "qwen2.5-coder-1.5b-instruct"])
def test_the_header_of_a_real_gguf_file_says_what_the_catalog_says(name: str) -> None:
    entry = load_catalog().entry(name)
    file = Path(platformdirs.user_cache_dir("lectern")) / "models" / name / entry.weights.path
    if not file.exists():
        pytest.skip(f"{file} is not in the cache; fetch it with: python app.py models pull {name}")
    read = read_checkpoint(file)
    assert (read.backend, read.precision, read.context_tokens) == ("llama.cpp", entry.precision, entry.context_tokens)
    assert read.total_bytes == entry.total_bytes
    assert read.shape is not None
    assert entry.shape is not None
    assert (read.shape.layers, read.shape.kv_heads, read.shape.head_dim) == (
        entry.shape.layers,
        entry.shape.kv_heads,
        entry.shape.head_dim,
    )
    assert read.shape.vocabulary == entry.shape.vocabulary
    assert abs(read.shape.parameters / entry.shape.parameters - 1) < 0.01


def gguf(pairs: list[bytes], magic: bytes = b"GGUF", version: int = 3) -> bytes:
    return magic + struct.pack("<IQQ", version, 0, len(pairs)) + b"".join(pairs)


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value.encode())) + value.encode()


def number(key: str, value: int) -> bytes:
    return text(key) + struct.pack("<II", 4, value)


PAIRS = [
    text("general.architecture") + struct.pack("<I", 8) + text("llama"),
    text("tokenizer.ggml.tokens") + struct.pack("<IIQ", 9, 8, 2) + text("a") + text("b"),
    text("llama.rope") + struct.pack("<IIQ", 9, 6, 3) + bytes(12),
    text("llama.eps") + struct.pack("<If", 6, 1e-5),
    number("general.file_type", 15),
    number("llama.embedding_length", 64),
    number("llama.attention.head_count", 4),
    number("llama.attention.head_count_kv", 2),
    number("llama.block_count", 3),
    number("llama.feed_forward_length", 128),
    number("llama.context_length", 2048),
]


def test_the_header_of_a_gguf_file_is_read_past_arrays_of_any_type(tmp_path: Path) -> None:
    file = tmp_path / "a.gguf"
    file.write_bytes(gguf(PAIRS) + b"weights")
    entry = read_checkpoint(file)
    assert (entry.precision, entry.context_tokens) == ("Q4_K_M", 2048)
    assert entry.shape is not None
    assert (entry.shape.layers, entry.shape.head_dim, entry.shape.vocabulary) == (3, 16, 2)


def replaced(key: str, pair: bytes) -> list[bytes]:
    return [pair if each.startswith(text(key)) else each for each in PAIRS]


def test_where_layers_differ_the_largest_is_planned_for(tmp_path: Path) -> None:
    file = tmp_path / "a.gguf"
    numbers = struct.pack("<IIQ3i", 9, 5, 3, 1, 4, 2)
    file.write_bytes(gguf(replaced("llama.attention.head_count_kv", text("llama.attention.head_count_kv") + numbers)))
    shape = read_checkpoint(file).shape
    assert shape is not None
    assert shape.kv_heads == 4


@pytest.mark.parametrize(
    "content",
    [
        b"",
        gguf(replaced("llama.attention.head_count", number("llama.attention.head_count", 0))),
        gguf(replaced("llama.block_count", text("llama.block_count") + struct.pack("<If", 6, float("inf")))),
        gguf(replaced("llama.block_count", text("llama.block_count") + struct.pack("<IIQ3i", 9, 5, 3, 1, 4, 2)))[:-60],
        gguf(PAIRS, magic=b"GGML"),
        gguf(PAIRS, version=1),
        gguf(PAIRS)[:200],
        gguf(PAIRS[:-1]),
        gguf([text("a") + struct.pack("<I", 99)]),
        gguf([struct.pack("<Q", 1 << 60)]),
        b"GGUF" + struct.pack("<IQQ", 3, 0, 1 << 40),
    ],
)
def test_a_file_that_is_no_whole_gguf_header_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "a.gguf"
    file.write_bytes(content)
    with pytest.raises(BadCheckpoint, match=r"a\.gguf is no GGUF file"):
        read_checkpoint(file)
