"""The parent's end of the ingest process: starts it, hands it folders, and tells what it says."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from ingest.events import Activity, IngestEvent, MirrorDone, MirrorFailed, from_json
from ingest.requests import MirrorRequest, WorkerSetup

_log = logging.getLogger(__name__)
_ROOT = Path(__file__).resolve().parents[1]
_STOP_S = 3.0

Listener = Callable[[IngestEvent], None]


class IngestProcess:
    """Started with the first folder; started again, if it died, with the next one. Thread-safe."""

    def __init__(self, setup: WorkerSetup, *, log_file: Path, inherited: Sequence[int] = ()) -> None:
        """`inherited` file descriptors stay open in the child: with the data folder's lock among them, no other owner
        can begin before the child, too, has ended."""
        self._setup = setup
        self._log_file = log_file
        self._inherited = tuple(inherited)
        self._lock = threading.Lock()
        self._child: subprocess.Popen[str] | None = None
        self._waiting: dict[int, tuple[MirrorRequest, Listener]] = {}
        self._next_id = 1
        self._activity: Activity | None = None

    @property
    def activity(self) -> Activity | None:
        """What it is doing now; None when idle."""
        with self._lock:
            return self._activity if self._waiting else None

    def mirror(self, collection: str, folder: Path, *, hidden: bool, listener: Listener) -> None:
        """Have the folder mirrored after those asked for earlier. `listener` hears every event of it, from another
        thread; the last is MirrorDone or MirrorFailed."""
        with self._lock:
            request = MirrorRequest(self._next_id, collection, str(folder), hidden)
            self._next_id += 1
            self._waiting[request.id] = (request, listener)
            self._send({"mirror": asdict(request)})

    def cancel(self) -> None:
        """Stop the mirror under way and those that wait; each listener hears of it."""
        with self._lock:
            if self._child is not None and self._waiting:
                self._send({"cancel": True})

    def close(self) -> None:
        """End the process, in the middle of a file if need be."""
        with self._lock:
            child = self._child
        if child is None:
            return
        assert child.stdin is not None
        child.stdin.close()
        try:
            child.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()

    def _send(self, message: dict[str, object]) -> None:
        if self._child is None or self._child.poll() is not None:
            self._child = self._start()
        assert self._child.stdin is not None
        self._child.stdin.write(json.dumps(message) + "\n")
        self._child.stdin.flush()

    def _start(self) -> subprocess.Popen[str]:
        self._log_file.parent.mkdir(parents=True, exist_ok=True)
        with self._log_file.open("a") as log:
            child = subprocess.Popen(
                [sys.executable, "-m", "ingest.worker"],
                cwd=_ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                pass_fds=self._inherited,
                start_new_session=True,  # Ctrl-C at the terminal is the parent's to handle
            )
        assert child.stdin is not None
        child.stdin.write(json.dumps(asdict(self._setup)) + "\n")
        threading.Thread(target=self._listen, args=(child,), name="ingest-events", daemon=True).start()
        return child

    def _listen(self, child: subprocess.Popen[str]) -> None:
        assert child.stdout is not None
        with child.stdout:
            for line in child.stdout:
                fields = json.loads(line)
                self._tell(fields.pop("request"), from_json(fields))
        code = child.wait()
        for request, _ in list(self._waiting.values()):
            message = (
                f"The ingest process ended (exit status {code}); {self._log_file} says why. Ingest again to go on."
            )
            self._tell(request.id, MirrorFailed(request.collection, request.folder, "worker_died", message))

    def _tell(self, request_id: int, event: IngestEvent) -> None:
        with self._lock:
            _, listener = self._waiting[request_id]
            if isinstance(event, Activity):
                self._activity = event
            elif isinstance(event, MirrorDone | MirrorFailed):
                del self._waiting[request_id]
        listener(event)
