"""The MiniLM that is measured: the real one where its weights are at hand, else random weights of its shape."""

from __future__ import annotations

import importlib.util
import json
import os
from pathlib import Path
from typing import Any

from benchmarks.gpu.options import CARRIED, Options
from benchmarks.gpu.report import Missing
from benchmarks.gpu.texts import words

NAME = "all-minilm-l6-v2"
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
WINDOW = 256
SHAPE: dict[str, Any] = {
    "vocab_size": 30522,
    "hidden_size": 384,
    "num_hidden_layers": 6,
    "num_attention_heads": 12,
    "intermediate_size": 1536,
    "max_position_embeddings": 512,
}


def embedder_folder(options: Options) -> tuple[Path, str]:
    """The folder, and what it holds, for the page. Raises `Missing`: the named one is not there, or what runs it."""
    if importlib.util.find_spec("sentence_transformers") is None:
        raise Missing("sentence-transformers is not installed")
    if options.embedder:
        if not (options.embedder / "model.safetensors").is_file():
            raise Missing(f"{options.embedder} holds no model.safetensors (--embedder)")
        return options.embedder.resolve(), "the weights that --embedder names"
    cache = Path(os.environ.get("LECTERN_CACHE") or Path.home() / ".cache" / "lectern")
    for folder, what in ((CARRIED / NAME, "MiniLM, carried as fp16"), (cache / "models" / NAME, "MiniLM, cached")):
        if (folder / "model.safetensors").is_file():
            return folder, what
    folder = options.scratch / "random-minilm"
    if not folder.exists():
        _make_random(folder)
    return folder, "random weights of MiniLM's shape: speed and memory hold, the parity says less"


def _make_random(folder: Path) -> None:
    """A sentence-transformers folder; its vocabulary is the words of the texts, so that a word is about a token."""
    import torch
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    (folder / "1_Pooling").mkdir(parents=True)
    BertModel(BertConfig(**SHAPE), add_pooling_layer=True).save_pretrained(folder)
    _tokenizer().save(str(folder / "tokenizer.json"))
    kinds = (("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize"))
    modules = [
        {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for i, (path, kind) in enumerate(kinds)
    ]
    pooling = {"word_embedding_dimension": SHAPE["hidden_size"], "pooling_mode_mean_tokens": True}
    names = {"cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]", "unk_token": "[UNK]"}
    contents: dict[str, object] = {
        "modules.json": modules,
        "1_Pooling/config.json": pooling,
        "sentence_bert_config.json": {"max_seq_length": WINDOW, "do_lower_case": False},
        "tokenizer_config.json": {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": WINDOW, **names},
    }
    for path, content in contents.items():
        (folder / path).write_text(json.dumps(content), encoding="utf-8")


def _tokenizer() -> Any:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    normalizer = normalizers.BertNormalizer()
    texts = normalizer.normalize_str(" ".join(words()))
    pieces = [piece for piece, _ in pre_tokenizers.BertPreTokenizer().pre_tokenize_str(texts)]
    vocabulary = {token: i for i, token in enumerate(dict.fromkeys((*SPECIAL, *pieces)))}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    ends = [("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])]
    tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=ends)
    tokenizer.add_special_tokens(list(SPECIAL))
    return tokenizer
