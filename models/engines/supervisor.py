"""Keeps an engine's process running: starts it, knows when it is ready, starts it again when it has ended, ends it."""

from __future__ import annotations

import logging
import subprocess
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from models.cancellation import CancelToken
from models.engines.backoff import Backoff
from models.engines.endpoint import Address
from models.engines.engine_log import EngineLog
from models.engines.families import end_family, new_mark
from models.engines.program import Child, Program, cause_of_end
from models.errors import EngineError, EngineUnavailable

State = Literal["not started", "loading", "ready", "restarting", "stopped"]

POLL_S = 0.1
STOP_GRACE_S = 3.5
STOP_LIMIT_S = 1.0
"""Together with the grace, less than the 5 s in which an engine is to be gone."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ProcessStatus:
    """`detail` is a sentence for people. `crashes` are those in a row, `since` is when the state began, `url` is where
    it listens once it is ready."""

    state: State
    detail: str
    crashes: int
    since: datetime
    pid: int | None
    url: str | None


class Supervisor:
    """Fulfils `models.engines.endpoint.Endpoint`. Thread-safe.

    A thread of its own starts the process and watches it; each end that nobody asked for is logged with the last lines
    that the process printed, and after the pause of `backoff` comes the next start, until `stop`.

    start_limit_s: a start that takes longer counts as a crash.
    patience_s: how long `address` waits for an engine that loads.
    unwell_limit_s: how long a ready engine may be unwell or silent before it is ended, which counts as a crash. One
    that says it is unwell is not ready from then on, and ready again as soon as its readiness says so.
    """

    def __init__(
        self,
        program: Program,
        log_file: Path,
        *,
        start_limit_s: float,
        patience_s: float = 60.0,
        backoff: Backoff | None = None,
        health_every_s: float = 10.0,
        unwell_limit_s: float = 60.0,
    ) -> None:
        self._program = program
        self._log = EngineLog(log_file)
        self._start_limit_s = start_limit_s
        self._patience_s = patience_s
        self._backoff = backoff or Backoff()
        self._health_every_s = health_every_s
        self._unwell_limit_s = unwell_limit_s
        self._mark = new_mark()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._child: Child | None = None
        self._address: Address | None = None
        self._state: State = "not started"
        self._since = datetime.now(UTC)
        self._since_s = time.monotonic()
        self._crashes = 0
        self._reason = ""
        self._next_start_s = 0.0

    @property
    def alive(self) -> bool:
        """Whether the process runs; it may still be loading."""
        child = self._child
        return child is not None and child.process.poll() is None

    @property
    def state(self) -> State:
        """As in `status`, and cheap enough to be asked again and again."""
        return self._present_state()

    def status(self) -> ProcessStatus:
        progress = self._log.progress() if self.state == "loading" else None
        with self._changed:
            state, child, address = self._present_state(), self._child, self._address
            detail = self._detail(state, progress)
            crashes, since = self._crashes, self._since
        pid = child.process.pid if child and child.process.poll() is None else None
        url = address.url if state == "ready" and address else None
        return ProcessStatus(state, detail, crashes, since, pid, url)

    def start(self) -> None:
        """Begin to start, without waiting; nothing if it has been started. Raises `EngineUnavailable` after `stop`."""
        with self._changed:
            self._refuse_when_stopped()
            if self._thread is None:
                self._enter("loading")
                self._thread = threading.Thread(
                    target=self._run, name=f"supervisor of {self._program.name}", daemon=True
                )
                self._thread.start()

    def address(self, cancel: CancelToken) -> Address:
        """Where to send a request that will be answered, starting the process if nobody has. Waits for one that loads,
        up to `patience_s`. Raises `EngineUnavailable`, `Cancelled`."""
        self.start()
        until_s = time.monotonic() + self._patience_s
        with cancel.closing(self._wake), self._changed:
            while True:
                cancel.check()
                self._refuse_when_stopped()
                state = self._present_state()
                if state == "ready" and self._address:
                    return self._address
                if self._state == "restarting":
                    raise EngineUnavailable(f"{self._program.name} is not there: {self._detail(state)}")
                if (left_s := until_s - time.monotonic()) <= 0:
                    break
                self._changed.wait(min(left_s, POLL_S))
        raise EngineUnavailable(
            f"{self._program.name} is not ready after {self._patience_s:.0f} s: {self.status().detail}"
        )

    def stop(self) -> None:
        """End the process and all that came of it, for good, within 5 s."""
        with self._changed:
            self._enter("stopped")
            child, thread = self._child, self._thread
        if child:
            self._end(child)
        if thread:
            thread.join(POLL_S)

    def _run(self) -> None:
        while self._state != "stopped":
            try:
                reason = self._run_once()
            except Exception as exc:  # the edge of this thread: without it, the engine would be "loading" for ever
                logger.exception("%s: its supervisor failed", self._program.name)
                reason = f"{type(exc).__name__}: {exc}"
            self._count(reason)

    def _run_once(self) -> str:
        """One life of the process, and why it could not begin, or why it ended or had to."""
        try:
            child = self._launch()
        except (OSError, EngineError) as exc:
            return f"it cannot be started: {exc}"
        if child is None:
            return "it was stopped"
        try:
            return self._live(child)
        finally:
            self._end(child)

    def _launch(self) -> Child | None:
        """None after `stop`."""
        with self._changed:
            if self._state == "stopped":
                return None
            with self._log.open() as log:
                self._child = self._program.launch(log, self._mark)
            return self._child

    def _live(self, child: Child) -> str:
        """From the start of the process to its end, and why it ended or has to."""
        limit_s = self._start_limit_s
        while True:
            if reason := self._load(child, limit_s):
                return reason
            ready_s = time.monotonic()
            reason = self._watch(child)
            if time.monotonic() - ready_s >= self._backoff.steady_after_s:
                self._crashes = 0
            if reason:
                return reason
            limit_s = self._unwell_limit_s

    def _load(self, child: Child, limit_s: float) -> str | None:
        """Wait until it is ready."""
        self._enter("loading")
        started_s = time.monotonic()
        while time.monotonic() - started_s < limit_s:
            if (status := child.process.poll()) is not None:
                return f"it {cause_of_end(status)} while it loaded"
            try:
                address = child.readiness.address()
            except EngineError as exc:
                return str(exc)
            if address:
                self._enter("ready", address)
                logger.info("%s is ready after %d ms", self._program.name, 1000 * (time.monotonic() - started_s))
                return None
            # Those that load for minutes are not asked ten times a second.
            self._rest(min(1.0, max(POLL_S, (time.monotonic() - started_s) / 50)))
        return f"it was not ready after {limit_s:.0f} s"

    def _watch(self, child: Child) -> str | None:
        """Wait until a ready one is not ready any more: why it ended or has to, None when it says that it is unwell."""
        heard_s = time.monotonic()
        while (status := self._wait_for_end(child)) is None:
            health = child.readiness.health()
            if health == "unwell":
                logger.warning("%s says that it is unwell", self._program.name)
                return None
            if health == "well":
                heard_s = time.monotonic()
            elif time.monotonic() - heard_s > self._unwell_limit_s:
                return f"it has said nothing for {self._unwell_limit_s:.0f} s"
        return f"it {cause_of_end(status)}"

    def _wait_for_end(self, child: Child) -> int | None:
        """Its exit status, or None when it is time to look after its health."""
        with suppress(subprocess.TimeoutExpired):
            return child.process.wait(self._health_every_s)
        return None

    def _count(self, reason: str) -> None:
        """Note a crash, and wait as long as the next start has to."""
        with self._changed:
            if self._state == "stopped":
                return
            self._crashes += 1
            self._reason = reason
            pause_s = self._backoff.pause_s(self._crashes)
            self._next_start_s = time.monotonic() + pause_s
            self._enter("restarting" if pause_s else "loading")
        logger.warning("%s: %s, crash %d in a row; the end of %s:\n%s",
                       self._program.name, reason, self._crashes, self._log.file, self._log.tail())  # fmt: skip
        self._rest(self._next_start_s - time.monotonic())

    def _rest(self, seconds: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._state == "stopped", max(0.0, seconds))

    def _end(self, child: Child) -> None:
        """Leave nothing of this life behind."""
        if child.process.stdin:
            with suppress(OSError):
                child.process.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            child.process.wait(STOP_GRACE_S)
        root = child.process.pid if child.process.poll() is None else None
        left = end_family(self._mark, root, grace_s=0, limit_s=STOP_LIMIT_S)
        if left:
            logger.error("%s cannot be killed: processes %s", self._program.name, [member.pid for member in left])
        child.process.poll()

    def _enter(self, state: State, address: Address | None = None) -> None:
        with self._changed:
            if self._state != "stopped":
                self._state, self._address = state, address
                self._since, self._since_s = datetime.now(UTC), time.monotonic()
            self._changed.notify_all()

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _present_state(self) -> State:
        """A process that has just ended is not ready any more, even if its supervisor has yet to notice."""
        return "restarting" if self._state == "ready" and not self.alive else self._state

    def _refuse_when_stopped(self) -> None:
        if self._state == "stopped":
            raise EngineUnavailable(f"{self._program.name} was stopped")

    def _detail(self, state: State, progress: str | None = None) -> str:
        """`progress` is what the engine says of its loading; it stands in a file, which is read outside the lock."""
        if state == "loading":
            return progress or f"loading for {time.monotonic() - self._since_s:.0f} s"
        if state == "restarting":
            left_s = max(0.0, self._next_start_s - time.monotonic())
            reason = self._reason if self._state == state else "it has just ended"
            return f"{reason}, {self._crashes} times in a row; it starts again in {left_s:.0f} s; see {self._log.file}"
        said = {"not started": "starts with the first question", "stopped": "was stopped", "ready": "ready"}
        return said[state]
