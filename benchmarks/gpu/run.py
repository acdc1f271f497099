"""Lectern on a CUDA GPU, measured: `python benchmarks/gpu/run.py [--out FOLDER] [--quick]`; see README.md beside it.

Every section runs in a process of its own, so that a crash, an exhausted card or a hanging call ends that section
alone, and what it found until then is kept. This process imports nothing heavy, writes JSON and Markdown after each
section, and ends with 1 when a measurement failed; one that was skipped, for want of something, is no failure.
"""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.gpu.libraries import library_path
from benchmarks.gpu.options import ROOT, Options, arguments_of, read_options
from benchmarks.gpu.page import print_summary, write_results
from benchmarks.gpu.report import Missing, Report, read_found


@dataclass(frozen=True)
class Section:
    """`module` has a function `measure(options, report)`."""

    module: str
    title: str
    limit_s: float


SECTIONS = (
    Section("facts", "Machine and versions", 60),
    Section("embedding", "Embedding: throughput, parity with the CPU, memory", 180),
    Section("vector_index", "Vector index: FAISS on the GPU against FAISS on the CPU", 180),
    Section("memory_plan", "Memory plan: what was estimated and what is taken", 150),
    Section("end_to_end", "Question to answer, end to end", 120),
    Section("two_streams", "Questions during an ingest, on one card", 90),
)


def main(given: list[str]) -> int:
    options = read_options(given)
    if options.section:
        return _run_one(options)
    sections = [each for each in SECTIONS if not options.only or each.module in options.only]
    if unknown := set(options.only) - {each.module for each in SECTIONS}:
        names = ", ".join(each.module for each in SECTIONS)
        sys.exit(f"--only {' '.join(sorted(unknown))}: no such section. The sections are: {names}.")
    options = replace(options, commit=options.commit or _commit())
    started, found = time.monotonic(), []
    with tempfile.TemporaryDirectory(prefix="lectern-gpu-") as scratch:
        for section in sections:
            left_s = options.budget_s - (time.monotonic() - started)
            found.append(_measure(section, options, Path(scratch), left_s))
            files = write_results(options, found, time.monotonic() - started)
    print_summary(found, files)
    return 1 if any(each["failed"] for each in found) else 0


def _measure(section: Section, options: Options, scratch: Path, left_s: float) -> dict[str, Any]:
    """Run a section in its own process, and read what it found."""
    print(f"{section.title} …", file=sys.stderr, flush=True)
    part = scratch / f"{section.module}.json"
    started = time.monotonic()
    if left_s <= 0:
        Report(section.module, part).skip("the section", "the time of the whole run was used up (--budget-s)")
        died = ""
    else:
        died = _child(section, options, part, min(left_s + 30, section.limit_s))
    found = read_found(section.module, part)
    if died:
        found["failed"].append({"what": "the section", "why": died})
    return found | {"title": section.title, "seconds": round(time.monotonic() - started, 1)}


def _child(section: Section, options: Options, part: Path, limit_s: float) -> str:
    """How the section's process died; nothing when it ended well."""
    environment = {**os.environ, "LD_LIBRARY_PATH": library_path(), "HF_HUB_OFFLINE": "1", "TQDM_DISABLE": "1"}
    command = [sys.executable, "-m", "benchmarks.gpu.run", *arguments_of(options, section.module, part)]
    try:
        done = subprocess.run(command, cwd=ROOT, env=environment, stdout=sys.stderr, timeout=limit_s, check=False)
    except subprocess.TimeoutExpired:
        return f"it was ended after {limit_s:.0f} s"
    if done.returncode < 0:
        return f"its process ended by {signal.Signals(-done.returncode).name}"
    return f"its process ended with status {done.returncode}" if done.returncode else ""


def _run_one(options: Options) -> int:
    """The process of one section."""
    report = Report(options.section, options.part)
    with report.step("the section"):
        if options.section != "facts":
            _check_device(options)
        importlib.import_module(f"benchmarks.gpu.{options.section}").measure(options, report)
    return 0


def _check_device(options: Options) -> None:
    if options.device == "cuda":
        import torch

        if not torch.cuda.is_available():
            raise Missing(f"torch {torch.__version__} sees no CUDA GPU; --device cpu runs the same code, small")


def _commit() -> str:
    command = ["git", "rev-parse", "--short", "HEAD"]
    try:
        said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return said.strip()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
