"""How much of the text of PDF files is read, and how many pages a second, against pdfium alone.

`python benchmarks/pdf_coverage.py [FOLDER] [--limit N] [--processes 2] [--commands] [--home HOME]`
(default: ../shared/eval/financebench/docs)

Coverage: of the word 4-grams that plain pypdfium2 (`get_text_range`) finds on a page, the share that stands on the same
page of ours. Words are what white space parts, letter for letter. Each 4-gram counts as often as it stands on the page;
a page of fewer words is one gram. Three things are treated alike on both sides: a hyphen at the end of a line joins its
word (pdfium writes U+FFFE and goes on, we write the line as it stands), control characters are spaces, and "|", which
parts the cells of our tables, is no word.

Speed: the whole way through the pool of parser processes, sandbox, messages and checks included; seconds are wall time
from the first file to the last, with the start of the processes, and processor time of parser processes and pool.

`--commands` measures coverage through `ingest` and `show`, as a user sees it. That embeds every chunk and takes long;
with `--home` what was ingested there is used again.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from ingest.elements import Page
from ingest.formats import detect
from ingest.limits import Limits
from ingest.parser_pool import ParserPool
from models.cancellation import CancelToken

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"
CONTROL = re.compile(r"[\x00-\x1f\x7f]")
HYPHEN_AT_LINE_END = re.compile(r"-\s*\n\s*")

Pages = dict[int, str]


@dataclass(frozen=True)
class Coverage:
    file: str
    pages: int
    grams: int
    found: int

    @property
    def share(self) -> float:
        return self.found / self.grams if self.grams else 1.0


@dataclass(frozen=True)
class Speed:
    pages: int
    wall_s: float
    processor_s: float
    pdfium_s: float
    peak_mb: int


def four_grams(text: str) -> Counter[tuple[str, ...]]:
    words = [word for word in CONTROL.sub(" ", HYPHEN_AT_LINE_END.sub("-", text)).split() if word != "|"]
    return Counter(tuple(words[at : at + 4]) for at in range(max(1, len(words) - 3))) if words else Counter()


def of_pdfium(path: Path) -> Pages:
    """Page by page; a page that pdfium cannot load is left out, for nobody can say what stands there."""
    import pypdfium2

    pages: Pages = {}
    with closing(pypdfium2.PdfDocument(path)) as document:
        for number in range(1, len(document) + 1):
            try:
                page = document[number - 1]
            except pypdfium2.PdfiumError:
                continue
            with closing(page), closing(page.get_textpage()) as text_page:
                pages[number] = text_page.get_text_range().replace("\ufffe", "-\n").replace("\r\n", "\n")
    return pages


def of_pool(pool: ParserPool, path: Path) -> Pages:
    parsed = pool.parse(path, detect(path), CancelToken())
    return {item.number: _shown(item) for item in parsed if isinstance(item, Page) and item.number}


def _shown(page: Page) -> str:
    return "\n".join(page.text[element.start : element.end] for element in page.elements)


def of_commands(files: list[Path], folder: Path, home: Path) -> Iterator[Pages]:
    """What `show` prints of each file, after one `ingest`."""
    environment = {**os.environ, "LECTERN_HOME": str(home)}
    _command(["ingest", str(folder), "--hidden"], environment)
    for path in files:
        pages: Pages = {}
        for element in _command(["show", str(path)], environment)["elements"]:
            pages[element["page"]] = f"{pages.get(element['page'], '')}\n{element['text']}"
        yield pages


def _command(arguments: list[str], environment: dict[str, str]) -> dict[str, Any]:
    command = [sys.executable, "app.py", *arguments, "--json"]
    done = subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def compare(path: Path, expected: Pages, read: Pages) -> Coverage:
    grams = found = 0
    for number, text in expected.items():
        wanted = four_grams(text)
        grams += wanted.total()
        found += (wanted & four_grams(read.get(number, ""))).total()
    return Coverage(path.name, len(expected), grams, found)


def parse_all(files: list[Path], processes: int) -> tuple[list[Pages], float, float, int]:
    """Pages of each file, wall seconds, processor seconds, and the peak memory of a parser process in MB."""
    started, processor = time.perf_counter(), _processor_s()
    pool = ParserPool(processes, Limits())
    with closing(pool), ThreadPoolExecutor(processes) as executor:
        # The largest first, so that no process is left alone with one at the end.
        order = sorted(files, key=lambda path: path.stat().st_size, reverse=True)
        read = dict(zip(order, executor.map(lambda path: of_pool(pool, path), order), strict=True))
        wall_s = time.perf_counter() - started
    return [read[path] for path in files], wall_s, _processor_s() - processor, pool.peak_bytes >> 20


def _processor_s() -> float:
    """Of this process and of its children that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def main() -> None:
    options = _options()
    folder = options.folder.absolute()
    files = sorted(folder.rglob("*.pdf"))[: options.limit]
    if not files:
        sys.exit(f"{folder} holds no .pdf file.")
    read, wall_s, processor_s, peak_mb = parse_all(files, options.processes)
    started = time.process_time()
    expected = [of_pdfium(path) for path in files]
    pdfium_s = time.process_time() - started
    if options.commands:
        with tempfile.TemporaryDirectory() as temporary:
            read = list(of_commands(files, folder, (options.home or Path(temporary)).absolute()))
    rows = [compare(*row) for row in zip(files, expected, read, strict=True)]
    _print(rows, Speed(sum(row.pages for row in rows), wall_s, processor_s, pdfium_s, peak_mb), options.processes)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Coverage and speed of PDF reading against pdfium alone.")
    parser.add_argument("folder", nargs="?", type=Path, default=SHARED / "eval" / "financebench" / "docs")
    parser.add_argument("--limit", type=int, help="only the first N files")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--commands", action="store_true", help="coverage through `ingest` and `show`")
    parser.add_argument("--home", type=Path, help="the data folder of --commands; default: a new one")
    return parser.parse_args()


def _print(rows: list[Coverage], speed: Speed, processes: int) -> None:
    print(f"{'file':<44}{'pages':>7}{'4-grams':>10}{'missing':>9}{'coverage':>10}")
    total = Coverage("all", speed.pages, sum(row.grams for row in rows), sum(row.found for row in rows))
    for row in [*sorted(rows, key=lambda row: row.share), total]:
        print(f"{row.file[:43]:<44}{row.pages:>7}{row.grams:>10}{row.grams - row.found:>9}{row.share:>10.4%}")
    print(
        f"\n{speed.pages / speed.wall_s:.0f} pages/s with {processes} processes "
        f"({speed.pages / speed.processor_s:.0f} a second of processor time; pdfium alone "
        f"{speed.pages / speed.pdfium_s:.0f}); a parser process took at most {speed.peak_mb} MB"
    )
    revision = ["git", "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(revision, cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()
    machine = f"{platform.machine()}, {os.cpu_count()} cores"
    figures = {"coverage": total.share, "processes": processes, **asdict(speed), "files": [asdict(row) for row in rows]}
    versions = {"python": platform.python_version(), "pypdfium2": metadata.version("pypdfium2")}
    print(json.dumps({"commit": commit, "machine": machine, "versions": versions, **figures}))


if __name__ == "__main__":
    main()
