"""The other end of `mirror_driver.py`: starts it, asks it, kills it."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DRIVER = Path(__file__).with_name("mirror_driver.py")


class Driver:
    """The process that mirrors; started when first asked, and again after it was killed."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self._process: subprocess.Popen[str] | None = None

    def mirror(self, home: Path, folder: Path, *, last: bool = False) -> dict[str, list[int]]:
        """`last`: this data folder is not needed any more."""
        for message in self._events(home, folder, last):
            if "done" in message:
                return message["done"]
        self.kill()
        raise AssertionError(f"the driver ended by itself:\n{(self._place / 'driver.log').read_text()[-4000:]}")

    def mirror_and_die(self, home: Path, folder: Path, events: int, wait_s: float) -> str:
        """Kill it `wait_s` after so many events, or after the last one; says which was the last."""
        came = []
        for message in itertools.islice(self._events(home, folder, last=False), events):
            came.append(message)
            if "done" in message:
                break
        time.sleep(wait_s)
        came += self.kill()
        return came[-1].get("event", "the end") if came else "the request"

    def kill(self) -> list[dict]:
        """What it had still said."""
        if self._process is None:
            return []
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        said, _ = self._process.communicate()
        self._process = None
        return [json.loads(line) for line in said.splitlines(keepends=True) if line.endswith("\n")]

    def _events(self, home: Path, folder: Path, last: bool) -> Iterator[dict]:
        if self._process is None:
            self._process = self._start()
        self._process.stdin.write(json.dumps({"home": str(home), "folder": str(folder), "last": last}) + "\n")
        self._process.stdin.flush()
        for line in self._process.stdout:
            yield json.loads(line)

    def _start(self) -> subprocess.Popen[str]:
        with (self._place / "driver.log").open("w") as log:
            process = subprocess.Popen(
                [sys.executable, str(DRIVER)],
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(self._place)},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
            )
        process.stdout.readline()  # it is ready
        return process
