"""llama.cpp as a supervised child process: started when first needed, started again when it has crashed."""

from __future__ import annotations

import json
import logging
import os
import secrets
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from models.cancellation import CancelToken
from models.devices import LlamaThreads
from models.engines.endpoint import Address
from models.engines.llama_server import API_KEY_VARIABLE
from models.errors import EngineUnavailable

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0
STEADY_AFTER_S = 60.0
"""A child that lived this long was all right: its crash does not count towards the pause before the next start."""

STOP_S = 3.0

logger = logging.getLogger(__name__)


@dataclass
class _Child:
    """One life of the process. `announced` is set when it said its address, or ended without."""

    process: subprocess.Popen[bytes]
    started_s: float
    announced: threading.Event = field(default_factory=threading.Event)
    url: str | None = None

    @property
    def running(self) -> bool:
        return self.process.poll() is None


class LlamaServer:
    """The server for one GGUF file. Thread-safe. Fulfils `models.engines.endpoint.Endpoint`: whoever asks for its
    address gets it when the model is loaded, and starts the server again if it has crashed, after a growing pause."""

    def __init__(self, model_file: Path, context_tokens: int, threads: LlamaThreads, log_file: Path) -> None:
        self._model_file = model_file
        self._context_tokens = context_tokens
        self._threads = threads
        self._log_file = log_file
        self._api_key = secrets.token_urlsafe(32)
        self._lock = threading.Lock()
        self._child: _Child | None = None
        self._crashes = 0
        self._crashed_s = 0.0
        self._stopped = False

    @property
    def alive(self) -> bool:
        """Whether the process runs; it may still be loading."""
        child = self._child
        return child is not None and child.running

    @property
    def url(self) -> str | None:
        """Where it listens, once it is loaded."""
        child = self._child
        return child.url if child and child.running else None

    def start(self) -> None:
        """Begin to start, without waiting. Raises `EngineUnavailable` after `stop`, or soon after a crash."""
        with self._lock:
            self._running_child()

    def wait_ready(self, cancel: CancelToken) -> None:
        """Return when it answers. Raises `EngineUnavailable` when it ended meanwhile, `Cancelled`."""
        self.address(cancel)

    def address(self, cancel: CancelToken) -> Address:
        """Where to send a request, as soon as it will be answered. Raises `EngineUnavailable`, `Cancelled`."""
        with self._lock:
            child = self._running_child()
        while not child.announced.wait(0.1):
            cancel.check()
        if child.url is None:
            raise EngineUnavailable(f"llama.cpp ended while it loaded {self._model_file.name}; see {self._log_file}")
        return Address(child.url, self._api_key)

    def stop(self) -> None:
        """End it for good, within a few seconds."""
        with self._lock:
            self._stopped = True
            child = self._child
        if child is None:
            return
        if child.process.stdin:
            child.process.stdin.close()
        try:
            child.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            child.process.kill()
            child.process.wait()

    def _running_child(self) -> _Child:
        """The child, a new one where there is none; under the lock."""
        if self._stopped:
            raise EngineUnavailable(f"the server of {self._model_file.name} was stopped")
        if self._child and self._child.running:
            return self._child
        if self._child:
            self._note_crash(self._child)
        left_s = self._crashed_s + self._pause_s() - time.monotonic()
        if left_s > 0:
            raise EngineUnavailable(
                f"llama.cpp ended {self._crashes} times in a row with {self._model_file.name}; "
                f"it starts again in {left_s:.0f} s; see {self._log_file}"
            )
        self._child = self._spawn()
        return self._child

    def _pause_s(self) -> float:
        """None after the first crash, so that whoever asks next gets a new server at once; then 1, 2, 4, … s."""
        if self._crashes < 2:
            return 0.0
        return min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** (self._crashes - 2))

    def _note_crash(self, child: _Child) -> None:
        self._child = None
        self._crashed_s = time.monotonic()
        self._crashes = 1 if self._crashed_s - child.started_s > STEADY_AFTER_S else self._crashes + 1
        if child.process.stdin:
            child.process.stdin.close()
        logger.warning("llama.cpp ended with status %s, crash %d", child.process.returncode, self._crashes)

    def _spawn(self) -> _Child:
        # OpenMP's threads would spin on a core while they wait; passive ones leave it to the search.
        environment = {**os.environ, "OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "0"}
        environment[API_KEY_VARIABLE] = self._api_key
        try:
            self._log_file.parent.mkdir(parents=True, exist_ok=True)
            with self._log_file.open("ab") as log:
                process = subprocess.Popen(
                    self._command(),
                    cwd=Path(__file__).resolve().parents[2],
                    env=environment,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                )
        except OSError as exc:
            raise EngineUnavailable(f"llama.cpp cannot be started: {exc}") from exc
        child = _Child(process, time.monotonic())
        threading.Thread(target=self._listen, args=(child,), name="llama-listener", daemon=True).start()
        return child

    def _command(self) -> list[str]:
        return [
            sys.executable, "-m", "models.engines.llama_server",
            "--model", str(self._model_file.resolve()),
            "--alias", self._model_file.stem,
            "--context-tokens", str(self._context_tokens),
            "--decode-threads", str(self._threads.decode),
            "--prefill-threads", str(self._threads.prefill),
        ]  # fmt: skip

    def _listen(self, child: _Child) -> None:
        """Hear the address, then the end of the process, on a thread of its own."""
        assert child.process.stdout is not None
        with child.process.stdout as announcements:
            line = announcements.readline()
            if line:
                child.url = json.loads(line)["url"]
                loaded_ms = int(1000 * (time.monotonic() - child.started_s))
                logger.info("llama.cpp serves %s after %d ms", self._model_file.name, loaded_ms)
            child.announced.set()
            announcements.read()
        child.process.wait()
