"""Which files of a folder were found to have which hash, remembered so that a second start reads no weights."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from models.catalog import ModelFile

RECORD_NAME = "verified.json"


@dataclass(frozen=True)
class Sighting:
    """What a file looked like when its hash was taken."""

    sha256: str
    bytes: int
    mtime_ns: int


def sha256_of(file: Path) -> str:
    """Hexadecimal SHA-256 of the whole file."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def known_sha256(folder: Path, path: str) -> str:
    """The hash of `folder/path`: from the record if size and time still match, else taken now and remembered."""
    status = (folder / path).stat()
    sighting = _read(folder).get(path)
    if sighting and (sighting.bytes, sighting.mtime_ns) == (status.st_size, status.st_mtime_ns):
        return sighting.sha256
    return take_sha256(folder, path)


def take_sha256(folder: Path, path: str) -> str:
    """Hash `folder/path` now, whatever is remembered, and remember the result where the folder can be written."""
    status = (folder / path).stat()
    digest = sha256_of(folder / path)
    _remember(folder, path, digest, status)
    return digest


def remember_sha256(folder: Path, path: str, digest: str) -> None:
    """Note the hash of a file that was hashed while it was written, which saves reading it once more."""
    _remember(folder, path, digest, (folder / path).stat())


def is_present(folder: Path, file: ModelFile) -> bool:
    """Whether the file is there with its bytes; reads none that were verified before."""
    path = folder / file.path
    return path.is_file() and path.stat().st_size == file.bytes and known_sha256(folder, file.path) == file.sha256


def stray_weights(folder: Path, files: Sequence[ModelFile]) -> list[str]:
    """Weights in the folder that are none of `files`: an engine loads all that it finds, and nothing proves these."""
    known = {file.path for file in files}
    found = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.safetensors"))
    return [path for path in found if path not in known]


def git_sha1_of(file: Path) -> str:
    """The hash under which git stores the file's content: of a header with the size, then the content."""
    digest = hashlib.sha1(f"blob {file.stat().st_size}\0".encode(), usedforsecurity=False)
    with file.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _remember(folder: Path, path: str, digest: str, status: os.stat_result) -> None:
    _write(folder, _read(folder) | {path: Sighting(digest, status.st_size, status.st_mtime_ns)})


def _read(folder: Path) -> dict[str, Sighting]:
    try:
        record = json.loads((folder / RECORD_NAME).read_text("utf-8"))
        return {path: Sighting(**values) for path, values in record.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        # The record only saves time: without a good one the files are hashed again.
        return {}


def _write(folder: Path, record: dict[str, Sighting]) -> None:
    # Named for the process, so that two that verify at once do not write into each other's file.
    temporary = folder / f".{RECORD_NAME}.{os.getpid()}"
    try:
        temporary.write_text(json.dumps({path: vars(sighting) for path, sighting in record.items()}, indent=1))
        temporary.replace(folder / RECORD_NAME)
    except OSError:
        # A read-only cache (a container's volume) is legitimate; it is hashed at every start.
        temporary.unlink(missing_ok=True)
