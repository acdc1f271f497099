"""A supervised engine on the strict stand-in for `trtllm-serve`, and what the stand-in saw."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

from models.engines.supervisor import Supervisor
from models.engines.tensorrt_llm import TensorRtLlm
from models.planning.profile import MemoryPart, MemoryPlan, Profile

STANDIN = Path(__file__).with_name("trtllm_serve.py")
GIB = 1 << 30


def a_profile(**changes: object) -> Profile:
    parts = (
        MemoryPart("weights", 9 * GIB), MemoryPart("KV cache", 2 * GIB), MemoryPart("activations", GIB),
        MemoryPart("CUDA contexts", GIB), MemoryPart("embedder", GIB), MemoryPart("vector index", GIB),
        MemoryPart("head-room", GIB),
    )  # fmt: skip
    values: dict[str, object] = {
        "name": "trtllm-fp8-tp1", "model": "tiny", "backend": "tensorrt-llm", "precision": "fp8", "kv_precision": "fp8",
        "tensor_parallel": 1, "gpus": (0,), "context_tokens": 8192, "concurrency": 4, "kv_bytes_per_token": 65536,
        "memory": (MemoryPlan("GPU 0", 24 * GIB, parts),), "fit": "runnable",
    }  # fmt: skip
    return Profile(**{**values, **changes})  # type: ignore[arg-type]  # by name


@dataclass
class Standin:
    """An engine on the stand-in, and what the stand-in saw."""

    engine: TensorRtLlm
    folder: Path

    @property
    def starts(self) -> list[int]:
        return [int(line) for line in self._lines("starts")]

    @property
    def requests(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self._lines("requests")]

    @property
    def processes(self) -> list[psutil.Process]:
        return family_of(self.engine)

    def be_unwell(self, unwell: bool) -> None:
        file = self.folder / "unwell"
        file.touch() if unwell else file.unlink()

    def _lines(self, file: str) -> list[str]:
        path = self.folder / file
        return path.read_text("utf-8").splitlines() if path.exists() else []


def a_standin(program: Path, **told: object) -> Path:
    """A program that is the stand-in with these variables, since an engine gets few of ours: LOADING_S=1 for
    STANDIN_LOADING_S."""
    program.parent.mkdir(parents=True, exist_ok=True)
    variables = [f"STANDIN_{name}={shlex.quote(str(value))}" for name, value in told.items()]
    program.write_text(f'#!/bin/sh\nexec env {" ".join(variables)} {shlex.quote(str(STANDIN))} "$@"\n')
    program.chmod(0o755)
    return program


def family_of(engine: Supervisor) -> list[psutil.Process]:
    """All processes that came of it: the guard, the server and its workers."""
    ((name, value),) = engine._mark.items()
    return processes_with(name, value)


def processes_with(name: str, value: str) -> list[psutil.Process]:
    """Those that have the variable, zombies left out."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(name) == value and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


def wait_until(condition: Callable[[], object], limit_s: float = 30.0) -> None:
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.01)
