"""What every embedder promises, over each of them with the real weights; on CUDA where there is a GPU."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from models.catalog import load_catalog
from models.download import ensure
from models.embedding.onnx_embedder import OnnxEmbedder
from models.embedding.torch_embedder import TorchEmbedder
from models.interfaces import Embedder

SENTENCES = [
    "The deductible is 1,500 dollars a year for each member.",
    "Employees accrue vacation from their first day.",
    "Der Vertrag läuft bis Ende März 2027.",
    "x",
]
LONG = " ".join(f"word{number % 97}" for number in range(300))


ON_CUDA = "torch fp16 on cuda"
KINDS = ["onnx int8", "onnx fp32", "torch fp32", "torch for ingest", pytest.param(ON_CUDA, marks=pytest.mark.gpu)]


@pytest.fixture(scope="module", params=KINDS)
def embedder(request: pytest.FixtureRequest, cache: Path) -> Iterator[Embedder]:
    folder = ensure(load_catalog().entry("all-minilm-l6-v2"), cache, fetch=False)
    if request.param.startswith("onnx"):
        yield OnnxEmbedder(folder, precision="int8" if request.param == "onnx int8" else "fp32", threads=2)
        return
    import torch

    if request.param == ON_CUDA:
        if not torch.cuda.is_available():
            pytest.skip("torch has no CUDA device here")
        yield TorchEmbedder(folder, "cuda", precision="fp16")
        return
    # Torch's threads spin while they wait for each other: on a busy machine one is many times faster.
    usual = torch.get_num_threads()
    torch.set_num_threads(1)
    opened = TorchEmbedder(folder, "cpu", precision="fp32")
    yield opened.for_ingest() if request.param == "torch for ingest" else opened
    torch.set_num_threads(usual)


@pytest.fixture
def rounding(request: pytest.FixtureRequest) -> float:
    """How much a vector may differ by what it is embedded with: fp16 sums in another order."""
    return 2e-3 if request.node.callspec.params["embedder"] == ON_CUDA else 2e-6


def test_vectors_are_unit_rows_of_float32(embedder: Embedder) -> None:
    vectors = embedder.embed_passages(SENTENCES)
    assert vectors.shape == (len(SENTENCES), embedder.dimension)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_no_texts_give_no_rows(embedder: Embedder) -> None:
    assert embedder.embed_passages([]).shape == (0, embedder.dimension)


def test_empty_and_blank_texts_have_a_vector_too(embedder: Embedder) -> None:
    vectors = embedder.embed_passages(["", " \n\t "])
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(vectors[0], vectors[1], atol=1e-6)


def test_a_text_has_the_same_vector_whatever_it_is_embedded_with(embedder: Embedder, rounding: float) -> None:
    together = embedder.embed_passages([LONG, *SENTENCES, "", LONG[:500]])
    alone = np.concatenate([embedder.embed_passages([text]) for text in [LONG, *SENTENCES, "", LONG[:500]]])
    np.testing.assert_allclose(together, alone, atol=rounding)


def test_a_query_finds_its_passage(embedder: Embedder) -> None:
    scores = embedder.embed_passages(SENTENCES) @ embedder.embed_queries(["How many days off do I get?"])[0]
    assert int(scores.argmax()) == 1


def test_every_token_of_a_long_text_takes_part(embedder: Embedder) -> None:
    tokens = len(embedder.token_offsets(LONG))
    assert tokens > 2 * embedder.window_tokens
    words = LONG.split()
    for place in (0, len(words) // 2, -1):
        changed = [*words]
        changed[place] = "volcano"
        vectors = embedder.embed_passages([LONG, " ".join(changed)])
        assert vectors[0] @ vectors[1] < 0.9999


def test_a_text_of_one_window_is_not_split(embedder: Embedder) -> None:
    words = "a " * embedder.window_tokens
    vectors = embedder.embed_passages([words, words + "volcano"])
    assert vectors[0] @ vectors[1] < 0.9999


def test_offsets_are_the_characters_of_the_tokens(embedder: Embedder) -> None:
    text = "Größe: unbelievably [SEP] 12%"
    spans = embedder.token_offsets(text)
    assert text[slice(*spans[0])].startswith("Gr")
    assert all(start < end for start, end in spans)
    assert [start for start, _ in spans] == sorted(start for start, _ in spans)
    covered = {place for start, end in spans for place in range(start, end)}
    assert covered == {place for place, character in enumerate(text) if not character.isspace()}


def test_a_marker_written_in_a_document_is_just_text(embedder: Embedder) -> None:
    vectors = embedder.embed_passages(["before [SEP] after", "before [CLS] after"])
    assert len(embedder.token_offsets("[SEP]")) > 1
    assert vectors[0] @ vectors[1] < 0.9999


def test_threads_may_share_it(embedder: Embedder, rounding: float) -> None:
    expected = embedder.embed_passages(SENTENCES)
    with ThreadPoolExecutor(4) as threads:
        for found in threads.map(embedder.embed_passages, [SENTENCES] * 12):
            np.testing.assert_allclose(found, expected, atol=rounding)


def test_the_identity_says_which_weights_and_how(embedder: Embedder) -> None:
    assert "all-minilm-l6-v2@53aa51172d14" in embedder.identity
    assert "mean" in embedder.identity
    assert embedder.dimension == 384
    assert embedder.window_tokens == 254
