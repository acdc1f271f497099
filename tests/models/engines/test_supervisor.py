"""Supervision: with the strict stand-in for `trtllm-serve` where a whole engine matters, else with `cat`, a program
that ends when its standard input does."""

from __future__ import annotations

import http.client
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import psutil
import pytest

from models.cancellation import Cancelled, CancelToken
from models.engines.backoff import Backoff
from models.engines.endpoint import Address
from models.engines.engine_log import EngineLog
from models.engines.families import MARK_VARIABLE
from models.engines.program import Child, Health
from models.engines.supervisor import Supervisor
from models.errors import EngineRefused, EngineUnavailable
from tests.standins.supervised import STANDIN, Standin, a_standin, processes_with, wait_until

STOP_S = 5.0
QUICK = Backoff(first_s=0.01, longest_s=0.02)


@dataclass
class Cat:
    """A program and its readiness, both as told."""

    name: str = "cat"
    command: tuple[str, ...] = ("cat",)
    ready: bool = True
    state: Health = "well"
    never: str = ""
    fault: Exception | None = None
    fault_at: str = ""
    launches: list[float] = field(default_factory=list)
    asked: threading.Event = field(default_factory=threading.Event)

    def launch(self, log: IO[bytes], mark: Mapping[str, str]) -> Child:
        self.launches.append(time.monotonic())
        if self.fault_at == "launch" and self.fault:
            raise self.fault
        environment = {**os.environ, **mark}
        process = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=log, stderr=log, env=environment)
        return Child(process, self)

    def address(self) -> Address | None:
        if self.fault_at == "address" and self.fault:
            raise self.fault
        if self.never:
            raise EngineRefused(self.never, status=200)
        return Address("http://127.0.0.1:9") if self.ready else None

    def health(self) -> Health:
        self.asked.set()
        if self.fault_at == "health" and self.fault:
            raise self.fault
        return self.state


@pytest.fixture
def supervise(tmp_path: Path) -> Iterator[Callable[..., Supervisor]]:
    made: list[Supervisor] = []

    def make(program: Cat, **settings: object) -> Supervisor:
        values: dict[str, object] = {"start_limit_s": 30.0, "backoff": QUICK, "health_every_s": 0.02, **settings}
        made.append(Supervisor(program, tmp_path / "logs" / "engine.log", **values))  # type: ignore[arg-type]  # by name
        return made[-1]

    yield make
    for supervisor in made:
        supervisor.stop()


def kill(supervisor: Supervisor) -> None:
    """And wait until that is over."""
    pid = supervisor.status().pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: supervisor.status().pid != pid)


