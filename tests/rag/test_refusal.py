"""Refusal: a probability that rises with each signal, and the line that it must reach."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rag.refusal import ANSWER_FROM, CALIBRATION, Signals

MIDDLING = Signals(passage_cosine=0.5, sentence_cosine=0.5, coverage=0.5)


@pytest.mark.parametrize("signal", ["passage_cosine", "sentence_cosine", "coverage"])
def test_each_signal_raises_the_confidence(signal: str) -> None:
    values = [CALIBRATION.confidence(replace(MIDDLING, **{signal: value})) for value in (0.0, 0.4, 0.8, 1.0)]
    assert values == sorted(values)
    assert 0 < values[0] < values[-1] < 1


def test_nothing_found_refuses_and_everything_found_answers() -> None:
    assert CALIBRATION.confidence(Signals(0.1, 0.1, 0.0)) < ANSWER_FROM < CALIBRATION.confidence(Signals(0.9, 0.9, 1.0))
