"""`ingest` killed with SIGKILL at several moments and run again: the same collection as an undisturbed run."""

from __future__ import annotations

import random
import shutil
import signal
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pytest

from indexes.database import Database
from indexes.library import Library

NEAR = 0.99
"""The int8 embedder scales by batch, so a vector depends a little on the texts it was embedded with."""
ZOO = (
    "pdf/fake-memo.pdf",
    "csv/csv-semicolon.csv",
    "xml/factbook.xml",
    "email/fake-email-header.eml",
    "json/simple.json",
    "text/README.md",
    "broken/empty.txt",
    "encrypted/password.pdf",
)
NOTES = ("document", "document WHERE state = 'indexed'", "vector")


@pytest.fixture
def folder(shared: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "folder"
    folder.mkdir()
    for name in ZOO:
        shutil.copy(shared / "format-zoo" / name, folder)
    for file in sorted((shared / "eval" / "tech-docs" / "docs").iterdir(), key=lambda file: file.stat().st_size)[:8]:
        shutil.copy(file, folder)
    shutil.copy(folder / "README.md", folder / "the same once more.md")
    return folder


def count(home: Path, what: str) -> int:
    """Rows of the database of a running process; 0 while it is being made."""
    try:
        with sqlite3.connect(f"file:{home / 'lectern.sqlite'}?mode=ro", uri=True, timeout=1) as connection:
            found = connection.execute(f"SELECT count(*) FROM {what}").fetchone()[0]
        connection.close()
    except sqlite3.OperationalError:
        return 0
    return int(found)


def wait_until(condition: Callable[[], bool], process: psutil.Popen) -> None:
    while process.poll() is None and not condition():
        time.sleep(0.02)


Documents = dict[str, tuple[str, str | None, int | None, list[tuple[str, str, int | None]]]]


def contents_of(home: Path) -> tuple[Documents, dict[tuple[str, int], np.ndarray], dict[str, int]]:
    """Every document with its chunks, every chunk's vector, and how many rows there are of everything."""
    library = Library(Database(home / "lectern.sqlite"), home / "indexes")
    collection = library.collection("default")
    documents: Documents = {}
    vectors = {}
    shown = set()
    for row in collection.documents.all():
        ids = collection.chunks_of_documents([row.id])[row.id]
        chunks = collection.chunks(ids)
        documents[row.path] = (
            row.state,
            row.reason,
            row.version,
            [(chunks[i].heading, chunks[i].text, chunks[i].page) for i in ids],
        )
        found, data = collection.vectors.of_chunks(ids)
        by_id = dict(zip(found.tolist(), data, strict=True))
        vectors.update({(row.path, n): by_id[i] for n, i in enumerate(ids)})
        shown.update(ids)
    assert collection.lexical.indexed_chunks() == shown
    assert set(collection.dense.ids().tolist()) == shown
    with library.database.read() as connection:
        rows = {
            table: connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
            for table in ("document", "version", "content", "page", "element", "chunk", "vector")
        }
        assert connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    library.close()
    return documents, vectors, rows


@pytest.mark.slow
def test_a_killed_ingest_run_again_gives_the_collection_of_an_undisturbed_one(
    command_line, folder: Path, tmp_path: Path
) -> None:
    moments = random.Random(2)
    for n, what in enumerate(NOTES):
        before = count(command_line.home, what)
        process = command_line.start("ingest", folder)
        wait_until(lambda what=what, before=before: count(command_line.home, what) > before, process)
        time.sleep(moments.uniform(0, 0.1))
        family = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert process.returncode == -signal.SIGKILL, f"kill {n} came too late"
        _, left = psutil.wait_procs(family, timeout=10)
        assert left == [], "a process outlived the one that was killed"
    assert command_line.json("ingest", folder)["totals"]["pending"] == 0
    killed = contents_of(command_line.home)

    undisturbed_home = tmp_path / "undisturbed"
    done = command_line.run("ingest", folder, LECTERN_HOME=str(undisturbed_home))
    assert done.returncode == 0, done.stderr
    undisturbed = contents_of(undisturbed_home)

    assert killed[0] == undisturbed[0]
    assert killed[2] == undisturbed[2]
    assert killed[1].keys() == undisturbed[1].keys()
    assert min(float(killed[1][key] @ undisturbed[1][key]) for key in killed[1]) > NEAR
    assert {state for state, *_ in killed[0].values()} >= {"indexed", "failed"}
