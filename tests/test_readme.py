"""docs/map.md is true: every file of the product has its line, and no line is left of a file that is gone."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = (
    *("models", "models/embedding", "models/engines", "models/planning"),
    *("indexes", "ingest", "ingest/readers", "rag", "rag/examination", "web"),
)


def test_the_map_names_every_file() -> None:
    tree = (ROOT / "docs" / "map.md").read_text(encoding="utf-8").rsplit("```", 2)[1]
    named: dict[str, set[str]] = {}
    folder = ""
    for line in tree.strip().splitlines():
        if match := re.match(r"(\S+)/\s", line):
            folder = match.group(1)
            named[folder] = set()
        elif match := re.match(r"  (\S+\.py)\s", line):
            named[folder].add(match.group(1))
    for package in PACKAGES:
        files = {file.name for file in (ROOT / package).glob("*.py")} - {"__init__.py"}
        assert named[package] == files, package
