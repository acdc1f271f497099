"""What is found of a folder of many formats: `python benchmarks/format_zoo.py [FOLDER] [--json FILE] [--home HOME]`.

FOLDER has `manifest.jsonl` (default: ../shared/format-zoo). `ingest` reads it into a new data folder; then each
file of the manifest is looked up by `show PATH --json`, two at a time, which `serve` answers. Counted by file:

  text, ocr      every phrase of the manifest stands in the elements (NFKC, white space squeezed, either case)
  speech, vision the same, or a reason that names the model which is missing (shown as "needs")
  error          a state other than indexed, and a reason that a person understands
  unchecked      text, or such a reason

A reason counts as understood when it has four words at least without paths and names of exceptions, and no traceback.
While `ingest` runs, its processes are looked at ten times a second: the most memory that each held (the system's own
high-water mark) and those that ended. Nothing is asserted; the last table compares with the bounds of the project.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
import unicodedata
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.product import MEBIBYTE, SHARED, Product, Watch, circumstances

LOOKS_EVERY_S = 0.1
KINDS = ("text", "ocr", "speech", "vision", "error", "unchecked")
FOREIGN = re.compile(r"\b\w+(?:Error|Exception|Warning)\b|\S*/\S+|[^\w\s]")
DEATH = re.compile(r"a parser process died: (.*)")
PARSED = re.compile(r"parsed (.+) in (\d+) ms")
SHORTEST_REASON_WORDS = 4


@dataclass(frozen=True)
class Outcome:
    """One file of the manifest. `found`: as its kind wants it; `needs`: not read, for want of a model that is named."""

    file: str
    format: str
    kind: str
    state: str
    characters: int
    found: bool
    needs: bool
    said: str


@dataclass(frozen=True)
class Run:
    """How the ingest went."""

    seconds: float
    show_seconds: float
    parser_peaks: list[int]
    converter_peaks: dict[str, int]
    workers: int
    deaths: list[str]
    slowest: tuple[str, float]


def normal(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).split()).casefold()


def is_understood(reason: str | None) -> bool:
    words = FOREIGN.sub(" ", reason or "").split()
    return len(words) >= SHORTEST_REASON_WORDS and "Traceback" not in (reason or "")


def judge(entry: dict[str, Any], shown: dict[str, Any]) -> Outcome:
    kind = entry["needs"] or entry["expect"]
    text = normal("\n".join(element["text"] for element in shown["elements"]))
    lacking = [phrase for phrase in entry["contains"] if normal(phrase) not in text]
    reason = shown["reason"]
    understood = is_understood(reason)
    if kind == "error":
        found = shown["state"] != "indexed" and understood
    elif kind == "unchecked":
        found = bool(text) or understood
    else:
        found = not lacking
    needs = kind in ("speech", "vision") and not found and understood and "model" in (reason or "").casefold()
    said = f"lacks {lacking}; {reason}" if lacking else str(reason)
    return Outcome(entry["file"], entry["format"], kind, shown["state"], len(text), found, needs, said)


def ingest(product: Product, folder: Path) -> Run:
    started = time.perf_counter()
    process = product.start("ingest", folder)
    with Watch(process.pid, LOOKS_EVERY_S) as watch:
        product.result(process)
    seconds = time.perf_counter() - started
    log = product.log("ingest.log")
    known = {"ingest", "worker", "parser_process"}
    converters: dict[str, int] = {}
    for seen in watch.seen.values():
        if seen.kind not in known:
            converters[seen.kind] = max(converters.get(seen.kind, 0), seen.peak_bytes)
    parsed = [(name, int(ms) / 1000) for name, ms in PARSED.findall(log)]
    return Run(
        seconds=round(seconds, 1),
        show_seconds=0.0,
        parser_peaks=sorted((seen.peak_bytes for seen in watch.kinds("parser_process")), reverse=True),
        converter_peaks=converters,
        workers=len(watch.kinds("worker")),
        deaths=DEATH.findall(log),
        slowest=max(parsed, key=lambda each: each[1], default=("none", 0.0)),
    )


def show_all(product: Product, entries: list[dict[str, Any]]) -> list[Outcome]:
    def look_up(entry: dict[str, Any]) -> Outcome:
        try:
            return judge(entry, product.run("show", entry["file"]))
        except subprocess.CalledProcessError:
            unknown: dict[str, Any] = {"elements": [], "state": "unknown", "reason": None}
            return judge(entry, unknown)

    with product.served(), ThreadPoolExecutor(2) as threads:
        return list(threads.map(look_up, entries))


def verdicts(outcomes: list[Outcome], run: Run) -> list[tuple[str, str, str, bool]]:
    """(what, measured, bound, kept)."""

    def count(kind: str) -> tuple[int, int]:
        of_kind = [outcome for outcome in outcomes if outcome.kind == kind]
        return sum(outcome.found or outcome.needs for outcome in of_kind), len(of_kind)

    text, ocr, errors, unchecked = (count(kind) for kind in ("text", "ocr", "error", "unchecked"))
    models = tuple(map(sum, zip(count("speech"), count("vision"), strict=True)))
    quarantined = sum(outcome.state == "quarantined" for outcome in outcomes)
    peak = max(run.parser_peaks, default=0) / MEBIBYTE
    return [
        ("text phrases", f"{text[0]} of {text[1]}", "158 of 167", text[0] >= 158),
        ("OCR phrases", f"{ocr[0]} of {ocr[1]}", "11 of 12", ocr[0] >= 11),
        ("speech, vision: read, or the model named", f"{models[0]} of {models[1]}", "all", models[0] == models[1]),
        ("errors with state and reason", f"{errors[0]} of {errors[1]}", "all 22", errors[0] == errors[1]),
        ("unchecked: text or reason", f"{unchecked[0]} of {unchecked[1]}", "all 32", unchecked[0] == unchecked[1]),
        ("seconds of `ingest`", f"{run.seconds}", "< 360", run.seconds < 360),
        ("most memory of a parser, MiB", f"{peak:.0f}", "<= 1536", peak <= 1536),
        ("ingest processes started", f"{run.workers}", "1", run.workers == 1),
        (
            "parser deaths, quarantined files",
            f"{len(run.deaths)}, {quarantined}",
            "each reported",
            len(run.deaths) <= quarantined,
        ),
    ]


def print_tables(outcomes: list[Outcome], run: Run) -> None:
    cells: Counter[tuple[str, str, str]] = Counter()
    for outcome in outcomes:
        cells[outcome.format, outcome.kind, "all"] += 1
        cells[outcome.format, outcome.kind, "found"] += outcome.found
        cells[outcome.format, outcome.kind, "needs"] += outcome.needs
    print(f"{'format':<18}" + "".join(f"{kind:>11}" for kind in KINDS))
    for name in sorted({outcome.format for outcome in outcomes}):
        print(f"{name:<18}" + "".join(f"{_cell(cells, name, kind):>11}" for kind in KINDS))
    print()
    for what, measured, bound, kept in verdicts(outcomes, run):
        print(f"{what:<42}{measured:>14}  {bound:<14}{'kept' if kept else 'MISSED'}")
    print(f"\nparsers: {len(run.parser_peaks)} started; converters: {run.converter_peaks or 'none'}")
    print(f"slowest file: {run.slowest[1]:.1f} s ({run.slowest[0]}); `show` of all took {run.show_seconds} s more")
    for outcome in outcomes:
        if not outcome.found:
            mark = "needs" if outcome.needs else "MISS"
            print(f"{mark:<6}{outcome.kind:<10}{outcome.file}: {outcome.state}: {outcome.said[:300]}")


def _cell(cells: Counter[tuple[str, str, str]], name: str, kind: str) -> str:
    total, found, needs = (cells[name, kind, which] for which in ("all", "found", "needs"))
    if not total:
        return ""
    return f"{found}/{total}" + (f" +{needs}" if needs else "")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=SHARED / "format-zoo")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every outcome there")
    parser.add_argument("--home", type=Path, help="a new data folder to keep; without it, one that is removed")
    options = parser.parse_args()
    folder = options.folder.absolute()
    entries = [json.loads(line) for line in (folder / "manifest.jsonl").read_text("utf-8").splitlines()]
    with tempfile.TemporaryDirectory() as temporary:
        product = Product((options.home or Path(temporary) / "home").absolute())
        if (product.home / "lectern.sqlite").exists():
            sys.exit(f"{product.home} is in use already: name a new data folder.")
        run = ingest(product, folder)
        started = time.perf_counter()
        outcomes = show_all(product, entries)
    run = Run(**{**vars(run), "show_seconds": round(time.perf_counter() - started, 1)})
    print_tables(outcomes, run)
    result = {
        "benchmark": "format_zoo",
        **{what: {"measured": measured, "kept": kept} for what, measured, _, kept in verdicts(outcomes, run)},
        "deaths": run.deaths,
        **circumstances(),
    }
    if options.json:
        options.json.write_text(json.dumps({**result, "files": [vars(outcome) for outcome in outcomes]}, indent=1))
    print(json.dumps(result))


if __name__ == "__main__":
    main()
