"""What the command line asks of the benchmark."""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

ROOT = Path(__file__).resolve().parents[2]
CARRIED = Path(__file__).with_name(".carry")


@dataclass(frozen=True)
class Options:
    """`part` is where a section keeps what it found, `scratch` a folder that the sections share; both are set for the
    process of a section only."""

    device: Literal["cuda", "cpu"]
    quick: bool
    embedder: Path | None
    out: Path
    only: tuple[str, ...]
    budget_s: float
    commit: str
    section: str
    part: Path
    scratch: Path

    @property
    def small(self) -> bool:
        """A smoke run, which shows that the code runs and whose figures mean nothing."""
        return self.quick or self.device == "cpu"


def read_options(given: list[str]) -> Options:
    parser = argparse.ArgumentParser(description="Measures Lectern on a CUDA GPU; see benchmarks/gpu/README.md.")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda", help="cpu: the same code, small")
    parser.add_argument("--quick", action="store_true", help="a smoke run of about a minute")
    parser.add_argument(
        "--embedder", type=_absolute, help="a sentence-transformers folder; else carried, cached or random"
    )
    parser.add_argument("--out", type=_absolute, help="where JSON and Markdown go (cuda: benchmarks/gpu/results)")
    parser.add_argument("--only", nargs="+", default=(), metavar="SECTION", help="these sections alone")
    parser.add_argument("--budget-s", type=float, default=480, help="no section starts after that many seconds")
    parser.add_argument("--commit", default="", help="the commit, where the machine has no repository")
    parser.add_argument("--section", default="", help=argparse.SUPPRESS)
    parser.add_argument("--part", type=Path, default=Path(), help=argparse.SUPPRESS)
    parser.add_argument("--scratch", type=Path, default=Path(), help=argparse.SUPPRESS)
    values = vars(parser.parse_args(given))
    values["only"] = tuple(values["only"])
    values["out"] = values["out"] or _default_out(values["device"])
    return Options(**values)


def arguments_of(options: Options, section: str, part: Path) -> list[str]:
    """The command line of one section's process, which keeps what it finds in `part`."""
    embedder = ["--embedder", str(options.embedder)] if options.embedder else []
    asked = ["--device", options.device, *(["--quick"] if options.quick else []), *embedder]
    return [*asked, "--section", section, "--part", str(part), "--scratch", str(part.parent)]


def _absolute(path: str) -> Path:
    return Path(path).absolute()


def _default_out(device: str) -> Path:
    """Figures of a CPU never lie beside those of a GPU."""
    if device == "cuda":
        return Path(__file__).with_name("results")
    return Path(tempfile.gettempdir()) / "lectern-benchmark-cpu"
