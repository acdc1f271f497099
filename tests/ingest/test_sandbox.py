"""What a parser process has given up before it opens a file."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ingest.limits import Limits
from ingest.parser_pool import ParserPool
from ingest.sandbox import SandboxReport

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import socket, sys, tempfile
from ingest.limits import Limits
from ingest.sandbox import enter
port, network, attempt = int(sys.argv[1]), sys.argv[2], sys.argv[3]
print(enter(Limits(written_bytes=1000), network=network).network)
try:
    if attempt == "tcp":
        socket.create_connection(("127.0.0.1", port), timeout=2).sendall(b"!")
    elif attempt == "tcp6":
        socket.socket(socket.AF_INET6, socket.SOCK_STREAM).connect(("::1", port))
    elif attempt == "udp":
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"!", ("127.0.0.1", port))
    elif attempt == "memory":
        bytearray(4 << 30)
    elif attempt == "write":
        with tempfile.TemporaryFile() as file:
            file.write(b"x" * 5000)
except (OSError, MemoryError) as exc:
    print("refused", type(exc).__name__)
else:
    print("done")
"""


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def attempt(what: str, port: int, network: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(port), network, what], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()


@pytest.mark.parametrize("network", ["namespace", "seccomp"])
@pytest.mark.parametrize("what", ["tcp", "tcp6", "udp"])
def test_no_socket_reaches_even_this_machine(listener: socket.socket, network: str, what: str) -> None:
    holds, result = attempt(what, listener.getsockname()[1], network)
    if holds == "none":
        pytest.skip("this machine offers neither namespaces nor seccomp")
    assert result.startswith("refused")


def test_the_attempt_itself_would_succeed_without_the_sandbox(listener: socket.socket) -> None:
    assert attempt("tcp", listener.getsockname()[1], "none") == ["none", "done"]


def test_memory_and_file_size_are_limited(listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    assert attempt("memory", port, "namespace")[1] == "refused MemoryError"
    assert attempt("write", port, "namespace")[1] == "refused OSError"


def test_the_pool_says_what_holds() -> None:
    pool = ParserPool(1, Limits(memory_bytes=1 << 30))
    report = pool.sandbox()
    pool.close()
    assert report.memory_bytes == 1 << 30
    assert report.network in ("namespace", "seccomp")
    assert report.weaknesses == ()


def test_weaknesses_are_said_in_sentences() -> None:
    weaknesses = SandboxReport(platform="win32", network="none").weaknesses
    assert len(weaknesses) == 4
    assert all(sentence.endswith(".") for sentence in weaknesses)
