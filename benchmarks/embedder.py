"""Chunks a second of the CPU's embedders, in one run: int8, fp32, and sentence-transformers on torch.

python benchmarks/embedder.py [TEXT_FILE_OR_FOLDER] [--chunks 64] [--words 150] [--rounds 3]
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from models.catalog import load_catalog
from models.devices import detect
from models.download import ensure
from models.embedding.onnx_embedder import OnnxEmbedder
from models.embedding.tokenization import WindowTokenizer
from models.interfaces import Vectors

ROOT = Path(__file__).resolve().parents[1]

Embed = Callable[[list[str]], Vectors]


@dataclass(frozen=True)
class Row:
    name: str
    load_s: float
    chunks_per_s_p50: float
    chunks_per_s_best: float
    query_ms_p50: float
    query_ms_p95: float
    cosine_mean: float
    cosine_min: float
    peak_mb: int


def main() -> None:
    arguments = _parse()
    chunks = _chunks(arguments.texts, arguments.chunks, arguments.words)
    import platformdirs

    cache = arguments.cache or Path(platformdirs.user_cache_dir("lectern"))
    folder = ensure(load_catalog().entry("all-minilm-l6-v2"), cache, fetch=False)
    threads = detect().cores
    openers: dict[str, Callable[[], Embed]] = {
        "onnx int8": lambda: OnnxEmbedder(folder, precision="int8", threads=threads).embed_passages,
        "onnx fp32": lambda: OnnxEmbedder(folder, precision="fp32", threads=threads).embed_passages,
        "sentence-transformers": lambda: _sentence_transformers(folder, threads),
    }
    measured = [_measure(name, opener, chunks, arguments.rounds) for name, opener in openers.items()]
    oracle = measured[-1][1]
    # The oracle cuts a longer chunk off without a word, and ours do not: only the others can be compared.
    tokenizer = WindowTokenizer(folder)
    whole = np.array([len(tokenizer.windows([chunk])) == 1 for chunk in chunks])
    rows = [_row(figures, (vectors * oracle).sum(axis=1)[whole]) for figures, vectors in measured]
    _print(rows, {"chunks": len(chunks), "cut_by_sentence_transformers": int((~whole).sum())}, threads)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("texts", type=Path, nargs="?", default=ROOT.parent / "shared/eval/pubmed-abstracts/docs")
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--chunks", type=int, default=64)
    parser.add_argument("--words", type=int, default=150)
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args()


def _chunks(texts: Path, count: int, words: int) -> list[str]:
    files = sorted(texts.rglob("*.txt")) if texts.is_dir() else [texts]
    all_words = " ".join(file.read_text("utf-8", "replace") for file in files).split()
    if not all_words:
        raise SystemExit(f"{texts} has no text to embed; name a text file, or a folder of them")
    return [" ".join(all_words[start : start + words]) for start in range(0, len(all_words), words)][:count]


def _sentence_transformers(folder: Path, threads: int) -> Embed:
    import torch
    from sentence_transformers import SentenceTransformer

    torch.set_num_threads(threads)
    model = SentenceTransformer(str(folder), device="cpu", local_files_only=True)
    return lambda texts: np.asarray(model.encode(texts, batch_size=32, show_progress_bar=False), np.float32)


def _measure(
    name: str, opener: Callable[[], Embed], chunks: list[str], rounds: int
) -> tuple[dict[str, float | str], Vectors]:
    started = time.perf_counter()
    embed = opener()
    load_s = time.perf_counter() - started
    embed(chunks[:8])
    speeds = [len(chunks) / _seconds(embed, chunks) for _ in range(rounds)]
    queries = sorted(1000 * _seconds(embed, [" ".join(chunk.split()[:10])]) for chunk in chunks[:40])
    figures: dict[str, float | str] = {
        "name": name,
        "load_s": round(load_s, 2),
        "chunks_per_s_p50": round(statistics.median(speeds), 1),
        "chunks_per_s_best": round(max(speeds), 1),
        "query_ms_p50": round(statistics.median(queries), 1),
        "query_ms_p95": round(queries[int(0.95 * (len(queries) - 1))], 1),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }
    return figures, embed(chunks)


def _seconds(embed: Embed, texts: list[str]) -> float:
    started = time.perf_counter()
    embed(texts)
    return time.perf_counter() - started


def _row(figures: dict[str, float | str], cosines: Vectors) -> Row:
    near = {"cosine_mean": round(float(cosines.mean()), 5), "cosine_min": round(float(cosines.min()), 5)}
    return Row(**{**figures, **near})  # type: ignore[arg-type]  # the figures have the row's own names


def _print(rows: list[Row], counts: dict[str, int], threads: int) -> None:
    names = list(asdict(rows[0]))
    for line in (names, *(list(map(str, asdict(row).values())) for row in rows)):
        cells = zip(names, line, strict=True)
        print("  ".join(cell.rjust(21 if name == "name" else len(name)) for name, cell in cells))
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout
    packages = ("onnxruntime", "tokenizers", "torch", "sentence-transformers")
    about = {
        "benchmark": "embedder",
        "commit": commit.strip(),
        "machine": f"{platform.machine()}, {threads} cores, {platform.platform()}",
        "versions": {name: metadata.version(name) for name in packages},
        **counts,
        "rows": [asdict(row) for row in rows],
    }
    print(json.dumps(about))


if __name__ == "__main__":
    main()
