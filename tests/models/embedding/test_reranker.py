"""The reranker reads all of a text, in batches that fit, and gives the scores of sentence-transformers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from models.devices import Devices
from models.embedding import reranker
from models.embedding.opening import open_reranker
from models.embedding.reranker import TorchReranker
from models.errors import ModelError

QUERY = "When is the lamp lit?"
TEXTS = ["The lamp is lit half an hour before sunset.", "A broken lens is paid for by the Board.", "x", ""]
LONG = " ".join(f"word{number % 97}" for number in range(120))


def test_scores_are_the_logits_of_sentence_transformers(make_reranker_folder) -> None:
    from sentence_transformers import CrossEncoder

    folder: Path = make_reranker_folder()
    model = CrossEncoder(str(folder), device="cpu")
    expected = model.predict([(QUERY, text) for text in TEXTS], activation_fn=torch.nn.Identity())
    scores = TorchReranker(folder, "cpu", precision="fp32").scores(QUERY, TEXTS)
    np.testing.assert_allclose(scores, expected, atol=1e-5)
    assert scores.dtype == np.float32
    assert len(set(np.round(scores, 4).tolist())) == len(TEXTS)


def test_every_part_of_a_long_text_takes_part_and_the_best_counts(make_reranker_folder) -> None:
    model = TorchReranker(make_reranker_folder(), "cpu", precision="fp32")
    pairs = list(model._pairs(QUERY, [LONG]))
    assert len(pairs) > 3
    assert max(pair.tokens for pair in pairs) <= 64
    assert "".join(pair.text for pair in pairs).replace(" ", "") == LONG.replace(" ", "")
    alone = [float(model.scores(QUERY, [pair.text])[0]) for pair in pairs]
    assert float(model.scores(QUERY, [LONG])[0]) == pytest.approx(max(alone), abs=1e-5)


def test_a_long_question_leaves_room_for_the_text(make_reranker_folder) -> None:
    model = TorchReranker(make_reranker_folder(), "cpu", precision="fp32")
    assert max(pair.tokens for pair in model._pairs(LONG, [LONG])) <= 64
    assert np.isfinite(model.scores(LONG, [LONG])).all()


def test_no_texts_have_no_scores(make_reranker_folder) -> None:
    assert TorchReranker(make_reranker_folder(), "cpu", precision="fp32").scores(QUERY, []).shape == (0,)


def test_out_of_memory_makes_batches_smaller_and_changes_no_score(
    make_reranker_folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    freed: list[int] = []
    monkeypatch.setattr(reranker, "empty_cache", lambda: freed.append(1))
    model = TorchReranker(make_reranker_folder(), "cpu", precision="fp32")
    expected = model.scores(QUERY, TEXTS * 15)
    predict, sizes = model._model.predict, []

    def small_memory(pairs: list[tuple[str, str]], **options: object) -> np.ndarray:
        sizes.append(len(pairs))
        if len(pairs) > 8:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return predict(pairs, **options)

    monkeypatch.setattr(model._model, "predict", small_memory)
    np.testing.assert_allclose(model.scores(QUERY, TEXTS * 15), expected, atol=1e-5)
    assert freed
    assert sizes[0] > 8


def test_a_model_of_several_scores_is_no_reranker(make_reranker_folder) -> None:
    with pytest.raises(ModelError, match="3 scores for a text, not one"):
        TorchReranker(make_reranker_folder(labels=3), "cpu", precision="fp32")


def test_a_folder_that_holds_no_model_says_so(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be loaded on cpu"):
        TorchReranker(tmp_path, "cpu", precision="fp32")


def test_it_is_opened_with_a_reason(make_reranker_folder) -> None:
    folder: Path = make_reranker_folder()
    opened, reason = open_reranker(folder, Devices(2, 1 << 33))
    assert opened.identity.startswith(f"{folder.name}@")
    assert reason == f"{folder.name} in fp32 on the CPU: no NVIDIA GPU was found"
