"""llama.cpp as a supervised child process, on the CPU or, where its CUDA build is installed, on GPUs."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from models.devices import LlamaThreads
from models.engines.backoff import Backoff
from models.engines.endpoint import Address
from models.engines.llama_server import API_KEY_VARIABLE
from models.engines.program import Child, Health
from models.engines.supervisor import Supervisor

START_LIMIT_S = 300.0
LIST_DEVICES_S = 30.0

ROOT = Path(__file__).resolve().parents[2]


class LlamaServer(Supervisor):
    """The server for one GGUF file. `gpus` are the driver's indices of those that take its layers, as many as fit; with
    none it runs on the CPU, and leaves GPUs alone also where the CUDA build is installed."""

    def __init__(
        self,
        model_file: Path,
        context_tokens: int,
        threads: LlamaThreads,
        log_file: Path,
        gpus: tuple[int, ...] = (),
        *,
        start_limit_s: float = START_LIMIT_S,
        patience_s: float = 60.0,
        backoff: Backoff | None = None,
    ) -> None:
        program = LlamaProgram(model_file, context_tokens, threads, gpus)
        super().__init__(program, log_file, start_limit_s=start_limit_s, patience_s=patience_s, backoff=backoff)


def find_cuda_build() -> tuple[bool, str]:
    """Whether the installed llama.cpp can use a GPU, and how that is known. It is asked in a process of its own, since
    it takes a piece of each GPU to answer."""
    script = "import xllamacpp; print([d['name'] for d in xllamacpp.get_device_info() if d['type'].name[-3:] == 'GPU'])"
    # -P: else a file of the current folder could stand in for a module.
    command = [sys.executable, "-P", "-c", script]
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=LIST_DEVICES_S, check=True).stdout
    except (OSError, subprocess.SubprocessError) as exc:
        return False, f"llama.cpp cannot be asked for its devices: {exc}"
    names = said.strip().splitlines()[-1]
    return names != "[]", f"llama.cpp sees the devices {names}" if names != "[]" else "llama.cpp sees no GPU"


@dataclass(frozen=True)
class LlamaProgram:
    """Fulfils `models.engines.program.Program`."""

    model_file: Path
    context_tokens: int
    threads: LlamaThreads
    gpus: tuple[int, ...]

    @property
    def name(self) -> str:
        return f"llama.cpp with {self.model_file.name}"

    def launch(self, log: IO[bytes], mark: Mapping[str, str]) -> Child:
        api_key = secrets.token_urlsafe(32)
        process = subprocess.Popen(
            self.command,
            cwd=ROOT,
            env={**os.environ, **self.variables, **mark, API_KEY_VARIABLE: api_key},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            # Else an interrupt from the keyboard would end it before its supervisor knows.
            start_new_session=True,
        )
        assert process.stdout is not None
        return Child(process, Announcement(process.stdout, api_key))

    @property
    def command(self) -> list[str]:
        return [
            sys.executable, "-m", "models.engines.llama_server",
            "--model", str(self.model_file.resolve()),
            "--alias", self.model_file.stem,
            "--context-tokens", str(self.context_tokens),
            "--decode-threads", str(self.threads.decode),
            "--prefill-threads", str(self.threads.prefill),
            *(["--gpu"] if self.gpus else []),
        ]  # fmt: skip

    @property
    def variables(self) -> dict[str, str]:
        return {
            # OpenMP's threads would spin on a core while they wait; passive ones leave it to the search.
            "OMP_WAIT_POLICY": "passive",
            "GOMP_SPINCOUNT": "0",
            "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
            "CUDA_VISIBLE_DEVICES": ",".join(map(str, self.gpus)),
        }


class Announcement:
    """Fulfils `models.engines.program.Readiness`: the server says its address when the model is loaded, in one line on
    its standard output."""

    def __init__(self, output: IO[bytes], api_key: str) -> None:
        self._api_key = api_key
        self._url: str | None = None
        threading.Thread(target=self._listen, args=(output,), name="llama-listener", daemon=True).start()

    def address(self) -> Address | None:
        return Address(self._url, self._api_key) if self._url else None

    def health(self) -> Health:
        return "well"  # it answers as long as its process runs

    def _listen(self, output: IO[bytes]) -> None:
        with output:
            if line := output.readline():
                self._url = json.loads(line)["url"]
            output.read()
