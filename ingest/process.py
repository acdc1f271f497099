"""The parent's end of the ingest process: starts it, hands it folders, and tells what it says."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import IO

from ingest.events import Activity, IngestEvent, MirrorDone, MirrorFailed, from_json
from ingest.lending import Lender
from ingest.lent_embedder import Message
from ingest.requests import MirrorRequest, WorkerSetup
from models.interfaces import Embedder

_log = logging.getLogger(__name__)
_ROOT = Path(__file__).resolve().parents[1]
_STOP_S = 3.0

Listener = Callable[[IngestEvent], None]


@dataclass
class Mirroring:
    """A folder that is being mirrored, or waits for it. `done` is set after its listener has heard the last event."""

    request: MirrorRequest
    listener: Listener
    done: threading.Event = field(default_factory=threading.Event)

    def fail(self, code: str, message: str) -> MirrorFailed:
        return MirrorFailed(self.request.collection, self.request.folder, code, message)


@dataclass
class _Child:
    """One life of the process, with what it was asked for and has not finished; and whoever listens to it."""

    process: subprocess.Popen[str]
    waiting: dict[int, Mirroring] = field(default_factory=dict)
    activity: Activity | None = None
    ear: threading.Thread | None = None
    lender: Lender | None = None
    sending: threading.Lock = field(default_factory=threading.Lock)

    @property
    def input(self) -> IO[str]:
        assert self.process.stdin is not None
        return self.process.stdin

    def send(self, message: Message) -> None:
        """Raises OSError when it has ended."""
        line = json.dumps(message) + "\n"
        with self.sending:
            self.input.write(line)
            self.input.flush()


class IngestProcess:
    """Started with the first folder; started again, if it died, with the next one. Thread-safe."""

    def __init__(
        self,
        setup: WorkerSetup,
        *,
        log_file: Path,
        inherited: Sequence[int] = (),
        embedder: Callable[[], Embedder] | None = None,
    ) -> None:
        """`inherited` file descriptors stay open in the child: with the data folder's lock among them, no other owner
        can begin before the child, too, has ended. `embedder` gives the embedder that a child borrows, the first time
        perhaps slowly; without one the child has its own."""
        self._setup = replace(setup, lent_embedder=embedder is not None)
        self._embedder = embedder
        self._log_file = log_file
        self._inherited = tuple(inherited)
        self._lock = threading.Lock()
        self._child: _Child | None = None
        self._next_id = 1
        self._closed = False

    @property
    def activity(self) -> Activity | None:
        """What it is doing now; None when idle."""
        with self._lock:
            return self._child.activity if self._child else None

    @property
    def process_id(self) -> int | None:
        """None while it does not run."""
        with self._lock:
            return self._child.process.pid if self._child and self._child.process.poll() is None else None

    def mirror(self, collection: str, folder: Path, *, hidden: bool, listener: Listener) -> Mirroring:
        """Have the folder mirrored after those asked for earlier. `listener` hears every event of it, from another
        thread; the last is MirrorDone or MirrorFailed, whatever happens."""
        with self._lock:
            mirroring = Mirroring(MirrorRequest(self._next_id, collection, str(folder), hidden), listener)
            self._next_id += 1
            if not self._closed and self._ask(mirroring):
                return mirroring
        reason = "Lectern is ending." if self._closed else f"The ingest process does not start; see {self._log_file}."
        _finish(mirroring, mirroring.fail("closed" if self._closed else "worker_died", reason))
        return mirroring

    def cancel(self, mirroring: Mirroring) -> None:
        """Stop it, before it begins or in the middle; its listener hears of it."""
        with self._lock:
            child = self._child
            if child is not None and mirroring.request.id in child.waiting:
                with suppress(OSError, ValueError):  # it ended; the listener hears of that
                    child.send({"cancel": mirroring.request.id})

    def under_way(self, collection: str | None = None, folder: Path | None = None) -> list[Mirroring]:
        """What runs and what waits, of one collection or folder or of all."""
        with self._lock:
            mirrorings = list(self._child.waiting.values()) if self._child else []
        return [
            mirroring
            for mirroring in mirrorings
            if collection in (None, mirroring.request.collection)
            and (folder is None or str(folder) == mirroring.request.folder)
        ]

    def close(self) -> None:
        """End the process, in the middle of a file if need be; every listener hears of it. It starts no more."""
        with self._lock:
            self._closed = True
            child = self._child
            if child is None:
                return
            with suppress(OSError):
                child.input.close()
        try:
            child.process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            child.process.kill()
            child.process.wait()
        if child.ear is not None and child.ear is not threading.current_thread():
            child.ear.join(_STOP_S)

    def _ask(self, mirroring: Mirroring) -> bool:
        """Give it to the child, to a new one when it has died; false when that dies at once, too."""
        for _ in range(2):
            if self._child is None or self._child.process.poll() is not None:
                self._child = self._start()
            child = self._child
            child.waiting[mirroring.request.id] = mirroring
            try:
                child.send({"mirror": asdict(mirroring.request)})
                return True
            except OSError:
                # Its listener has not looked yet, since it needs the lock: this one is not its to fail.
                del child.waiting[mirroring.request.id]
                child.process.wait()
        return False

    def _start(self) -> _Child:
        self._log_file.parent.mkdir(parents=True, exist_ok=True)
        with self._log_file.open("a") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "ingest.worker"],
                cwd=_ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                pass_fds=self._inherited,
                start_new_session=True,  # Ctrl-C at the terminal is the parent's to handle
            )
        child = _Child(process)
        if self._embedder is not None:
            child.lender = Lender(self._embedder, child.send)
        with suppress(OSError):  # the request that follows will tell
            child.send(asdict(self._setup))
        child.ear = threading.Thread(target=self._listen, args=(child,), name="ingest-events", daemon=True)
        child.ear.start()
        return child

    def _listen(self, child: _Child) -> None:
        assert child.process.stdout is not None
        with child.process.stdout:
            for line in child.process.stdout:
                try:
                    fields = json.loads(line)
                except ValueError:
                    continue  # the half line of a process that was killed
                if child.lender is not None and "embed" in fields:
                    child.lender.take(fields)
                else:
                    self._tell(child, fields.pop("request"), from_json(fields))
        if child.lender is not None:
            child.lender.close()
        status = child.process.wait()
        code, message = "worker_died", f"The ingest process ended (exit status {status}); {self._log_file} says why."
        if self._closed:
            code, message = "closed", "Lectern is ending; what was read stays, and the next run goes on."
        else:
            _log.warning("the ingest process ended with status %s", status)
        with self._lock:
            left, child.waiting, child.activity = list(child.waiting.values()), {}, None
            with suppress(OSError):
                child.input.close()
        for mirroring in left:
            _finish(mirroring, mirroring.fail(code, message))

    def _tell(self, child: _Child, request_id: int, event: IngestEvent) -> None:
        last = isinstance(event, MirrorDone | MirrorFailed)
        with self._lock:
            mirroring = child.waiting.pop(request_id) if last else child.waiting[request_id]
            child.activity = event if isinstance(event, Activity) else None if last else child.activity
        if last:
            _finish(mirroring, event)
        else:
            mirroring.listener(event)


def _finish(mirroring: Mirroring, event: IngestEvent) -> None:
    try:
        mirroring.listener(event)
    finally:
        mirroring.done.set()
