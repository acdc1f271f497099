"""The most evidence@k that quotations can reach on a question set: `python benchmarks/attainable_evidence.py SET`.

evidence@k (`../shared/measure/score.py`) is the share of the gold text's word 4-grams that stand in the first 8,000
characters of the top passages. Where the gold text is put together from cells that are not neighbours, some of its
4-grams stand in no file. Here each question is given its whole gold file, as Lectern reads it, up to those 8,000
characters and without a limit; nothing is searched.
"""

from __future__ import annotations

import argparse
import json
import platform
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from ingest.elements import Page
from ingest.formats import detect
from ingest.limits import Limits
from ingest.parser_pool import ParserPool
from models.cancellation import CancelToken

BUDGET_CHARACTERS = 8000


def grams(text: str) -> set[tuple[str, ...]]:
    """As `score.py` makes them."""
    words = re.findall(r"\w+", text.lower())
    return {tuple(words[i : i + 4]) for i in range(max(1, len(words) - 3))} if words else set()


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("set", type=Path)
    folder = arguments.parse_args().set
    questions = [json.loads(line) for line in (folder / "questions.jsonl").read_text().splitlines() if line.strip()]
    pool = ParserPool(2, Limits())
    texts: dict[str, str] = {}
    shares: dict[str, list[float]] = {"within 8,000 characters": [], "whole files": []}
    for question in questions:
        gold = [entry for entry in question["gold"] if entry["text"]]
        if not gold:
            continue
        for entry in gold:
            if entry["file"] not in texts:
                path = folder / entry["file"]
                pages = pool.parse(path, detect(path), CancelToken())
                texts[entry["file"]] = "\n".join(page.text for page in pages if isinstance(page, Page))
        wanted = set().union(*(grams(entry["text"]) for entry in gold))
        given = "\n".join(texts[entry["file"]] for entry in gold)
        for name, text in zip(shares, (given[:BUDGET_CHARACTERS], given), strict=True):
            shares[name].append(len(wanted & grams(text)) / len(wanted))
    pool.close()
    figures = {name: round(sum(values) / len(values), 4) for name, values in shares.items()}
    for name, value in figures.items():
        print(f"{name:26}{value:8.3f}")
    print(json.dumps({"set": folder.name, "questions": len(questions), "machine": platform.machine(), **figures}))


if __name__ == "__main__":
    main()
