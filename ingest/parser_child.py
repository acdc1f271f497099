"""One parser process as its pool sees it: started, asked, watched by the clock, killed, cleaned up after."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import IO

from ingest import messages
from ingest.errors import ParserDied, ParserKilled, ParserUnavailable
from ingest.limits import Limits
from ingest.messages import BadMessage, Message
from ingest.network_ban import NetworkBan
from ingest.parser_process import OUT_OF_MEMORY
from ingest.sandbox import SandboxReport, kill_family
from ingest.scratch import Scratch
from models.engines.families import end_family, new_mark

START_S = 60.0
END_FAMILY_S = 2.0
SIGKILL = 9
KEPT_VARIABLES = ("PATH", "LD_LIBRARY_PATH", "SYSTEMROOT", "TZ")


class ParserChild:
    """Started by its constructor; one thread at a time may `ask`, any thread may `kill`.

    It must be started by a thread that lives as long as the child is wanted: Linux sends the death signal when the
    *thread* that made the child ends. Raises ParserUnavailable when no process comes up.
    """

    def __init__(self, limits: Limits, *, niceness: int, network: NetworkBan) -> None:
        self._limits = limits
        self._killed_because: str | None = None
        self._mark = new_mark()  # its converters bear it, also those that left for a session of their own
        self._own = _scratch()
        self._scratch = self._own.path
        self._process = self._start()
        self.files_read = 0
        self.resident_bytes = 0
        self.peak_bytes = 0
        self.idle = False
        self.sandbox = self._greet(niceness, network)

    @property
    def process_id(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def ask(self, request: Message) -> Iterator[Message]:
        """Send a request and yield its answers as they come. Raises ParserDied or ParserKilled, with the reason."""
        self.idle = False
        remaining_s, recognising_s = self._limits.wall_s, self._limits.ocr_s
        self._send(request)
        while True:
            started = time.monotonic()
            if remaining_s < self._limits.silence_s:
                message = self._receive(remaining_s, f"time limit: {self._limits.wall_s:g} s for one file")
            else:
                message = self._receive(self._limits.silence_s, f"time limit: no page for {self._limits.silence_s:g} s")
            # Only our waiting counts: what the caller does between two pages is not the file's fault. Text recognition
            # is slow and has a time of its own.
            waited_s = time.monotonic() - started
            if messages.was_recognised(message) and recognising_s > waited_s:
                recognising_s -= waited_s
            else:
                remaining_s -= waited_s
            if messages.FINAL.isdisjoint(message):
                yield message
                continue
            self._note_memory(message)
            self.files_read += 1
            self.idle = True
            yield message
            return

    def kill(self, reason: str) -> None:
        """End the process and its converters at once; the first reason given is the one that `ask` reports."""
        self._killed_because = self._killed_because or reason
        kill_family(self._process)
        end_family(self._mark, grace_s=0, limit_s=END_FAMILY_S)

    def close(self) -> None:
        """Leave neither a process nor a file behind."""
        self.kill("closed")
        self._process.wait()
        for pipe in (self._input, self._output):
            with suppress(OSError):  # closing flushes, and nobody reads any more
                pipe.close()
        self._own.close()

    @property
    def _input(self) -> IO[bytes]:
        assert self._process.stdin is not None
        return self._process.stdin

    @property
    def _output(self) -> IO[bytes]:
        assert self._process.stdout is not None
        return self._process.stdout

    def _start(self) -> subprocess.Popen[bytes]:
        try:
            with (self._scratch / "errors.txt").open("wb") as errors:
                return subprocess.Popen(
                    [sys.executable, "-P", "-m", "ingest.parser_process"],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=errors,
                    cwd=self._scratch,
                    env=_environment(self._scratch) | self._mark,
                    start_new_session=True,
                )
        except OSError as exc:
            self._own.close()
            raise _unavailable(f"in {self._scratch}", exc) from exc

    def _greet(self, niceness: int, network: NetworkBan) -> SandboxReport:
        try:
            self._send({"start": {"limits": asdict(self._limits), "niceness": niceness, "network": network}})
            ready = self._receive(START_S, f"not ready after {START_S:.0f} s")["ready"]
        except (ParserDied, ParserKilled, KeyError) as exc:
            said = self._last_words()
            self.close()
            raise ParserUnavailable(f"No parser process starts. Run `python app.py doctor`. It said: {said}") from exc
        assert isinstance(ready, dict)
        self.idle = True
        return SandboxReport(**ready)

    def _last_words(self) -> str:
        try:
            return (self._scratch / "errors.txt").read_text(errors="replace")[-800:].strip()
        except OSError as exc:
            return f"nothing that can be read ({exc.strerror})"

    def _send(self, message: Message) -> None:
        try:
            self._input.write(messages.encode(message))
            self._input.flush()
        except OSError as exc:
            raise self._obituary() from exc

    def _receive(self, wait_s: float, too_late: str) -> Message:
        with self._deadline(wait_s, too_late):
            line = self._output.readline(self._limits.message_bytes)
        if not line.endswith(b"\n"):
            if len(line) >= self._limits.message_bytes:
                self.kill(f"it sent a page of more than {self._limits.message_bytes:,} bytes")
            raise self._obituary()
        try:
            return messages.decode(line)
        except BadMessage as exc:
            self.kill("it broke the protocol")
            raise self._obituary() from exc

    @contextmanager
    def _deadline(self, seconds: float, reason: str) -> Iterator[None]:
        timer = threading.Timer(max(seconds, 0.0), self.kill, [reason])
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _note_memory(self, message: Message) -> None:
        resident, peak = message.get("resident_bytes"), message.get("peak_bytes")
        self.resident_bytes = resident if isinstance(resident, int) else 0
        self.peak_bytes = peak if isinstance(peak, int) else 0

    def _obituary(self) -> ParserDied | ParserKilled:
        """What the parser died of, once it has ended (its output is closed, so it has or is about to)."""
        try:
            status = self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self.kill("it closed its output and went on")
            status = self._process.wait()
        if status == -SIGKILL and not self._killed_because:
            return ParserKilled("the parser was killed by the system, which was probably out of memory")
        return ParserDied(self._killed_because or _cause(status, self._limits))


def _scratch() -> Scratch:
    try:
        return Scratch()
    except OSError as exc:
        raise _unavailable(f"without a folder in {exc.filename or 'the temporary folder'}", exc) from exc


def _unavailable(where: str, exc: OSError) -> ParserUnavailable:
    code = errno.errorcode.get(exc.errno or 0, "no number")
    return ParserUnavailable(
        f"No parser process starts {where} ({exc.strerror or exc}, {code}). No file is at fault. Is the disk full, or "
        "the number of processes or open files used up? Make room, or let TMPDIR name another folder."
    )


def _cause(status: int, limits: Limits) -> str:
    if status == OUT_OF_MEMORY:
        return f"out of memory: the limit is {limits.memory_bytes >> 20} MiB"
    if status >= 0:
        return f"the parser process ended with status {status}"
    name = signal.Signals(-status).name
    if name == "SIGXCPU":
        return f"time limit: {limits.cpu_s} s of processor time"
    return f"the parser process crashed ({name}), perhaps at its memory limit of {limits.memory_bytes >> 20} MiB"


def _environment(scratch: Path) -> dict[str, str]:
    """No tokens, keys or proxies; telemetry off; one thread for each library, since files are read side by side."""
    kept = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
    return kept | {
        "HOME": str(scratch),
        "TMPDIR": str(scratch),
        "LANG": "C.UTF-8",
        "PYTHONPATH": str(Path(__file__).resolve().parents[1]),
        "PYTHONUTF8": "1",
        "DO_NOT_TRACK": "true",
        "SCARF_NO_ANALYTICS": "true",
        "UNSTRUCTURED_DISABLE_NOTICE": "1",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "MALLOC_ARENA_MAX": "2",
    }
