"""What a supervisor runs: a program, one life of it as a process, and how it shows that it will answer."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from typing import IO, Literal, Protocol

from models.engines.endpoint import Address

Health = Literal["well", "unwell", "silent"]


class Readiness(Protocol):
    """What an engine's process has to show before it is asked anything. Called from one thread, again and again."""

    def address(self) -> Address | None:
        """Where it will answer the next request, or None as long as it would not. May take seconds. Raises
        `EngineError` when it will never be ready."""

    def health(self) -> Health:
        """Of an engine that was ready. "unwell": it says so itself; "silent": it says nothing."""


@dataclass(frozen=True)
class Child:
    """One life of the process. It ends, with all that came of it, when its standard input is closed."""

    process: subprocess.Popen[bytes]
    readiness: Readiness


class Program(Protocol):
    @property
    def name(self) -> str:
        """For people: "llama.cpp with smollm2.gguf"."""

    def launch(self, log: IO[bytes], mark: Mapping[str, str]) -> Child:
        """Start the process, `mark` in its environment and what it prints in `log`. Raises `OSError`, `EngineError`."""


def cause_of_end(status: int) -> str:
    """How a process ended; a guard says of a child that a signal killed it what a shell says: 128 and its number."""
    number = -status if status < 0 else status - 128
    try:
        return f"was ended by {signal.Signals(number).name}"
    except ValueError:
        return f"ended with status {status}"
