"""TensorRT-LLM's `trtllm-serve` as a supervised child process.

It is asked for `/health`, `/v1/models`, `/v1/chat/completions` and `/metrics`, and for nothing else: it has no key, and
other routes of its change weights and memory. It has never been run with Lectern on a GPU; the tests run a strict
stand-in (`tests/standins/trtllm_serve.py`).
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from models.engines.backoff import Backoff
from models.engines.endpoint import Address
from models.engines.families import find_family, listens
from models.engines.program import Child, Health
from models.engines.supervisor import Supervisor
from models.engines.trtllm_configuration import configuration, write_configuration
from models.errors import EngineRefused, EngineUnavailable, ModelError
from models.planning.profile import Profile

START_LIMIT_S = 1800.0
HEALTH_S = 5.0
FIRST_COMPLETION_S = 300.0
"""The first one compiles and tunes kernels."""

KEPT_VARIABLES = ("HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "LOGNAME", "TMPDIR", "TZ", "USER")
KEPT_PREFIXES = ("CUDA_", "NCCL_", "NVIDIA_", "OMPI_", "OPAL_", "PMIX_", "PRTE_", "TLLM_", "TRTLLM_", "UCX_")
"""What the process gets of our environment: no key or token of ours, and nothing of Slurm's, which keeps Open MPI from
starting workers."""


class TensorRtLlm(Supervisor):
    """The server for one checkpoint on the GPUs of a profile.

    profile: precision, context, concurrency, GPUs and memory plan.
    checkpoint: the folder with `config.json` and the weights.
    name: under which it serves the model.
    executable: `trtllm-serve`; see `trtllm_installation.find_trtllm_serve`.
    folder: where its configuration and its log go.
    adapters: LoRA adapters that requests may name; see `lora_request`.

    Raises `ModelError` for a profile, a name or an adapter that it cannot be configured with.
    """

    def __init__(
        self,
        profile: Profile,
        checkpoint: Path,
        name: str,
        executable: Path,
        folder: Path,
        *,
        adapters: tuple[Path, ...] = (),
        start_limit_s: float = START_LIMIT_S,
        patience_s: float = 60.0,
        backoff: Backoff | None = None,
        health_every_s: float = 10.0,
    ) -> None:
        if Path(name).name != name:
            raise ModelError(f"{name!r} cannot be the name of a served model: it has a slash")
        # Embedder, reranker and index are there already: Lectern loads them before it starts engines.
        settings = configuration(profile, adapters, first_on_card=False)
        program = TrtllmServe(settings, profile.gpus, checkpoint, name, executable, folder.absolute())
        super().__init__(
            program,
            folder / "trtllm-serve.log",
            start_limit_s=start_limit_s,
            patience_s=patience_s,
            backoff=backoff,
            health_every_s=health_every_s,
        )
        self._adapters = adapters

    @property
    def lora_request(self) -> dict[str, Any] | None:
        """The field `lora_request` of a chat request that wants the first adapter; None without adapters."""
        if not self._adapters:
            return None
        first = self._adapters[0]
        return {"lora_name": first.name, "lora_int_id": 0, "lora_path": str(first)}


@dataclass(frozen=True)
class TrtllmServe:
    """Fulfils `models.engines.program.Program`."""

    settings: dict[str, Any]
    gpus: tuple[int, ...]
    checkpoint: Path
    served_name: str
    executable: Path
    folder: Path

    @property
    def name(self) -> str:
        return f"TensorRT-LLM with {self.served_name}"

    def launch(self, log: IO[bytes], mark: Mapping[str, str]) -> Child:
        file = self.folder / "cfg.yml"
        write_configuration(self.settings, file)
        port = _free_port()
        command = [str(self.executable), "serve", str(self._named_checkpoint())]
        command += ["--host", "127.0.0.1", "--port", str(port), "--config", str(file)]
        process = subprocess.Popen(
            [sys.executable, "-m", "models.engines.guard", str(self.folder), "--", *command],
            cwd=Path(__file__).resolve().parents[2],
            env={**self._variables(), **mark},
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        return Child(process, ServedModel(port, self.served_name, mark))

    def _named_checkpoint(self) -> Path:
        """A link to the checkpoint that has the name under which it is to be served: `trtllm-serve` takes the folder's
        (before 1.3 it has no option for it)."""
        link = self.folder / "served" / self.served_name
        link.parent.mkdir(exist_ok=True)
        if link.is_symlink():
            link.unlink()
        link.symlink_to(self.checkpoint.resolve(), target_is_directory=True)
        return link

    def _variables(self) -> dict[str, str]:
        kept = {n: v for n, v in os.environ.items() if n in KEPT_VARIABLES or n.startswith(KEPT_PREFIXES)}
        programs = os.pathsep.join([str(self.executable.parent), os.environ.get("PATH", os.defpath)])
        return kept | {
            "PATH": programs,
            "CUDA_DEVICE_ORDER": "PCI_BUS_ID",  # the driver's indices, not the order of speed
            "CUDA_VISIBLE_DEVICES": ",".join(map(str, self.gpus)),
            "HF_HUB_OFFLINE": "1",
            "TRANSFORMERS_OFFLINE": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "TRTLLM_NO_USAGE_STATS": "1",
            "DO_NOT_TRACK": "1",
            "TOKENIZERS_PARALLELISM": "false",
            "PYTHONUNBUFFERED": "1",
        }


@dataclass(frozen=True)
class ServedModel:
    """Fulfils `models.engines.program.Readiness`: `/health` is 200, the listener is ours, the model is listed, and one
    token has been made. A 200 alone can mean that the server is there and its workers are not."""

    port: int
    name: str
    mark: Mapping[str, str]

    def address(self) -> Address | None:
        try:
            if self._ask("GET", "/health", HEALTH_S)[0] != 200 or not listens(find_family(self.mark), self.port):
                return None
            self._check_name(self._ask("GET", "/v1/models", HEALTH_S)[1])
            return Address(f"http://127.0.0.1:{self.port}") if self._completes() else None
        except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError):
            return None  # nobody listens yet, or it is busy with loading

    def health(self) -> Health:
        try:
            status, _ = self._ask("GET", "/health", HEALTH_S)
        except (OSError, http.client.HTTPException):
            return "silent"
        return "well" if status == 200 else "unwell"

    def _check_name(self, models: bytes) -> None:
        names = [card["id"] for card in json.loads(models)["data"]]
        if self.name not in names:
            raise EngineRefused(f"it serves {', '.join(names)} and not {self.name}", status=200)

    def _completes(self) -> bool:
        request = {"model": self.name, "messages": [{"role": "user", "content": "Say yes."}], "max_tokens": 1}
        status, reply = self._ask("POST", "/v1/chat/completions", FIRST_COMPLETION_S, json.dumps(request))
        return status == 200 and bool(json.loads(reply)["choices"])

    def _ask(self, method: str, path: str, timeout_s: float, body: str | None = None) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout_s)
        try:
            connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()


def _free_port() -> int:
    try:
        with socket.create_server(("127.0.0.1", 0)) as server:
            return int(server.getsockname()[1])
    except OSError as exc:
        raise EngineUnavailable(f"no port is free on 127.0.0.1: {exc}") from exc
