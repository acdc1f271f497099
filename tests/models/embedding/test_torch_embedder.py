"""The embedder of the GPU on any model of sentence-transformers, and on a device that has not memory enough."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch

from models.device_lock import DeviceLock
from models.embedding import torch_embedder
from models.embedding.onnx_embedder import OnnxEmbedder
from models.embedding.torch_embedder import TorchEmbedder
from models.embedding.torch_models import choose_precision
from models.errors import ModelError

TEXTS = ["The lamp is lit before sunset.", "A broken lens.", "x", "Employees accrue vacation from their first day."]
LONG = " ".join(f"word{number % 97}" for number in range(200))


class NotingLock(DeviceLock):
    """Notes who took it."""

    def __init__(self) -> None:
        super().__init__()
        self.taken: list[str] = []

    @contextmanager
    def query(self) -> Iterator[None]:
        with super().query():
            self.taken.append("query")
            yield

    @contextmanager
    def ingest(self) -> Iterator[None]:
        with super().ingest():
            self.taken.append("ingest")
            yield


@pytest.mark.parametrize(
    ("pooling", "dense"), [("cls", 0), ("mean", 16), ("lasttoken", 0), ("weightedmean", 0)], ids=str
)
def test_any_folder_gives_the_vectors_of_sentence_transformers(make_embedder_folder, pooling: str, dense: int) -> None:
    from sentence_transformers import SentenceTransformer

    folder: Path = make_embedder_folder(pooling=pooling, dense=dense)
    expected = SentenceTransformer(str(folder), device="cpu").encode(TEXTS, normalize_embeddings=True)
    embedder = TorchEmbedder(folder, "cpu", precision="fp32")
    np.testing.assert_allclose(embedder.embed_passages(TEXTS), expected, atol=1e-5)
    assert embedder.dimension == (dense or 32)
    assert embedder.window_tokens == 62
    assert f"-float/{pooling}/w62" in embedder.identity


def test_the_prompts_of_a_model_stand_before_questions_and_passages(make_embedder_folder) -> None:
    from sentence_transformers import SentenceTransformer

    folder: Path = make_embedder_folder(prompts={"query": "query: ", "passage": "a passage: "})
    whole = SentenceTransformer(str(folder), device="cpu")
    embedder = TorchEmbedder(folder, "cpu", precision="fp32")
    for embed, prompt in ((embedder.embed_queries, "query: "), (embedder.embed_passages, "a passage: ")):
        expected = whole.encode(TEXTS, prompt=prompt, normalize_embeddings=True)
        np.testing.assert_allclose(embed(TEXTS), expected, atol=1e-5)
    assert embedder.window_tokens == 62 - len(["a", "passage", ":"])
    assert [text for _, text in embedder.token_offsets("sunset")] == [6]


def test_every_window_of_a_long_text_has_the_prompt_and_fits(make_embedder_folder) -> None:
    embedder = TorchEmbedder(make_embedder_folder(prompts={"document": "a passage: "}), "cpu", precision="fp32")
    windows = embedder._tokenizer.windows([LONG], "passage")
    prompts = {window.ids[1:4] for window in windows}
    assert len(windows) > 1
    assert len(prompts) == 1
    assert max(len(window.ids) for window in windows) <= 64
    assert sum(window.weight for window in windows) == len(embedder.token_offsets(LONG))


def test_half_precision_is_close_and_has_the_same_identity(minilm: Path) -> None:
    exact = TorchEmbedder(minilm, "cpu", precision="fp32")
    half = TorchEmbedder(minilm, "cpu", precision="bf16")
    assert (half.embed_passages(TEXTS) * exact.embed_passages(TEXTS)).sum(axis=1).min() > 0.999
    assert half.identity == exact.identity == OnnxEmbedder(minilm, precision="fp32").identity
    assert half.identity != OnnxEmbedder(minilm, precision="int8").identity


def test_out_of_memory_makes_batches_smaller_and_changes_no_vector(
    minilm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    freed: list[int] = []
    monkeypatch.setattr(torch_embedder, "empty_cache", lambda: freed.append(1))
    embedder = TorchEmbedder(minilm, "cpu", precision="fp32")
    expected = embedder.embed_passages([LONG, *TEXTS * 20])
    run, sizes = embedder._vectors, []

    def small_memory(features: dict[str, torch.Tensor]) -> np.ndarray:
        sizes.append(features["input_ids"].numel())
        if sizes[-1] > 400:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return run(features)

    monkeypatch.setattr(embedder, "_vectors", small_memory)
    np.testing.assert_allclose(embedder.embed_passages([LONG, *TEXTS * 20]), expected, atol=2e-6)
    assert freed
    sizes.clear()
    embedder.embed_passages(TEXTS * 20)
    assert max(sizes) <= 400, "it has learned"


def test_a_device_that_takes_no_text_at_all_is_an_error_that_says_what_to_do(
    minilm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedder = TorchEmbedder(minilm, "cpu", precision="fp32")

    def no_memory(_features: dict[str, torch.Tensor]) -> np.ndarray:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(embedder, "_vectors", no_memory)
    with pytest.raises(ModelError, match="LECTERN_DEVICE=cpu"):
        embedder.embed_queries(["When is the lamp lit?"])
    with embedder._lock.query():
        pass  # nobody holds it any more


def test_questions_go_before_the_batches_of_an_ingest(minilm: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = NotingLock()
    embedder = TorchEmbedder(minilm, "cpu", precision="fp32", lock=lock)
    ingest = embedder.for_ingest()
    assert (ingest.identity, ingest.dimension) == (embedder.identity, embedder.dimension)
    np.testing.assert_allclose(ingest.embed_passages(TEXTS), embedder.embed_passages(TEXTS), atol=2e-6)
    lock.taken.clear()
    began, run = threading.Event(), ingest._vectors

    def slow(features: dict[str, torch.Tensor]) -> np.ndarray:
        began.set()
        for _ in range(1000):
            if lock._queries or lock.taken.count("query"):  # the question has come
                break
            threading.Event().wait(0.005)
        return run(features)

    monkeypatch.setattr(ingest, "_vectors", slow)
    thread = threading.Thread(target=ingest.embed_passages, args=([LONG] * 8,))
    thread.start()
    assert began.wait(10)
    embedder.embed_queries(["When?"])
    thread.join(30)
    assert lock.taken[:2] == ["ingest", "query"]
    assert lock.taken.count("ingest") > 2, "a long ingest is cut into batches, and the question waited for one"


def test_what_one_ingest_learnt_of_the_pace_the_next_one_knows(minilm: Path) -> None:
    embedder = TorchEmbedder(minilm, "cpu", precision="fp32")
    first = embedder.for_ingest()._budget
    first.took(first.tokens, 8 * torch_embedder.INGEST_S)
    learnt = first.tokens
    assert learnt < TorchEmbedder(minilm, "cpu", precision="fp32").for_ingest()._budget.tokens
    assert embedder.for_ingest()._budget.tokens == learnt
    assert embedder._budget.tokens > learnt, "questions have a budget of their own"


def test_a_folder_without_safetensors_is_refused(minilm: Path, tmp_path: Path) -> None:
    """Other weights are pickles, and those run code as they are read."""
    import shutil

    folder = tmp_path / "pickled"
    shutil.copytree(minilm, folder, ignore=shutil.ignore_patterns("onnx"))
    torch.save({}, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="cannot be loaded on cpu"):
        TorchEmbedder(folder, "cpu", precision="fp32")


@pytest.mark.parametrize(
    ("capability", "stored", "precision"),
    [
        (None, "float32", "fp32"),
        (None, "bfloat16", "fp32"),
        ((6, 1), "float32", "fp32"),
        ((7, 5), "float32", "fp16"),
        ((7, 5), "float16", "fp16"),
        ((7, 5), "bfloat16", "fp32"),
        ((8, 6), "bfloat16", "bf16"),
        ((9, 0), "float32", "fp16"),
        ((12, 0), "bfloat16", "bf16"),
    ],
)
def test_precision_follows_the_gpu_and_the_model(
    capability: tuple[int, int] | None, stored: str, precision: str
) -> None:
    chosen, reason = choose_precision(capability, stored)
    assert chosen == precision
    assert reason
