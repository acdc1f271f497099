"""The parent's end of the ingest process: starts it, hands it folders, and tells what it says."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import IO

from ingest.events import Activity, FolderState, IngestEvent, InStep, MirrorDone, MirrorFailed, from_json
from ingest.lending import Lender
from ingest.lent_embedder import Message
from ingest.requests import MirrorRequest, WorkerSetup
from models.interfaces import Embedder

_log = logging.getLogger(__name__)
_ROOT = Path(__file__).resolve().parents[1]
_STOP_S = 3.0
_RESTART_S, _LONGEST_RESTART_S = 1.0, 60.0

Place = tuple[str, str]
"""A collection's name and a folder's path."""
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
    leaving: dict[int, threading.Event] = field(default_factory=dict)
    activities: dict[Place, Activity] = field(default_factory=dict)
    folders: dict[Place, FolderState] = field(default_factory=dict)
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
    """Started with the first folder; started again, if it died, with the next one, or at once when it follows folders.
    Thread-safe."""

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
        self._closed = threading.Event()
        self._following: set[Place] | None = set()  # None: all
        self._listeners: dict[Place, list[Listener]] = {}
        self._restart_s = _RESTART_S

    def activity(self, collection: str | None = None) -> Activity | None:
        """What it is doing now, for that collection or any; None when nothing."""
        with self._lock:
            found = list(self._child.activities.values()) if self._child else []
        return next((activity for activity in found if collection in (None, activity.collection)), None)

    def folder_states(self) -> dict[Place, FolderState]:
        """How each followed folder is looked at."""
        with self._lock:
            return dict(self._child.folders) if self._child else {}

    @property
    def process_id(self) -> int | None:
        """None while it does not run."""
        with self._lock:
            return self._child.process.pid if self._child and self._child.process.poll() is None else None

    def mirror(
        self,
        collection: str,
        folder: Path,
        *,
        hidden: bool,
        rules: Sequence[str] | None = None,
        listener: Listener,
    ) -> Mirroring:
        """Have the folder mirrored now, beside others. `listener` hears every event of it, from another thread; the
        last is MirrorDone or MirrorFailed, whatever happens. `rules` of None are those that the folder has."""
        with self._lock:
            lines = None if rules is None else tuple(rules)
            mirroring = Mirroring(MirrorRequest(self._next_id, collection, str(folder), hidden, lines), listener)
            self._next_id += 1
            if not self._closed.is_set() and self._ask(mirroring):
                return mirroring
        closed = self._closed.is_set()
        reason = "Lectern is ending." if closed else f"The ingest process does not start; see {self._log_file}."
        _finish(mirroring, mirroring.fail("closed" if closed else "worker_died", reason))
        return mirroring

    def follow_all(self) -> None:
        """Keep every folder of every collection in step from now on, those that are added later too."""
        with self._lock:
            self._following = None
            self._tell_child({"follow": None})

    def follow(self, collection: str, folder: Path) -> None:
        """Keep that folder in step from now on."""
        with self._lock:
            if self._following is not None:
                self._following.add((collection, str(folder)))
                self._tell_child({"follow": [collection, str(folder)]})

    @contextmanager
    def listening(self, collection: str, folder: Path, listener: Listener) -> Iterator[None]:
        """Within the block, `listener` hears what happens to the folder, from another thread."""
        place = (collection, str(folder))
        with self._lock:
            self._listeners.setdefault(place, []).append(listener)
        try:
            yield
        finally:
            with self._lock:
                self._listeners[place].remove(listener)

    def leave(self, collection: str, folder: Path | None, wait_s: float) -> bool:
        """Work on the folder, or all of the collection, no longer; true once nothing writes for it any more."""
        with self._lock:
            if self._following:
                gone = {place for place in self._following if _is_at(place, collection, folder)}
                self._following -= gone
            child = self._child
            if child is None or child.process.poll() is not None:
                return True
            request, left = self._next_id, threading.Event()
            self._next_id += 1
            child.leaving[request] = left
            with suppress(OSError):  # it ended, and whoever waits hears of it
                child.send({"leave": [collection, str(folder) if folder else None], "id": request})
        return left.wait(wait_s)

    def wake(self) -> None:
        """The queue, or a pause, was changed: look at once."""
        with self._lock:
            if self._child is not None:
                with suppress(OSError, ValueError):
                    self._child.send({"wake": True})

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
            self._closed.set()
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

    def _tell_child(self, message: Message) -> None:
        """Start one if need be. A new one hears of all that is followed anyway."""
        if self._closed.is_set():
            return
        if self._child is None or self._child.process.poll() is not None:
            self._child = self._start()
        else:
            with suppress(OSError):  # it ended; its successor is told
                self._child.send(message)

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
            places = [None] if self._following is None else [list(place) for place in self._following]
            for place in places:
                child.send({"follow": place})
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
                elif "left" in fields:
                    with self._lock:
                        child.leaving.pop(fields["left"]).set()
                else:
                    request_id = fields.pop("request", None)
                    self._tell(child, request_id, from_json(fields))
        if child.lender is not None:
            child.lender.close()
        status = child.process.wait()
        code, message = "worker_died", f"The ingest process ended (exit status {status}); {self._log_file} says why."
        if self._closed.is_set():
            code, message = "closed", "Lectern is ending; what was read stays, and the next run goes on."
        else:
            _log.warning("the ingest process ended with status %s", status)
        with self._lock:
            left = list(child.waiting.values())
            child.waiting, child.activities, child.folders = {}, {}, {}
            for leaving in child.leaving.values():
                leaving.set()
            with suppress(OSError):
                child.input.close()
        for mirroring in left:
            _finish(mirroring, mirroring.fail(code, message))
        self._restart(child)

    def _restart(self, dead: _Child) -> None:
        """A child that followed folders has a successor, ever later if they keep dying."""
        while self._following != set() and not self._closed.wait(self._restart_s):
            self._restart_s = min(2 * self._restart_s, _LONGEST_RESTART_S)
            try:
                with self._lock:
                    if self._child is dead and not self._closed.is_set():
                        self._child = self._start()
                return
            except OSError:  # no process, or no log, can be had just now
                _log.exception("the ingest process does not start; it is tried again")

    def _tell(self, child: _Child, request_id: int | None, event: IngestEvent) -> None:
        place = (event.collection, event.folder)
        with self._lock:
            if isinstance(event, MirrorDone | MirrorFailed):
                assert request_id is not None
                last = child.waiting.pop(request_id)
                if not any(_place_of(mirroring) == place for mirroring in child.waiting.values()):
                    child.activities.pop(_place_of(last), None)
            elif isinstance(event, Activity):
                # The last one of a mirror may come after its end.
                if place in child.folders or any(_place_of(mirroring) == place for mirroring in child.waiting.values()):
                    child.activities[place] = event
            elif isinstance(event, InStep):
                child.activities.pop((event.collection, event.folder), None)
                self._restart_s = _RESTART_S
            elif isinstance(event, FolderState):
                child.folders[event.collection, event.folder] = event
            hearing = [
                mirroring.listener for mirroring in child.waiting.values() if _hears(_place_of(mirroring), event)
            ]
            for heard, listeners in self._listeners.items():
                hearing += listeners if _hears(heard, event) else []
        if isinstance(event, MirrorDone | MirrorFailed):
            _finish(last, event)
            return
        for listener in hearing:
            listener(event)


def _place_of(mirroring: Mirroring) -> Place:
    return mirroring.request.collection, mirroring.request.folder


def _is_at(place: Place, collection: str, folder: Path | None) -> bool:
    return place[0] == collection and (folder is None or place[1] == str(folder))


def _hears(place: Place, event: IngestEvent) -> bool:
    return place == (event.collection, event.folder)


def _finish(mirroring: Mirroring, event: IngestEvent) -> None:
    try:
        mirroring.listener(event)
    finally:
        mirroring.done.set()
