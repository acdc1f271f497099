"""What all sections found, as one JSON file and one page of tables."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.gpu.options import Options
from benchmarks.gpu.report import text_of

Found = list[dict[str, Any]]


def write_results(options: Options, found: Found, seconds: float) -> tuple[Path, Path]:
    """Write `<device>-<date>.json` and `.md` into the folder, over those of the same day."""
    whole = {
        "benchmark": "gpu",
        "commit": options.commit,
        "date": time.strftime("%Y-%m-%d"),
        "device": options.device,
        "quick": options.small,
        "seconds": round(seconds, 1),
        "sections": found,
    }
    options.out.mkdir(parents=True, exist_ok=True)
    name = f"{options.device}-{'quick-' if options.small else ''}{whole['date']}"
    files = options.out / f"{name}.json", options.out / f"{name}.md"
    files[0].write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")
    files[1].write_text(page_of(whole), encoding="utf-8")
    return files


def page_of(whole: dict[str, Any]) -> str:
    """The Markdown page."""
    lines = [
        f"# Lectern on {'a GPU' if whole['device'] == 'cuda' else 'a CPU'}, {whole['date']}, {whole['commit']}",
        "",
    ]
    if whole["quick"]:
        lines += ["A smoke run: it shows that the code runs. Its figures say nothing about a GPU's speed.", ""]
    for section in whole["sections"]:
        lines += [f"## {section['title']} ({section['seconds']} s)", ""]
        for title, rows in section["tables"].items():
            lines += [f"**{title}**", "", *_table(rows), ""]
        lines += [f"- {note}" for note in section["notes"]] + ([""] if section["notes"] else [])
    return "\n".join([*lines, "## Skipped and failed", "", *_missing(whole["sections"]), ""])


def print_summary(found: Found, files: tuple[Path, Path]) -> None:
    """The page, then one JSON line."""
    print(files[1].read_text(encoding="utf-8"))
    sys.stdout.flush()
    counts = {name: sum(len(section[name]) for section in found) for name in ("skipped", "failed")}
    print(json.dumps({"benchmark": "gpu", **counts, "json": str(files[0]), "markdown": str(files[1])}))


def _table(rows: list[dict[str, object]]) -> list[str]:
    """Rows may differ in their columns; a column stands where it first came."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    lines = [columns, ["---"] * len(columns), *([text_of(row.get(name)) for name in columns] for row in rows)]
    return [f"| {' | '.join(line)} |" for line in lines]


def _missing(found: Found) -> list[str]:
    lines = []
    for section in found:
        lines += [f"- {section['title']}: {each['what']} failed: {each['why']}" for each in section["failed"]]
        lines += [
            f"- {section['title']}: skipped: {each['what']}, because {each['why']}" for each in section["skipped"]
        ]
    return lines or ["Nothing."]
