"""An engine that somebody else runs: the strict stand-in of `trtllm-serve`, as a process of the test's own."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from models.engines.families import end_family, new_mark

STANDIN = Path(__file__).resolve().parents[1] / "standins" / "trtllm_serve.py"


@dataclass(frozen=True)
class Office:
    """`folder` holds what it was asked."""

    url: str
    folder: Path

    def bodies(self) -> list[dict[str, object]]:
        """Of the requests for a reply, in order."""
        noted = (self.folder / "requests").read_text() if (self.folder / "requests").exists() else ""
        requests = [json.loads(line) for line in noted.splitlines()]
        return [request["body"] for request in requests if request["path"] == "/v1/chat/completions"]


@contextmanager
def running_office(folder: Path, reply: str) -> Iterator[Office]:
    """It serves the model "llama" and always answers `reply`."""
    (folder / "llama").mkdir(parents=True)
    (folder / "llama" / "config.json").write_text("{}")
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1]
    command = [sys.executable, str(STANDIN), str(folder / "llama"), "--host", "127.0.0.1", "--port", str(port)]
    environment = {**os.environ, "STANDIN_FOLDER": str(folder), "STANDIN_REPLY": reply, **(mark := new_mark())}
    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as process:
        try:
            office = Office(f"http://127.0.0.1:{port}", folder)
            transport = httpx.HTTPTransport(retries=7)  # waits for the port, longer each time
            with httpx.Client(transport=transport, trust_env=False) as client:
                while client.get(f"{office.url}/health").status_code != 200:
                    pass
            yield office
        finally:
            end_family(mark, process.pid, grace_s=0, limit_s=5)
