"""Looks at the machine for the device panel: its memory, its GPUs, its engines, and what they are doing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

import psutil

from models.devices import Devices, Gpu, detect
from models.engines.meter import Meter
from models.planning.profile import MemoryPart, Profile
from rag.engines import Engines
from rag.machine import GpuStatus, MachineStatus

FRESH_S = 2.0
"""Asking the driver takes tens of milliseconds, and several pages may look at once."""


class Observer:
    """Thread-safe. `profile` is the local language model's, whose plan covers what else is on its GPUs."""

    def __init__(
        self,
        engines: Engines,
        meter: Meter,
        profile: Profile | None,
        *,
        look: Callable[[], Devices] = detect,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engines = engines
        self._meter = meter
        self._profile = profile
        self._look = look
        self._clock = clock
        self._lock = threading.Lock()
        self._seen: tuple[float, Devices, int] | None = None

    def machine(self, choices: Sequence[str]) -> MachineStatus:
        devices, used_bytes = self._machine()
        traffic = self._meter.traffic()
        return MachineStatus(
            cores=devices.cores,
            memory_bytes=devices.memory_bytes,
            memory_used_bytes=used_bytes,
            gpus=tuple(GpuStatus(g.index, g.name, g.memory_bytes, _used(g), self._parts(g)) for g in devices.gpus),
            engines=self._engines.status(),
            running=traffic.running,
            waiting=traffic.waiting,
            tokens_per_s=traffic.tokens_per_s,
            choices=tuple(choices),
        )

    def _machine(self) -> tuple[Devices, int]:
        with self._lock:
            if self._seen is None or self._clock() - self._seen[0] > FRESH_S:
                self._seen = (self._clock(), self._look(), family_bytes())
            return self._seen[1], self._seen[2]

    def _parts(self, gpu: Gpu) -> tuple[MemoryPart, ...]:
        """What is planned for it."""
        if self._profile is None or gpu.index not in self._profile.gpus:
            return ()
        return self._profile.memory[self._profile.gpus.index(gpu.index)].parts


def family_bytes() -> int:
    """Resident memory of this process and all that came of it; what they share is counted for each."""
    process = psutil.Process()
    return sum(map(_resident_bytes, [process, *process.children(recursive=True)]))


def _resident_bytes(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0  # it has ended meanwhile


def _used(gpu: Gpu) -> int:
    return gpu.memory_bytes - gpu.free_bytes
