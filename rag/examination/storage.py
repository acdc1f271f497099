"""The data folder: who owns it, its port, its database, and the index caches made from it."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import psutil

from indexes.errors import StorageError
from indexes.inspection import CollectionState, DatabaseState, inspect
from rag.errors import OwnerBusy
from rag.examination.finding import Finding, error, gib, ok, warning
from rag.ownership import Ownership, own_or_call

LEAST_FREE_BYTES = 2 << 30
_OWNER_WAIT_S = 3.0
_CHECK_S = 2.0
_REBUILT = "nothing: the next question rebuilds it from the database; if it comes back, check the disk"


def examine_folder(folder: Path) -> Finding:
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    free_bytes = shutil.disk_usage(existing).free
    if not os.access(existing, os.W_OK):
        return error("data folder", f"{folder} cannot be written", "make it writable, or set LECTERN_HOME")
    if free_bytes < LEAST_FREE_BYTES:
        return warning("data folder", f"{folder}, only {gib(free_bytes)} free", "free some disk space")
    return ok("data folder", f"{folder}, {gib(free_bytes)} free")


def examine_owner(home: Path, host: str, port: int) -> Iterator[Finding]:
    """The owner of the data folder, and whether the port can be had, or is that owner's."""
    owner_pid = None
    try:
        owner = own_or_call(home, _OWNER_WAIT_S)
        owner.close()
        if isinstance(owner, Ownership):
            yield ok("owner", "no Lectern process owns the data folder; each command does its own work")
        else:
            owner_pid = owner.pid
            yield ok("owner", f"process {owner_pid} owns the data folder; commands are handed to it")
    except OwnerBusy as exc:
        yield error("owner", str(exc), "end that process")
    except OSError:
        pass  # the data folder's own finding says it
    yield _port(host, port, owner_pid)


def examine_database(home: Path, embedder: str) -> Iterator[Finding]:
    """The database and its collections' indexes. `embedder` is the one that the settings name."""
    file = home / "lectern.sqlite"
    if not file.exists():
        yield ok("database", "not made yet; the first ingest makes it")
        return
    try:
        state = inspect(file, home / "indexes", check_s=_CHECK_S)
    except StorageError as exc:
        yield error("database", str(exc), "restore a backup, or remove it and ingest anew")
        return
    yield _database(file, state)
    for collection in state.collections:
        yield _index(collection, embedder)


def _port(host: str, port: int, owner_pid: int | None) -> Finding:
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return ok("port", f"{port} on {host} is free")
    if owner_pid is not None and port in _ports_of(owner_pid):
        return ok("port", f"{port} on {host} is that of the running Lectern")
    return warning("port", f"{port} on {host} is in use by another program", "choose another: --port, LECTERN_PORT")


def _ports_of(pid: int) -> set[int]:
    try:
        connections = psutil.Process(pid).net_connections(kind="tcp")
    except psutil.Error:
        return set()
    return {connection.laddr.port for connection in connections if connection.status == psutil.CONN_LISTEN}


def _database(file: Path, state: DatabaseState) -> Finding:
    named = f"{file}, {file.stat().st_size / 2**20:.1f} MiB"
    if state.damage:
        remedy = "restore a backup, or remove it and ingest anew"
        return error("database", f"{named}, is damaged: {state.damage}", remedy)
    if state.format > state.known_format:
        detail = f"{named}, has format {state.format}, and this Lectern knows {state.known_format}"
        return error("database", detail, "use the newer Lectern, or another LECTERN_HOME")
    if state.format < state.known_format:
        return ok("database", f"{named}, whole; the next start brings it from format {state.format} to the newest")
    return ok("database", f"{named}, whole" if state.checked else f"{named}, whole as far as {_CHECK_S:.0f} s showed")


def _index(state: CollectionState, embedder: str) -> Finding:
    check = f"index of {state.name}"
    maker = state.embedder.partition("@")[0]
    if maker != embedder:
        remedy = f"LECTERN_EMBEDDER={maker}, or `python app.py collection remove {state.name}` and ingest anew"
        return error(check, f"it was embedded by {maker}, and the settings name {embedder}", remedy)
    if problem := _problem(state):
        return warning(check, problem, _REBUILT)
    if (found := state.manifest) and found.generation == state.generation and found.vectors != state.vectors:
        remedy = f"stop Lectern and remove {state.folder}: it is made again from the database"
        return warning(check, f"its file holds {found.vectors} vectors, the database {state.vectors}", remedy)
    embedded = f"{state.vectors} of {state.chunks} chunks embedded by {state.embedder}"
    if state.manifest is None:
        return ok(check, f"{embedded}; no index file yet, it is made from the database when it is needed")
    behind = state.generation - state.manifest.generation
    return ok(check, f"{embedded}; the index file is {f'{behind} changes behind' if behind else 'up to date'}")


def _problem(state: CollectionState) -> str | None:
    """Why the index file will not be used, where that is more than being a little behind."""
    if state.damage or state.manifest is None:
        return state.damage
    found = state.manifest
    if (found.embedder, found.dimension) != (state.embedder, state.dimension):
        return f"its file was made by another embedder, {found.embedder}"
    if found.generation > state.generation:
        return f"its file is of generation {found.generation}, the database only of {state.generation}"
    if found.generation < state.oldest_generation:
        return f"its file, of generation {found.generation}, is too old to catch up"
    return None