def complete(url: str) -> bool:
    """Whether one token comes back."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=10)
    request = {"model": "tiny-llama", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 1}
    try:
        connection.request("POST", "/v1/chat/completions", json.dumps(request))
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def test_the_pause_doubles_from_none_up_to_its_limit() -> None:
    pauses = [Backoff().pause_s(crashes) for crashes in range(1, 10)]
    assert pauses == [0, 1, 2, 4, 8, 16, 32, 60, 60]
    assert Backoff().pause_s(10_000) == 60


@pytest.mark.slow
def test_twenty_crashes_in_a_row_are_survived_with_pauses_and_then_it_is_ready(
    standin: Callable[..., Standin], caplog: pytest.LogCaptureFixture
) -> None:
    made = standin(CRASHES=20)
    made.engine.start()
    seen = set()
    wait_until(lambda: seen.add(made.engine.status().state) or "ready" in seen, limit_s=120)
    assert seen == {"loading", "restarting", "ready"}
    assert made.engine.status().crashes == 20
    assert len(made.starts) == 21
    assert complete(made.engine.status().url or "")
    # Nothing of the lives before is there: the guard, the server, its two workers.
    assert len(made.processes) == 4
    assert caplog.text.count("CUDA out of memory") == 20


@pytest.mark.slow
def test_what_is_shown_as_ready_completes_or_has_just_ended(standin: Callable[..., Standin]) -> None:
    made = standin(SILENT_S=0.2, LOADING_S=0.2, HALF_READY_S=0.7, CRASH_AFTER_S=0.8)
    engine, completed, lies = made.engine, [], []
    over = threading.Event()

    def hammer() -> None:
        while not over.is_set():
            status = engine.status()
            if status.state == "ready" and status.url and not complete(status.url):
                lies.extend([status] if status.pid and alive(made, status.pid) else [])
            elif status.state == "ready":
                completed.append(status)
            time.sleep(0.005)

    def hammer_addresses() -> None:
        while not over.is_set():
            try:
                url = engine.address(CancelToken()).url
            except EngineUnavailable:
                continue
            pid = engine.status().pid
            if not complete(url) and pid and alive(made, pid) and engine.status().url == url:
                lies.append(url)

    engine.start()
    hammers = [threading.Thread(target=task) for task in (hammer, hammer_addresses)]
    for thread in hammers:
        thread.start()
    wait_until(lambda: len(made.starts) == 4, limit_s=120)
    over.set()
    engine.stop()
    for thread in hammers:
        thread.join()
    assert lies == []
    assert len({status.pid for status in completed}) >= 3


def alive(made: Standin, guard: int) -> bool:
    """Whether the server below this guard still runs, a moment after something was wrong with it."""
    time.sleep(0.2)
    server = made.starts[-1]
    try:
        return psutil.Process(server).ppid() == guard and psutil.Process(server).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.parametrize("loading", [False, True])
@pytest.mark.parametrize("told", [{}, {"IGNORE_TERM": 1}], ids=["obedient", "ignores SIGTERM"])
def test_stopping_takes_less_than_five_seconds_and_leaves_nothing(
    standin: Callable[..., Standin], told: dict[str, object], loading: bool
) -> None:
    made = standin(**told, **({"LOADING_S": 60} if loading else {}))
    made.engine.start()
    wait_until(lambda: len(made.processes) == 4 if loading else made.engine.status().url)
    started_s = time.monotonic()
    made.engine.stop()
    assert time.monotonic() - started_s < STOP_S
    assert made.processes == []
    assert made.engine.status().state == "stopped"
    with pytest.raises(EngineUnavailable, match="was stopped"):
        made.engine.address(CancelToken())


def test_nothing_is_left_when_the_supervising_process_is_killed(tmp_path: Path, checkpoint: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from models.cancellation import CancelToken;"
        "from models.engines.tensorrt_llm import TensorRtLlm; from tests.standins.supervised import a_profile;"
        "engine = TensorRtLlm(a_profile(), Path(sys.argv[1]), 'tiny', Path(sys.argv[2]), Path(sys.argv[3]));"
        "engine.address(CancelToken()); print(*engine._mark.values(), flush=True); sys.stdin.read()"
    )
    program = a_standin(tmp_path / "trtllm-serve", IGNORE_TERM=1)
    command = [sys.executable, "-c", script, str(checkpoint), str(program), str(tmp_path / "engine")]
    root = STANDIN.parents[2]
    with subprocess.Popen(command, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        mark = parent.stdout.readline().strip()
        assert len(processes_with(MARK_VARIABLE, mark)) == 4
        parent.kill()
    wait_until(lambda: not processes_with(MARK_VARIABLE, mark), limit_s=STOP_S)


def test_when_the_guard_is_killed_its_orphans_are_ended_and_the_engine_comes_back(
    standin: Callable[..., Standin],
) -> None:
    made = standin()
    made.engine.address(CancelToken())
    orphans = {process.pid for process in made.processes}
    kill(made.engine)
    made.engine.address(CancelToken())
    assert len(made.processes) == 4
    assert not orphans & {process.pid for process in made.processes}


def test_what_the_engine_says_of_its_loading_is_in_the_status(standin: Callable[..., Standin]) -> None:
    made = standin(LOADING_S=2)
    made.engine.start()
    wait_until(lambda: "Loading weights: 50%" in made.engine.status().detail)
    assert made.engine.status().state == "loading"


def test_one_that_says_it_is_unwell_is_not_ready_until_it_is_well_again(standin: Callable[..., Standin]) -> None:
    made = standin()
    made.engine.address(CancelToken())
    made.be_unwell(True)
    wait_until(lambda: made.engine.status().state == "loading")
    made.be_unwell(False)
    wait_until(lambda: made.engine.status().state == "ready")
    assert made.engine.status().crashes == 0
    assert len(made.starts) == 1


def test_one_that_stays_unwell_or_silent_is_started_again(supervise: Callable[..., Supervisor]) -> None:
    for state in ("unwell", "silent"):
        program = Cat(state=state)  # type: ignore[arg-type]  # one of the literals
        supervisor = supervise(program, unwell_limit_s=0.05)
        supervisor.address(CancelToken())
        program.ready = state == "silent"
        wait_until(lambda program=program: len(program.launches) > 1)  # type: ignore[misc]  # bound now


def test_silence_for_a_moment_does_no_harm(supervise: Callable[..., Supervisor]) -> None:
    program = Cat(state="silent")
    supervisor = supervise(program, unwell_limit_s=60.0)
    supervisor.address(CancelToken())
    assert program.asked.wait(10)
    assert supervisor.status().state == "ready"


def test_a_start_that_takes_too_long_counts_as_a_crash(supervise: Callable[..., Supervisor]) -> None:
    program = Cat(ready=False)
    supervisor = supervise(program, start_limit_s=0.05)
    supervisor.start()
    wait_until(lambda: len(program.launches) == 3)
    assert supervisor.status().crashes >= 2


def test_a_start_that_fails_is_told_and_tried_again(supervise: Callable[..., Supervisor]) -> None:
    program = Cat(command=("/no/such/program",))
    supervisor = supervise(program, backoff=Backoff(first_s=60))
    with pytest.raises(
        EngineUnavailable, match=r"cannot be started.*/no/such/program.*2 times in a row.*again in 60 s"
    ):
        supervisor.address(CancelToken())
    assert len(program.launches) == 2


def test_one_that_will_never_be_ready_is_given_up_with_its_reason(supervise: Callable[..., Supervisor]) -> None:
    supervisor = supervise(Cat(never="it serves another model"), backoff=Backoff(first_s=60))
    with pytest.raises(EngineUnavailable, match="it serves another model"):
        supervisor.address(CancelToken())


@pytest.mark.parametrize("where", ["launch", "address", "health"])
def test_a_fault_of_ours_is_told_and_the_engine_is_started_again(
    supervise: Callable[..., Supervisor], caplog: pytest.LogCaptureFixture, where: str
) -> None:
    program = Cat(fault=ZeroDivisionError("nobody thought of it"), fault_at=where)
    supervisor = supervise(program)
    supervisor.start()
    wait_until(lambda: supervisor.status().crashes >= 2)
    assert "ZeroDivisionError: nobody thought of it" in caplog.text
    program.fault = None
    wait_until(lambda: supervisor.state == "ready")


def test_the_state_is_told_without_a_look_into_the_log(
    supervise: Callable[..., Supervisor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(EngineLog, "_read", lambda _: pytest.fail("the log was read"))
    program = Cat(ready=False)
    supervisor = supervise(program)
    supervisor.start()
    assert supervisor.state == "loading"
    program.ready = True
    wait_until(lambda: supervisor.state == "ready")


def test_a_crash_is_logged_with_what_the_engine_said_last(
    supervise: Callable[..., Supervisor], caplog: pytest.LogCaptureFixture
) -> None:
    script = "echo out of paper >&2; exit 3"
    supervisor = supervise(Cat(command=("sh", "-c", script), ready=False), backoff=Backoff(first_s=60))
    with caplog.at_level(logging.WARNING), pytest.raises(EngineUnavailable, match=r"ended with status 3.*engine\.log"):
        supervisor.address(CancelToken())
    assert "out of paper" in caplog.text


def test_after_one_crash_a_question_gets_the_new_process_without_a_pause(supervise: Callable[..., Supervisor]) -> None:
    supervisor = supervise(Cat(), backoff=Backoff(first_s=60))
    supervisor.address(CancelToken())
    first = supervisor.status().pid
    kill(supervisor)
    supervisor.address(CancelToken())
    assert supervisor.status().pid not in (None, first)
    kill(supervisor)
    wait_until(lambda: supervisor.status().crashes == 2)
    with pytest.raises(EngineUnavailable, match=r"was ended by SIGKILL, 2 times in a row; it starts again in \d+ s"):
        supervisor.address(CancelToken())


def test_a_process_that_was_ready_for_long_has_its_crashes_forgiven(supervise: Callable[..., Supervisor]) -> None:
    supervisor = supervise(Cat(), backoff=Backoff(first_s=60, steady_after_s=0))
    for _ in range(3):
        supervisor.address(CancelToken())
        kill(supervisor)
    supervisor.address(CancelToken())
    assert supervisor.status().crashes == 1


def test_whoever_waits_for_a_loading_engine_is_told_after_its_patience(supervise: Callable[..., Supervisor]) -> None:
    supervisor = supervise(Cat(ready=False), patience_s=0.05)
    with pytest.raises(EngineUnavailable, match=r"cat is not ready after 0 s: loading for 0 s"):
        supervisor.address(CancelToken())


def test_waiting_is_cancelled_at_once(supervise: Callable[..., Supervisor]) -> None:
    supervisor = supervise(Cat(ready=False))
    cancel = CancelToken()
    timer = threading.Timer(0.1, cancel.cancel)
    timer.start()
    started_s = time.monotonic()
    with pytest.raises(Cancelled):
        supervisor.address(cancel)
    assert time.monotonic() - started_s < 5
    timer.join()


def test_before_the_start_and_after_the_stop_there_is_no_process(supervise: Callable[..., Supervisor]) -> None:
    program = Cat()
    supervisor = supervise(program)
    assert (supervisor.state, supervisor.alive, supervisor.status().url) == ("not started", False, None)
    supervisor.stop()
    with pytest.raises(EngineUnavailable, match="was stopped"):
        supervisor.start()
    assert program.launches == []
