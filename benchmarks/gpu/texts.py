"""English texts to embed: stretches of this repository's own pages, which travel with it."""

from __future__ import annotations

import random

from benchmarks.gpu.options import ROOT

CHUNK_WORDS = 150
QUESTION_WORDS = 10


def words() -> list[str]:
    """All words of the pages, in a fixed order of files."""
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return " ".join(page.read_text(encoding="utf-8") for page in pages).split()


def chunks(count: int, seed: int = 1) -> list[str]:
    """Texts as long as Lectern's chunks mostly are. They overlap, and no two begin at the same word until every word
    has been a beginning."""
    return _stretches(count, CHUNK_WORDS, seed)


def questions(count: int, seed: int = 2) -> list[str]:
    return _stretches(count, QUESTION_WORDS, seed)


def _stretches(count: int, length: int, seed: int) -> list[str]:
    every = words()
    starts = list(range(len(every) - length))
    random.Random(seed).shuffle(starts)
    return [" ".join(every[start : start + length]) for start in (starts[i % len(starts)] for i in range(count))]
