"""What an engine's process prints: kept in one file, cut when it has grown, and read again for people."""

from __future__ import annotations

import re
from pathlib import Path
from typing import IO

LONGEST_BYTES = 10 << 20
TAIL_BYTES = 16 << 10

_PROGRESS = re.compile(r"([A-Z][\w ]{2,60}): +(\d{1,3})%\|")
"""As tqdm draws it: "Loading weights:  45%|####      | 5/11"."""


class EngineLog:
    """Appended to by one start after the other. When a start finds more than 10 MB there, the file gets the ending
    `.1`, and what was there before goes."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._start_bytes = 0

    def open(self) -> IO[bytes]:
        """For the process that is about to start. Raises OSError."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        if self.file.exists() and self.file.stat().st_size > LONGEST_BYTES:
            self.file.replace(self.file.with_name(self.file.name + ".1"))
        log = self.file.open("ab")
        self._start_bytes = log.tell()
        return log

    def tail(self, lines: int = 15) -> str:
        """The last lines since the latest start."""
        said = [line for line in re.split(r"[\r\n]+", self._read()) if line.strip()]
        return "\n".join(said[-lines:])

    def progress(self) -> str | None:
        """How far the loading is, where the engine draws a bar: "Loading weights: 45%"."""
        bars = _PROGRESS.findall(self._read())
        return f"{bars[-1][0].strip()}: {bars[-1][1]}%" if bars else None

    def _read(self) -> str:
        try:
            with self.file.open("rb") as log:
                size_bytes = log.seek(0, 2)
                log.seek(max(self._start_bytes, size_bytes - TAIL_BYTES))
                return log.read().decode("utf-8", "replace")
        except OSError:
            return ""
