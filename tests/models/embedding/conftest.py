"""Tiny random models, as sentence-transformers keeps them; none that is real is in any package registry."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from models.catalog import load_catalog
from models.download import ensure

MakeFolder = Callable[..., Path]


@pytest.fixture(scope="session")
def minilm(cache: Path) -> Path:
    return ensure(load_catalog().entry("all-minilm-l6-v2"), cache, fetch=False)


@pytest.fixture(autouse=True)
def one_torch_thread() -> Iterator[None]:
    """Torch's threads spin while they wait for each other: on a busy machine one is many times faster."""
    import torch

    usual = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(usual)


@pytest.fixture
def make_embedder_folder(minilm: Path, tmp_path: Path) -> MakeFolder:
    """A tiny BERT with MiniLM's tokenizer, by its pooling, its prompts, and a layer after the pooling."""

    def make(*, pooling: str = "cls", prompts: dict[str, str] | None = None, dense: int = 0) -> Path:
        import torch
        from sentence_transformers import SentenceTransformer
        from sentence_transformers.sentence_transformer.modules import Dense, Pooling, Transformer
        from transformers import BertModel

        torch.manual_seed(7)
        source = tmp_path / "source"
        BertModel(_config(labels=0)).save_pretrained(source)
        _copy_tokenizer(minilm, source)
        modules = [Transformer(str(source), max_seq_length=64), Pooling(32, pooling)]
        if dense:
            modules.append(Dense(32, dense))
        folder = tmp_path / "tiny-embedder"
        SentenceTransformer(modules=modules, prompts=prompts, device="cpu").save(str(folder))
        return folder

    return make


@pytest.fixture
def make_reranker_folder(minilm: Path, tmp_path: Path) -> MakeFolder:
    """A tiny cross-encoder with MiniLM's tokenizer."""

    def make(*, labels: int = 1, positions: int = 64) -> Path:
        import torch
        from transformers import BertForSequenceClassification

        torch.manual_seed(7)
        folder = tmp_path / f"tiny-reranker-{labels}-{positions}"
        BertForSequenceClassification(_config(labels=labels, positions=positions)).save_pretrained(folder)
        _copy_tokenizer(minilm, folder, positions)
        return folder

    return make


def _config(*, labels: int, positions: int = 64) -> object:
    from transformers import BertConfig

    return BertConfig(
        vocab_size=30522,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=positions,
        num_labels=labels or 2,
        initializer_range=0.5,  # so that other texts have clearly other vectors
    )


def _copy_tokenizer(source: Path, target: Path, longest: int = 64) -> None:
    target.mkdir(exist_ok=True)
    shutil.copy(source / "tokenizer.json", target)
    config = json.loads((source / "tokenizer_config.json").read_text("utf-8"))
    (target / "tokenizer_config.json").write_text(json.dumps({**config, "model_max_length": longest}))
