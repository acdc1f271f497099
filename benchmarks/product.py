"""The product as a black box, for benchmarks: its commands in processes of their own, one that serves, and what all of
its processes take of the machine."""

from __future__ import annotations

import json
import math
import os
import platform
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

from rag.ownership import Ownership, own_or_call

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"
START_S, STOP_S = 180, 30
MEBIBYTE = 1 << 20
VERSIONS = ("pypdfium2", "unstructured", "rapidocr", "onnxruntime", "faiss-cpu")


class Product:
    """`python app.py …` over the data folder `home`."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self._environment = {**os.environ, "LECTERN_HOME": str(home)}

    def start(self, *arguments: object) -> subprocess.Popen[str]:
        """A command with --json, in a process of which the caller takes care; what it says on the way is dropped."""
        return subprocess.Popen(
            [sys.executable, "app.py", *map(str, arguments), "--json"],
            cwd=ROOT,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def run(self, *arguments: object) -> dict[str, Any]:
        """The document that the command prints. Raises CalledProcessError."""
        return self.result(self.start(*arguments))

    def result(self, process: subprocess.Popen[str]) -> dict[str, Any]:
        """What a started command prints at its end. Raises CalledProcessError."""
        output, _ = process.communicate()
        if process.returncode:
            raise subprocess.CalledProcessError(process.returncode, process.args)
        document: dict[str, Any] = json.loads(output)
        return document

    @contextmanager
    def served(self, *arguments: object) -> Iterator[psutil.Process]:
        """`serve` on a free port, up to the end of the block; the process that owns the data folder."""
        process = self.start("serve", "--port", 0, *arguments)
        try:
            assert process.stdout is not None
            if not process.stdout.readline():
                raise RuntimeError(f"serve does not start: {self.home}/logs/serve.log says why")
            yield psutil.Process(process.pid)
        finally:
            process.terminate()
            try:
                process.communicate(timeout=STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()

    def ask_owner(self, command: str, **arguments: object) -> dict[str, Any]:
        """What the command prints with --json, by the owner's door, without the half second that a process takes to
        start. Raises RuntimeError with what the owner says."""
        owner = own_or_call(self.home)
        if isinstance(owner, Ownership):
            owner.close()
            raise RuntimeError(f"{command}: nobody serves {self.home}")
        last: dict[str, Any] = {}
        for message in owner.run(command, arguments):
            last = message
        if "result" not in last:
            raise RuntimeError(f"{command}: {last.get('error')}")
        result: dict[str, Any] = last["result"]
        return result

    def log(self, name: str) -> str:
        file = self.home / "logs" / name
        return file.read_text(encoding="utf-8", errors="replace") if file.exists() else ""


@dataclass
class Seen:
    """One process of the product, for as long as it was seen. `peak_bytes` is its resident memory at the most."""

    kind: str
    first_s: float
    last_s: float
    peak_bytes: int = 0


@dataclass(frozen=True)
class Sample:
    """All processes together: the memory of each, and of what they share its share."""

    at_s: float
    total_bytes: int
    by_kind: dict[str, int] = field(hash=False)


class Watch:
    """Looks at a process and all that it starts, from a thread of its own, until the end of the block."""

    def __init__(self, process_id: int, every_s: float, *, memory: bool = False) -> None:
        """`memory`: note the memory of all processes together, too."""
        self._root = psutil.Process(process_id)
        self._every_s = every_s
        self._memory = memory
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look_again, name="watch", daemon=True)
        self.seen: dict[int, Seen] = {}
        self.samples: list[Sample] = []

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def kinds(self, kind: str) -> list[Seen]:
        return [seen for seen in self.seen.values() if seen.kind == kind]

    def _look_again(self) -> None:
        while not self._ended.wait(self._every_s):
            with suppress(psutil.NoSuchProcess):
                self._look([self._root, *self._root.children(recursive=True)])

    def _look(self, processes: list[psutil.Process]) -> None:
        now = time.monotonic()
        by_kind: dict[str, int] = {}
        for process in processes:
            seen = self.seen.get(process.pid)
            if seen is None:
                seen = self.seen[process.pid] = Seen("unknown", now, now)
            seen.kind = _kind(process) or seen.kind  # between fork and exec it still looks like its parent
            seen.last_s = now
            seen.peak_bytes = max(seen.peak_bytes, _kibibytes(process.pid, "status", "VmHWM"))
            if self._memory:
                share = _kibibytes(process.pid, "smaps_rollup", "Pss")
                by_kind[seen.kind] = by_kind.get(seen.kind, 0) + share
        if self._memory:
            self.samples.append(Sample(now, sum(by_kind.values()), by_kind))


def _kind(process: psutil.Process) -> str:
    """What it is in the product: the module or program that it runs; empty when it has ended."""
    try:
        command = process.cmdline()
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return ""
    if "-m" in command:
        return command[command.index("-m") + 1].rpartition(".")[2]
    if "app.py" in command:
        return command[command.index("app.py") + 1]
    return Path(command[0]).name if command else ""


def _kibibytes(process_id: int, file: str, name: str) -> int:
    """A line of /proc, in bytes; 0 when the process has ended."""
    with suppress(OSError), open(f"/proc/{process_id}/{file}", encoding="ascii", errors="replace") as lines:
        for line in lines:
            if line.startswith(f"{name}:"):
                return 1024 * int(line.split()[1])
    return 0


def percentile(values: list[float], share: float) -> float:
    """The smallest value that at least `share` of all do not exceed."""
    ordered = sorted(values)
    return ordered[max(1, math.ceil(share * len(ordered))) - 1] if ordered else math.nan


def circumstances() -> dict[str, object]:
    """The commit, the machine and the versions that a figure belongs to."""
    revision = ["git", "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(revision, cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()
    changed = subprocess.run(["git", "status", "--porcelain"], cwd=ROOT, capture_output=True, text=True, check=False)
    versions = {}
    for name in VERSIONS:
        with suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    return {
        "commit": commit + ("+" if changed.stdout.strip() else ""),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {psutil.virtual_memory().total >> 30} GiB",
        "python": platform.python_version(),
        "versions": versions,
    }
