"""Which models are in the cache, and the one way to bring one there: `ensure`, checked, all or nothing."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from models.cancellation import CancelToken
from models.catalog import Catalog, Entry, ModelFile
from models.errors import DownloadFailed, ModelError, WeightsMissing
from models.fetching import Fetching, Progress
from models.pins import PIN_NAME, read_pin
from models.sources import Origins
from models.verification import is_present, stray_weights, take_sha256

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ModelStatus:
    """A line of `models list`. `installed`: every file is there with the right hash; `bytes`: the whole model, only
    estimated for one of a hub that was never pulled; `gated`: its publisher wants the licence accepted first."""

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
    gated: bool


@dataclass(frozen=True)
class FileCheck:
    """A line of `models verify`: what is wrong with the file, or None when its bytes are those of the catalog, or of
    the pin."""

    model: str
    path: str
    bytes: int
    problem: str | None


def model_folder(entry: Entry, cache: Path) -> Path:
    return cache / "models" / entry.name


def known_files(entry: Entry, cache: Path) -> tuple[ModelFile, ...]:
    """The files of the model with their hashes: the catalog's, or those pinned at the first pull; none before it, and
    none of a model that a recipe makes.

    Raises `ModelError` when the pin cannot be read.
    """
    if not entry.repository:
        return entry.files
    pin = read_pin(model_folder(entry, cache), entry.repository)
    return pin.files if pin else ()


def list_models(catalog: Catalog, cache: Path) -> list[ModelStatus]:
    """Every model of the catalog and whether it is in the cache; reads no weights that were verified before."""
    return [_status(entry, cache) for entry in catalog.entries]


def missing_files(entry: Entry, cache: Path) -> list[str]:
    """The paths of the files that are not in the cache, or are other ones than the hashes prove; for a model of a hub
    that was never pulled, that of the pin."""
    folder, known = model_folder(entry, cache), known_files(entry, cache)
    return [file.path for file in known if not is_present(folder, file)] if known else [PIN_NAME]


def is_installed(entry: Entry, cache: Path) -> bool:
    """Whether nothing is missing. A model whose pin cannot be read is not installed, and the log says why: a choice
    among several goes on without it."""
    return _are_present(_readable_files(entry, cache), entry, cache)


def verify(entry: Entry, cache: Path) -> list[FileCheck]:
    """Read and hash every file of the model anew, trusting nothing that is remembered, save the pin of a hub's."""
    folder, known = model_folder(entry, cache), known_files(entry, cache)
    if not known:
        return [FileCheck(entry.name, PIN_NAME, 0, "missing: the model was never pulled, so no hash is known")]
    checks = [FileCheck(entry.name, file.path, file.bytes, _problem(folder, file)) for file in known]
    if entry.repository:
        unproven = stray_weights(folder, known)
        checks += [FileCheck(entry.name, path, (folder / path).stat().st_size, "not pinned") for path in unproven]
    return checks


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

    A model of a hub is pinned when it is first fetched. Without `origins` they are those of the environment.
    Raises `WeightsMissing`, `DownloadFailed` (with what each source said), `HashMismatch`, `Cancelled`.
    """
    folder = model_folder(entry, cache)
    missing = missing_files(entry, cache)
    if not missing:
        return folder
    if entry.recipe:
        raise WeightsMissing(
            f"{entry.name} is published nowhere in this form; make it with NVIDIA's Model Optimizer ({entry.recipe}) "
            "and name the folder that it writes in LECTERN_MODEL_PATH"
        )
    if not fetch:
        raise WeightsMissing(
            f"{entry.name} is not in {folder} ({_shortened(missing)} missing or changed); fetch it with: "
            f"python app.py models pull {entry.name}"
        )
    origins = origins or Origins.from_environment(os.environ)
    cancel = cancel or CancelToken()
    with _writing(folder), _locked(folder, cancel), _workspace(folder) as space:
        fetching = Fetching(entry, folder, space, origins, progress, cancel)
        known = known_files(entry, cache)
        if entry.repository and not known:
            known = fetching.pin(entry.repository)
        fetching.fetch([file for file in known if not is_present(folder, file)], sum(file.bytes for file in known))
    return folder


def _status(entry: Entry, cache: Path) -> ModelStatus:
    known = _readable_files(entry, cache)
    return ModelStatus(
        entry.name, entry.kind, entry.backend, entry.precision, entry.licence, entry.summary, entry.embedded,
        _are_present(known, entry, cache), sum(file.bytes for file in known) or entry.total_bytes,
        model_folder(entry, cache), entry.answer_ability, entry.gated,
    )  # fmt: skip


def _readable_files(entry: Entry, cache: Path) -> tuple[ModelFile, ...]:
    """As `known_files`; none, and a line in the log, when the pin cannot be read."""
    try:
        return known_files(entry, cache)
    except ModelError as exc:
        _log.warning("%s is taken as not installed: %s", entry.name, exc)
        return ()


def _are_present(known: tuple[ModelFile, ...], entry: Entry, cache: Path) -> bool:
    folder = model_folder(entry, cache)
    return bool(known) and all(is_present(folder, file) for file in known)


def _shortened(paths: list[str]) -> str:
    return ", ".join(paths[:3]) + (f" and {len(paths) - 3} more" if len(paths) > 3 else "")


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
