"""Llamas of the catalog's shapes with random weights, in bf16 through transformers: memory and time do not ask what a
weight says. Lectern itself runs them by TensorRT-LLM, which is faster and holds its cache in blocks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from models.catalog import Entry, Shape, load_catalog


def llamas(families: tuple[str, ...], *, small: bool) -> list[tuple[str, Shape, Entry]]:
    """Name, shape, and the entry in bf16 of each family. `small` leaves two layers and few words of the first one,
    which a CPU can run."""
    found = []
    for entry in load_catalog().entries:
        if entry.family in families and entry.precision == "bf16" and entry.shape:
            found.append((entry.family, entry.shape, entry))
    found.sort(key=lambda each: each[1].parameters)
    if not small:
        return found
    return [
        (f"{name}, 2 of its layers", replace(shape, layers=2, vocabulary=8192), entry)
        for name, shape, entry in found[:1]
    ]


def random_llama(shape: Shape, device: str) -> Any:
    """A `LlamaForCausalLM`, made on the device itself, ready for inference."""
    import torch
    from transformers import AutoModelForCausalLM, LlamaConfig

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=shape.vocabulary,
        hidden_size=shape.hidden_size,
        intermediate_size=shape.intermediate_size,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        head_dim=shape.head_dim,
        max_position_embeddings=131072,
        tie_word_embeddings=_ties_embeddings(shape),
    )
    with torch.device(device):
        model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16, attn_implementation="sdpa")
    return model.eval().requires_grad_(False)


def weight_bytes(model: Any) -> int:
    """Of every parameter, a shared one counted once."""
    return sum(each.numel() * each.element_size() for each in model.parameters())


def prefill(model: Any, tokens: int, rows: int = 1) -> tuple[Any, Any]:
    """Read `rows` prompts of that many random tokens: (the KV cache, the next token of each, (rows, 1))."""
    import torch
    from transformers import DynamicCache

    ids = torch.randint(model.config.vocab_size, (rows, tokens), device=model.device)
    with torch.inference_mode():
        said = model(input_ids=ids, past_key_values=DynamicCache(), use_cache=True, logits_to_keep=1)
    return said.past_key_values, said.logits[:, -1:].argmax(dim=-1)


def decode(model: Any, cache: Any, token: Any, count: int) -> None:
    """Make that many further tokens, always the likeliest; the last one has arrived when this returns."""
    import torch

    with torch.inference_mode():
        for _ in range(count):
            token = model(input_ids=token, past_key_values=cache, use_cache=True).logits[:, -1:].argmax(dim=-1)
    token.cpu()


def cache_bytes(cache: Any) -> int:
    """What the keys and values of every layer hold."""
    tensors = (tensor for layer in cache.layers for tensor in (layer.keys, layer.values))
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def _ties_embeddings(shape: Shape) -> bool:
    """The catalog counts parameters: a model whose output layer is its input embedding has so many fewer."""
    embedding = shape.vocabulary * shape.hidden_size
    attention = shape.hidden_size * shape.head_dim * (2 * shape.heads + 2 * shape.kv_heads)
    layers = shape.layers * (attention + 3 * shape.hidden_size * shape.intermediate_size)
    return abs(shape.parameters - layers - embedding) < abs(shape.parameters - layers - 2 * embedding)
