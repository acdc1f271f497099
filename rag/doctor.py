"""Examines machine and installation: each finding has a severity and, where something is wrong, a remedy."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import socket
import sys
from collections.abc import Iterator
from typing import Literal

from indexes.database import Database
from indexes.errors import StorageError
from ingest.errors import IngestError
from ingest.limits import Limits
from ingest.parser_pool import ParserPool
from models.catalog import load_catalog
from models.devices import detect
from models.download import verify
from rag.errors import OwnerBusy
from rag.ownership import Ownership, own_or_call
from rag.settings import Settings

Finding = dict[str, str]
_LEAST_FREE_GIB = 2
_OWNER_WAIT_S = 5.0
_PACKAGES = ("onnxruntime", "faiss", "xllamacpp", "pypdfium2", "unstructured", "gradio")


def examine(settings: Settings) -> list[Finding]:
    """Every finding, in the order that a person would look."""
    return [
        *_machine(),
        *_packages(),
        *_folders(settings),
        *_weights(settings),
        *_owner(settings),
        *_port(settings),
        *_sandbox(),
        *_office(),
    ]


def _finding(check: str, severity: Literal["ok", "warning", "error"], detail: str, remedy: str = "") -> Finding:
    return {"check": check, "severity": severity, "detail": detail, "remedy": remedy}


def _machine() -> Iterator[Finding]:
    devices = detect()
    python = ".".join(map(str, sys.version_info[:3]))
    yield _finding("system", "ok", f"{platform.system()} {platform.machine()}, Python {python}")
    memory = f"{devices.cores} usable cores, {devices.memory_bytes / 2**30:.1f} GiB of memory"
    if devices.memory_bytes < 4 * 2**30:
        yield _finding("memory", "warning", memory, "Lectern wants 4 GiB; read one file at a time: LECTERN_PARSERS=1")
    else:
        yield _finding("memory", "ok", memory)
    for gpu in devices.gpus:
        free = f"{gpu.free_bytes / 2**30:.1f} of {gpu.memory_bytes / 2**30:.1f} GiB free, driver {gpu.driver}"
        yield _finding("GPU", "ok", f"{gpu.name}: {free}")
    if not devices.gpus:
        yield _finding("GPU", "ok", "no NVIDIA GPU found; everything runs on the CPU")


def _packages() -> Iterator[Finding]:
    missing = [name for name in _PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        yield _finding("packages", "error", f"missing: {', '.join(missing)}", "pip install -r requirements.txt")
    else:
        yield _finding("packages", "ok", "all there")


def _folders(settings: Settings) -> Iterator[Finding]:
    for name, folder in (("data folder", settings.home), ("weights cache", settings.cache)):
        existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
        free_gib = shutil.disk_usage(existing).free / 2**30
        detail = f"{folder}, {free_gib:.1f} GiB free"
        if not os.access(existing, os.W_OK):
            yield _finding(name, "error", f"{folder} cannot be written", "set LECTERN_HOME and LECTERN_CACHE")
        elif free_gib < _LEAST_FREE_GIB:
            yield _finding(name, "warning", detail, "free some disk space")
        else:
            yield _finding(name, "ok", detail)


def _weights(settings: Settings) -> Iterator[Finding]:
    catalog = load_catalog()
    for name in (settings.embedder, settings.llm):
        problems = [check for check in verify(catalog.entry(name), settings.cache) if check.problem]
        if problems:
            detail = "; ".join(f"{check.path}: {check.problem}" for check in problems)
            yield _finding(f"weights of {name}", "error", detail, f"python app.py models pull {name}")
        else:
            yield _finding(f"weights of {name}", "ok", "every file is the one that the catalog names")


def _owner(settings: Settings) -> Iterator[Finding]:
    try:
        owner = own_or_call(settings.home, _OWNER_WAIT_S)
    except OwnerBusy as exc:
        yield _finding("owner", "error", str(exc), "end that process")
        return
    except OSError:
        return  # the data folder's own finding says it
    if isinstance(owner, Ownership):
        with owner:
            yield from _database(settings)
        return
    owner.close()
    yield _finding("owner", "ok", f"process {owner.pid} owns the data folder; commands are handed to it")


def _database(settings: Settings) -> Iterator[Finding]:
    file = settings.home / "lectern.sqlite"
    if not file.exists():
        yield _finding("database", "ok", "not made yet; the first ingest makes it")
        return
    try:
        database = Database(file)
    except StorageError as exc:
        yield _finding("database", "error", str(exc))
        return
    try:
        with database.read() as connection:
            (said,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    except StorageError as exc:
        said = str(exc)
    finally:
        database.close()
    if said == "ok":
        yield _finding("database", "ok", f"{file}, {file.stat().st_size / 2**20:.1f} MiB, whole")
    else:
        yield _finding("database", "error", f"{file} is damaged: {said}", "remove it and ingest anew")


def _port(settings: Settings) -> Iterator[Finding]:
    try:
        socket.create_connection((settings.host, settings.port), timeout=1).close()
        taken = True
    except OSError:
        taken = False
    if taken:
        yield _finding("port", "warning", f"{settings.port} on {settings.host} is in use", "choose another: --port")
    else:
        yield _finding("port", "ok", f"{settings.port} on {settings.host} is free")


def _sandbox() -> Iterator[Finding]:
    pool = ParserPool(1, Limits())
    try:
        report = pool.sandbox()
    except IngestError as exc:
        yield _finding("sandbox", "error", f"no parser process starts: {exc}", "see the log, and report it")
        return
    finally:
        pool.close()
    if report.weaknesses:
        yield _finding("sandbox", "warning", " ".join(report.weaknesses), "allow user namespaces")
    else:
        yield _finding("sandbox", "ok", f"parsers are limited, and kept from the network by {report.network}")


def _office() -> Iterator[Finding]:
    if shutil.which("soffice") or shutil.which("libreoffice"):
        yield _finding("LibreOffice", "ok", "found: .doc and .ppt are read through it")
    else:
        yield _finding("LibreOffice", "warning", "not found: .doc and .ppt are not read", "install LibreOffice")
