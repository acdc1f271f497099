"""What runs on this machine right now, for the device panel: GPU memory by part, engines, their traffic."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from models.planning.profile import MemoryPart

EngineState = Literal["ready", "loading", "restarting", "down", "not started"]


@dataclass(frozen=True)
class GpuStatus:
    """`used_bytes` is what the driver says is taken, by whomever; `parts` is what Lectern planned to put there."""

    index: int
    name: str
    memory_bytes: int
    used_bytes: int
    parts: tuple[MemoryPart, ...]


@dataclass(frozen=True)
class EngineStatus:
    """One engine of the fail-over order. `host` is where document text would go; `detail` is a sentence for people."""

    name: str
    model: str
    place: Literal["local", "self-hosted", "remote"]
    host: str
    state: EngineState
    detail: str


@dataclass(frozen=True)
class MachineStatus:
    """`tokens_per_s` is what all answers under way get together, averaged over the last seconds; `running` and
    `waiting` count requests to language models. `memory_used_bytes`: resident, of Lectern and its children."""

    cores: int
    memory_bytes: int
    memory_used_bytes: int
    gpus: tuple[GpuStatus, ...]
    engines: tuple[EngineStatus, ...]
    running: int
    waiting: int
    tokens_per_s: float
    choices: tuple[str, ...]
