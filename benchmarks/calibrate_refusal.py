"""Fits the refusal's calibration: `python benchmarks/calibrate_refusal.py SET [SET …]`.

Each set (a folder with docs/ and questions.jsonl, some questions without gold) is mirrored into a data folder of its
own; the signals of every question go into a logistic regression, each set weighing the same. Printed: the coefficients
for `rag/refusal.py`, and AUROC and balanced accuracy, each half of the questions judged by a fit on the other half.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from models.cancellation import CancelToken
from models.interfaces import ChatMessage
from rag.access import LOCAL_USER
from rag.answer import PASSAGES, signals_of
from rag.building import build_appliance
from rag.commands import collection_of
from rag.evaluation import load_set
from rag.evidence import ranked_sentences, term_weights
from rag.ownership import try_own
from rag.question import understand
from rag.refusal import Signals
from rag.retrieval import Retriever
from rag.settings import Settings

Array = NDArray[np.float64]


def signals_of_set(folder: Path, home: Path) -> tuple[list[Signals], list[bool]]:
    """The signals of each question, and whether the documents answer it."""
    owner = try_own(home)
    assert owner is not None
    question_set = load_set(folder)
    with owner:
        appliance = build_appliance(Settings(home=home), owner)
        name = collection_of(question_set)
        for _ in appliance.mirror(
            question_set.documents, identity=LOCAL_USER, collection=name, hidden=True, cancel=CancelToken()
        ):
            pass
        collection = appliance.collection(name, identity=LOCAL_USER)
        embedder = appliance.embedder()
        signals = []
        for asked in question_set.questions:
            question = understand(asked.text, _questions(asked.history))
            retrieval = Retriever(embedder).retrieve(collection, question, PASSAGES)
            frequencies = collection.lexical.frequencies(question.terms)
            weights = term_weights(question, frequencies, collection.lexical.chunk_count())
            ranked = ranked_sentences(retrieval, weights, collection.contents.page, embedder)
            signals.append(signals_of(retrieval, ranked, weights))
        appliance.close()
    return signals, [bool(asked.gold) for asked in question_set.questions]


def _questions(history: tuple[ChatMessage, ...]) -> list[str]:
    return [message.content for message in history if message.role == "user"]


def features(signals: list[Signals]) -> Array:
    """(n, 4): the three signals and a constant."""
    return np.array([[s.passage_cosine, s.sentence_cosine, s.coverage, 1.0] for s in signals])


def fit(x: Array, y: Array, weights: Array, ridge: float = 1e-3, steps: int = 100) -> Array:
    """Logistic regression by Newton's method with a small ridge: the (4,) coefficients."""
    coefficients = np.zeros(x.shape[1])
    for _ in range(steps):
        p = 1 / (1 + np.exp(-x @ coefficients))
        gradient = x.T @ (weights * (p - y)) + ridge * coefficients
        hessian = (x * (weights * p * (1 - p))[:, None]).T @ x + ridge * np.eye(x.shape[1])
        coefficients -= np.linalg.solve(hessian, gradient)
    return coefficients


def auroc(scores: Array, y: Array) -> float:
    """The probability that an answerable question scores above one that is not."""
    positive, negative = scores[y == 1], scores[y == 0]
    greater = (positive[:, None] > negative[None]).mean() + 0.5 * (positive[:, None] == negative[None]).mean()
    return float(greater)


def balanced_accuracy(scores: Array, y: Array) -> float:
    """Mean of the shares judged right among those to answer and those to refuse, at confidence one half."""
    return float(((scores[y == 1] > 0).mean() + (scores[y == 0] <= 0).mean()) / 2)


def main() -> None:
    xs, ys, ws, halves = [], [], [], []
    for folder in map(Path, sys.argv[1:]):
        with tempfile.TemporaryDirectory() as home:
            signals, answerable = signals_of_set(folder, Path(home))
        x, y = features(signals), np.array(answerable, dtype=float)
        # Each set, and within it answerable and not, weigh the same.
        weights = np.where(y == 1, 0.5 / max(1, y.sum()), 0.5 / max(1, (1 - y).sum())) * 100
        print(f"{folder.name}: {len(y)} questions, {int(y.sum())} answerable", file=sys.stderr)
        for i, name in enumerate(("passage cosine", "sentence cosine", "coverage")):
            if not all(answerable):
                print(f"  {name} alone: AUROC {auroc(x[:, i], y):.3f}", file=sys.stderr)
        xs.append(x)
        ys.append(y)
        ws.append(weights)
        halves.append(np.arange(len(y)) % 2)
    x, y, w, half = np.concatenate(xs), np.concatenate(ys), np.concatenate(ws), np.concatenate(halves)
    held_out = np.zeros(len(y))
    for side in (0, 1):
        held_out[half == side] = x[half == side] @ fit(x[half != side], y[half != side], w[half != side])
    result: dict[str, object] = {
        "auroc": round(auroc(held_out, y), 4),
        "balanced_accuracy": round(balanced_accuracy(held_out, y), 4),
    }
    start = 0
    for folder, part in zip(map(Path, sys.argv[1:]), ys, strict=True):
        scores, truth = held_out[start : start + len(part)], part
        figures = {"false_refusals": round(float((scores[truth == 1] <= 0).mean()), 4)}
        if not truth.all():
            figures |= {
                "auroc": round(auroc(scores, truth), 4),
                "balanced_accuracy": round(balanced_accuracy(scores, truth), 4),
                "false_answers": round(float((scores[truth == 0] > 0).mean()), 4),
            }
        result[folder.name] = figures
        start += len(part)
    names = ("passage_cosine", "sentence_cosine", "coverage", "intercept")
    result["coefficients"] = dict(zip(names, np.round(fit(x, y, w), 2).tolist(), strict=True))
    print(json.dumps(result))


if __name__ == "__main__":
    main()
