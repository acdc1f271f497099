"""How fast and how lean the mirror of a folder is: `python benchmarks/mirror.py [rescan|drops] [options]`.

rescan  A folder of 20,000 files of some 200 bytes is ingested once; then `ingest FOLDER --json` is run again and again,
        nothing having changed: against a running `serve`, and alone. Seconds are those of the whole command, from the
        start of its process to its end. `--keep DIR` keeps folder and data folder, and uses them when they are there.
drops   `serve --docs A` follows folder A, while `ingest B` reads 2,000 files of four formats into the same collection.
        Meanwhile 50 PDFs of ten pages come into A one after the other; each third is written slowly in place, the
        others are renamed into place. From the moment that a file is whole, two searches are asked in turn, with 50 ms
        between: one for a word that stands in that PDF alone (the file must be among the first 10 passages), and one
        for what a sentence in it means, by a query that shares no word with it (`benchmarks/topics.py`; of the words of
        the folder, it shares none either), so that only its vector can bring it among the first 10.
        Each second the memory of all processes of the product is added up (PSS: a share of what they share), the
        language model's included, which has answered a question before. Growth is that of a line through the second
        half of the ingest.

Searches go by the owner's door, as `search` does, without the start of a process for each. Nothing is asserted.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.made_files import PAGES, dropped_pdf, write_office_files, write_small_files
from benchmarks.product import MEBIBYTE, Product, Sample, Watch, circumstances, percentile

POLL_S, GIVE_UP_S, PAUSE_S = 0.05, 120.0, 0.3
SLOW_EVERY, SLOW_PIECES, SLOW_PIECE_S = 3, 5, 0.1
FLAT_MIB = 50.0


@dataclass(frozen=True)
class Rescan:
    files: int
    first_s: float
    served_s: list[float]
    alone_s: list[float]


@dataclass(frozen=True)
class Drop:
    """Seconds until the file was found; None when it was not. `beside`: the other ingest ran to the end of it."""

    slow: bool
    words_s: float | None
    meaning_s: float | None
    beside: bool


@dataclass(frozen=True)
class Drops:
    drops: list[Drop]
    ingest_s: float
    files: int
    read: int
    chunks: int
    samples: list[Sample]


def measure_rescan(files: int, repeat: int, keep: Path) -> Rescan:
    folder, product = keep / "files", Product(keep / "home")
    if not folder.exists():
        write_small_files(folder, files)

    def timed() -> float:
        started = time.perf_counter()
        totals = product.run("ingest", folder)["totals"]
        assert totals["indexed"] == totals["files"], totals
        return round(time.perf_counter() - started, 2)

    with product.served():
        first = timed()
        served = [timed() for _ in range(repeat)]
    return Rescan(files, first, served, [timed() for _ in range(repeat)])


def measure_drops(place: Path, files: int, drops: int, file_bytes: int) -> Drops:
    followed, other, product = place / "followed", place / "other", Product(place / "home")
    write_office_files(other, files, file_bytes)
    followed.mkdir()
    (followed / "first.txt").write_text("The folder is followed from here on.", encoding="utf-8")
    with product.served("--docs", followed) as owner:
        wait_until_found(product, "followed", "first.txt")
        product.ask_owner("ask", question="What is followed?", mode="generate")  # now the language model is loaded
        started = time.perf_counter()
        ingest = product.start("ingest", other)
        with Watch(owner.pid, 1.0, memory=True) as watch:
            measured = []
            for n in range(drops):
                measured.append(drop(product, followed, n, ingest))
                print(f"drop {n}: {measured[-1]}", file=sys.stderr)
                time.sleep(PAUSE_S)
            status = product.result(ingest)
        seconds = time.perf_counter() - started
    of_other = [file for file in status["files"] if file["path"].startswith("file-")]
    read = sum(file["state"] == "indexed" for file in of_other)
    return Drops(measured, round(seconds, 1), files, read, status["totals"]["chunks_embedded"], watch.samples)


def wait_until_found(product: Product, query: str, file: str) -> None:
    until = time.monotonic() + GIVE_UP_S
    while not is_found(product, query, file):
        if time.monotonic() > until:
            raise RuntimeError(f"{file} is not found after {GIVE_UP_S:.0f} s: is the folder followed?")
        time.sleep(POLL_S)


def is_found(product: Product, query: str, file: str) -> bool:
    found = product.ask_owner("search", query=query, k=10)
    return any(passage["file"] == file for passage in found["passages"])


def drop(product: Product, folder: Path, n: int, ingest: subprocess.Popen[str]) -> Drop:
    data, word, query = dropped_pdf(n)
    place, slow = folder / f"drop-{n:03d}.pdf", n % SLOW_EVERY == 0
    if slow:
        write_slowly(place, data)
    else:
        partial = folder.parent / "partial"
        partial.write_bytes(data)
        os.replace(partial, place)
    whole = time.monotonic()
    waiting, found = {"words": word, "meaning": query}, {}
    while waiting and time.monotonic() - whole < GIVE_UP_S:
        for what in list(waiting):
            if is_found(product, waiting[what], place.name):
                found[what] = round(time.monotonic() - whole, 3)
                del waiting[what]
        time.sleep(POLL_S)
    return Drop(slow, found.get("words"), found.get("meaning"), ingest.poll() is None)


def write_slowly(place: Path, data: bytes) -> None:
    size = -(-len(data) // SLOW_PIECES)
    with place.open("wb") as file:
        for first in range(0, len(data), size):
            file.write(data[first : first + size])
            file.flush()
            time.sleep(SLOW_PIECE_S)


def growth_mib(samples: list[Sample]) -> float:
    """How much a line through the second half rises, from its begin to its end."""
    half = samples[len(samples) // 2 :]
    if len(half) < 3:
        return 0.0
    slope, _ = statistics.linear_regression([s.at_s for s in half], [s.total_bytes / MEBIBYTE for s in half])
    return round(slope * (half[-1].at_s - half[0].at_s), 1)


def print_rescan(rescan: Rescan) -> dict[str, object]:
    print(f"rescan of {rescan.files:,} unchanged files (the first ingest took {rescan.first_s} s)")
    result: dict[str, object] = asdict(rescan)
    for name, seconds in (("beside serve", rescan.served_s), ("alone", rescan.alone_s)):
        p50, p95 = percentile(seconds, 0.5), percentile(seconds, 0.95)
        print(f"  {name:<14} p50 {p50:6.2f} s   p95 {p95:6.2f} s   bound 5 s: {'kept' if p95 <= 5 else 'MISSED'}")
        result[name] = {"p50": p50, "p95": p95}
    return result


def print_drops(drops: Drops) -> dict[str, object]:
    beside = [each for each in drops.drops if each.beside]
    print(
        f"{len(beside)} of {len(drops.drops)} PDFs of {PAGES} pages dropped while {drops.files:,} files were ingested "
        f"({drops.read:,} indexed in {drops.ingest_s} s, {drops.chunks:,} chunks)"
    )
    result: dict[str, object] = {"ingest_s": drops.ingest_s, "chunks": drops.chunks, "beside": len(beside)}
    for name, bound, values in (
        ("words", 2.0, [each.words_s for each in beside]),
        ("meaning", 5.0, [each.meaning_s for each in beside]),
    ):
        found = [value for value in values if value is not None]
        all_found = [value if value is not None else float("inf") for value in values]
        p50, p95, most = percentile(all_found, 0.5), percentile(all_found, 0.95), max(all_found, default=float("nan"))
        kept = "kept" if p95 <= bound else "MISSED"
        print(
            f"  found by {name:<8} {len(found):>3} of {len(values)}   p50 {p50:6.2f} s   p95 {p95:6.2f} s   "
            f"max {most:6.2f} s   bound {bound:g} s: {kept}"
        )
        result[name] = {"found": len(found), "p50": p50, "p95": p95, "max": most}
    peak = max(drops.samples, key=lambda sample: sample.total_bytes)
    total, growth = peak.total_bytes / MEBIBYTE, growth_mib(drops.samples)
    parts = ", ".join(f"{kind} {size / MEBIBYTE:.0f}" for kind, size in sorted(peak.by_kind.items()))
    print(f"  memory at its peak {total:.0f} MiB ({parts})   bound 2560: {'kept' if total <= 2560 else 'MISSED'}")
    flat = "kept" if growth <= FLAT_MIB else "MISSED"
    print(f"  growth in the second half {growth:+.0f} MiB   bound {FLAT_MIB:.0f}: {flat}")
    return {**result, "peak_mib": round(total), "growth_mib": growth, "drops": [asdict(each) for each in drops.drops]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", nargs="?", choices=("rescan", "drops"))
    parser.add_argument("--rescan-files", type=int, default=20_000)
    parser.add_argument("--repeat", type=int, default=10, help="rescans of each kind")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep the small files and their data folder there")
    parser.add_argument("--files", type=int, default=2_000, help="files of the other ingest")
    parser.add_argument("--drops", type=int, default=50)
    parser.add_argument("--file-bytes", type=int, default=6_000, help="text of each of those files")
    options = parser.parse_args()
    result: dict[str, object] = {"benchmark": "mirror"}
    with tempfile.TemporaryDirectory() as temporary:
        if options.part != "drops":
            keep = (options.keep or Path(temporary) / "rescan").absolute()
            result["rescan"] = print_rescan(measure_rescan(options.rescan_files, options.repeat, keep))
        if options.part != "rescan":
            place = Path(temporary) / "drops"
            result["drops"] = print_drops(measure_drops(place, options.files, options.drops, options.file_bytes))
    print(json.dumps({**result, **circumstances()}))


if __name__ == "__main__":
    main()
