"""One owner per data folder: others hand their work over, and nothing is left behind when it ends."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from models.cancellation import CancelToken
from rag.errors import OwnerBusy, OwnerGone
from rag.ownership import Owner, Ownership, own_or_call, try_own

LENS = "A broken lens is paid for by the Harbour Board, provided that the keeper reports it within 48 hours."


def command_lines(process: psutil.Process) -> list[str]:
    """Of the process's descendants, without the parsers' converters."""
    return [" ".join(child.cmdline()) for child in process.children(recursive=True) if child.status() != "zombie"]


def wait_for(condition: Callable[[], object], what: str, wait_s: float = 30) -> None:
    until = time.monotonic() + wait_s
    while not condition():
        assert time.monotonic() < until, what
        time.sleep(0.02)


def owner_of(home: Path) -> Owner:
    found = own_or_call(home)
    assert isinstance(found, Owner)
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("documents")
    (folder / "lens.txt").write_text(LENS)
    return folder


@pytest.fixture(scope="module")
def lectern(make_command_line, tmp_path_factory: pytest.TempPathFactory):
    return make_command_line(tmp_path_factory.mktemp("lectern") / "home")


@pytest.fixture(scope="module")
def served(lectern, folder: Path) -> Iterator[psutil.Process]:
    """A server over the folder, with everything loaded."""
    with lectern.served("--docs", folder) as process:
        found = psutil.Process(process.pid)
        wait_for(lambda: any("llama_server" in line for line in command_lines(found)), "the language model started")
        wait_for(lambda: lectern.json("status")["totals"]["indexed"] == 1, "the folder was mirrored")
        yield found


def test_a_second_process_starts_nothing_of_its_own(lectern, served: psutil.Process, folder: Path) -> None:
    (folder / "horn.txt").write_text("The horn sounds twice each minute in fog.")
    before = sorted(command_lines(served))
    seen: set[str] = set()
    process = lectern.start("ingest", folder, "--json")
    watched = psutil.Process(process.pid)
    while process.poll() is None:
        try:
            seen.update(command_lines(watched))
        except psutil.NoSuchProcess:
            break
        time.sleep(0.01)
    result = json.loads(process.communicate()[0])
    assert seen == set()
    assert {file["path"]: file["state"] for file in result["files"]} == {"lens.txt": "indexed", "horn.txt": "indexed"}
    after = sorted(command_lines(served))
    for program in ("ingest.worker", "models.engines.llama_server"):
        assert [line for line in after if program in line] == [line for line in before if program in line]
        assert len([line for line in after if program in line]) == 1


@pytest.mark.usefixtures("served")
def test_ask_is_answered_in_the_owners_warm_time(lectern) -> None:
    answer = lectern.json("ask", LENS)
    assert answer["passages"][0]["file"] == "lens.txt"
    assert answer["timings_ms"]["total"] < 2000
    started = time.monotonic()
    messages = list(owner_of(lectern.home).run("ask", {"question": LENS}))
    assert time.monotonic() - started < 2
    assert messages[-1]["result"]["citations"][0]["quote"] == LENS


@pytest.mark.usefixtures("served")
def test_errors_cross_over_as_sentences(lectern) -> None:
    done = lectern.run("ask", "Why?", "--collection", "nothing")
    assert done.returncode == 1
    assert "nothing" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.usefixtures("served")
def test_a_relative_folder_means_the_callers(lectern, folder: Path) -> None:
    process = subprocess.run(
        [sys.executable, str(Path(__file__).parents[1] / "app.py"), "collection", "forget", "nowhere"],
        cwd=folder,
        env=lectern.environment,
        capture_output=True,
        text=True,
    )
    assert process.returncode == 1
    assert str(folder / "nowhere") in process.stderr


@pytest.mark.usefixtures("served")
def test_a_wrong_token_is_refused(lectern) -> None:
    door = json.loads((lectern.home / "owner.json").read_text())
    connection = socket.create_connection(("127.0.0.1", door["port"]))
    (answer,) = Owner(door["pid"], "guessed", connection).run("status", {})
    assert "token" in str(answer["error"])
    assert (lectern.home / "owner.json").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("line", [b"\n", b"[]\n", b"{}\n", b"\xff\xfe\n", b'{"token": null}\n', b"GET / HTTP/1.1\n"])
@pytest.mark.usefixtures("served")
def test_what_is_no_request_is_hung_up_on(lectern, line: bytes) -> None:
    door = json.loads((lectern.home / "owner.json").read_text())
    with socket.create_connection(("127.0.0.1", door["port"]), timeout=5) as connection:
        connection.sendall(line)
        connection.shutdown(socket.SHUT_WR)
        received = connection.recv(1000)
    assert b"result" not in received


def test_a_second_server_is_refused_with_the_reason(lectern, served: psutil.Process) -> None:
    done = lectern.run("serve", "--port", 0)
    assert done.returncode == 1
    assert str(served.pid) in done.stderr
    assert "LECTERN_HOME" in done.stderr


def test_a_taken_port_is_said(command_line) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = command_line.run("serve", "--port", taken.getsockname()[1])
    assert done.returncode == 1
    assert "--port" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_signal_ends_every_process_and_leaves_no_door(command_line, folder: Path, name: str) -> None:
    process = command_line.start("serve", "--port", 0, "--docs", folder, "--json")
    assert process.stdout.readline()
    found = psutil.Process(process.pid)
    wait_for(lambda: len(command_lines(found)) >= 2, "the server has children")
    family = found.children(recursive=True)
    process.send_signal(signal.Signals[name])
    _, errors = process.communicate(timeout=20)
    assert (process.returncode, errors.count("Traceback")) == (0, 0), errors
    _, left = psutil.wait_procs(family, timeout=10)
    assert left == []
    assert not (command_line.home / "owner.json").exists()
    ownership = try_own(command_line.home)
    assert ownership is not None
    ownership.close()


def test_a_command_goes_on_when_its_owner_ends(command_line, folder: Path) -> None:
    """`ingest` is handed to a short-lived owner, here this process, which ends in the middle of it."""
    begun = threading.Event()

    def never_ends(_command: str, _arguments: dict[str, object], cancel: CancelToken) -> Iterator[dict[str, object]]:
        begun.set()
        while not cancel.wait(0.05):
            yield {"progress": {"event": "Stage"}}
        yield {"error": "half-closed parts speak nonsense"}

    ownership = try_own(command_line.home)
    assert ownership is not None
    with ownership:
        ownership.open_door(never_ends)
        process = command_line.start("ingest", folder, "--json")
        assert begun.wait(30)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert json.loads(output)["totals"]["pending"] == 0


@pytest.fixture
def owned(tmp_path: Path) -> Iterator[Ownership]:
    ownership = try_own(tmp_path)
    assert ownership is not None
    with ownership:
        yield ownership


def test_a_caller_who_hangs_up_cancels(owned: Ownership, tmp_path: Path) -> None:
    cancelled = threading.Event()

    def wait(_command: str, _arguments: dict[str, object], cancel: CancelToken) -> Iterator[dict[str, object]]:
        yield {"progress": "begun"}
        if cancel.wait(10):
            cancelled.set()

    owned.open_door(wait)
    messages = owner_of(tmp_path).run("anything", {})
    assert next(messages) == {"progress": "begun"}
    messages.close()  # type: ignore[attr-defined]  # a generator
    assert cancelled.wait(5)


def test_an_owner_that_ends_is_noticed(owned: Ownership, tmp_path: Path) -> None:
    begun = threading.Event()

    def wait(_command: str, _arguments: dict[str, object], cancel: CancelToken) -> Iterator[dict[str, object]]:
        begun.set()
        cancel.wait(10)
        yield {"error": "never heard"}

    owned.open_door(wait)
    caller = owner_of(tmp_path)
    threading.Thread(target=lambda: begun.wait(5) and owned.close_door()).start()
    with pytest.raises(OwnerGone):
        list(caller.run("anything", {}))


def test_a_door_that_a_killed_owner_left_does_no_harm(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as somebody_else:
        door = {"pid": 1, "port": somebody_else.getsockname()[1], "token": "old"}
        (tmp_path / "owner.json").write_text(json.dumps(door))
        found = own_or_call(tmp_path)
        assert isinstance(found, Ownership)
        assert not (tmp_path / "owner.json").exists()
        found.close()


@pytest.mark.parametrize("damaged", ["", "{", "{}", '{"port": 1, "pid": 1, "token": "t"}', "[]"])
@pytest.mark.usefixtures("owned")
def test_an_owner_who_does_not_answer_is_said(tmp_path: Path, damaged: str) -> None:
    (tmp_path / "owner.json").write_text(damaged)
    with pytest.raises(OwnerBusy, match="LECTERN_HOME"):
        own_or_call(tmp_path, wait_s=0.2)


def test_only_one_process_owns_a_folder(owned: Ownership, tmp_path: Path) -> None:
    assert try_own(tmp_path) is None
    owned.close_door()
    assert try_own(tmp_path) is None
