"""Do the passages answer the question? A probability, and the line below which the answer is a refusal."""

from __future__ import annotations

import math
from dataclasses import dataclass

ANSWER_FROM = 0.55
"""Confidence below this refuses. Above one half, since a wrong answer costs more than closest passages do."""


@dataclass(frozen=True)
class Signals:
    """What the probability is made of. Cosines are of the best passage and the best sentence to the question;
    `coverage` is the largest share of the question's weight (by rarity) that one of the best three passages holds,
    its headings among them."""

    passage_cosine: float
    sentence_cosine: float
    coverage: float


@dataclass(frozen=True)
class Calibration:
    """A logistic regression over `Signals`."""

    passage_cosine: float
    sentence_cosine: float
    coverage: float
    intercept: float

    def confidence(self, signals: Signals) -> float:
        """The probability (0–1) that the passages answer the question."""
        logit = (
            self.intercept
            + self.passage_cosine * signals.passage_cosine
            + self.sentence_cosine * signals.sentence_cosine
            + self.coverage * signals.coverage
        )
        return 1 / (1 + math.exp(-logit))


# Fitted by `python benchmarks/calibrate_refusal.py` on wiki-longanswer, hr-handbook and tech-docs.
CALIBRATION = Calibration(passage_cosine=3.11, sentence_cosine=6.62, coverage=2.90, intercept=-7.32)
