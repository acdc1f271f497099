"""What a collection holds, what waits, and how far it is behind the disk: for the page and as JSON of the contracts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

from indexes.collection import Collection
from indexes.document_counts import DocumentCounts, count_documents
from indexes.records import DocumentRow, FolderRow, QueuedRead
from ingest.events import Activity, FolderState
from rag.durations import roughly

STATES = ("indexed", "partial", "skipped", "failed", "quarantined", "pending")
NOT_FOLLOWED = "not followed"
_LOOKED_AT = ("watching", "polling")
# How the messages begin that say why a folder is only looked at now and then; every other tells of a fault.
_NO_FAULT = ("a network drive (", "no events: ")


@dataclass(frozen=True)
class Wanted:
    """Which files to list: all of them, by folder and path, when there is no `limit`; else at most so many of that
    `state` ("waiting": those in the queue) with `name` in their path, those that need a person first."""

    limit: int | None = None
    state: str | None = None
    name: str = ""


ALL_FILES, NO_FILES = Wanted(), Wanted(0)


@dataclass(frozen=True)
class Waiting:
    """A file in the queue. `said` is the same for a person."""

    state: Literal["waiting", "reading", "retrying"]
    since_s: float
    attempts: int
    fault: str | None
    next_try_s: float | None
    said: str


@dataclass(frozen=True)
class FileStatus:
    path: str
    state: str
    pages_indexed: int
    pages_total: int
    chunks: int
    characters: int
    reason: str | None
    version: int | None
    folder: str = ""
    size_bytes: int = 0
    waiting: Waiting | None = None


@dataclass(frozen=True)
class FolderStatus:
    """`state` is that of `FolderState`, or "not followed". `excluded` counts what its rules left out at the last full
    look, `scanned_s_ago` seconds ago. `lag_s` is None when nobody has ever looked. With a `fault`, which `message`
    tells, nothing that changed since the last good look is known."""

    path: str
    state: str
    message: str | None
    rules: tuple[str, ...]
    excluded: int
    scanned_s_ago: float | None
    lag_s: float | None
    fault: bool = False


@dataclass(frozen=True)
class QueueStatus:
    """Files that wait, are being read, or wait to be tried again; `bytes` are theirs together."""

    waiting: int = 0
    reading: int = 0
    retrying: int = 0
    paused: bool = False
    bytes: int = 0


@dataclass(frozen=True)
class CollectionStatus:
    """`lag_s` is how many seconds the index is behind the disk; `vectors_lag_s` how long the oldest text has waited for
    its vectors. `activity` is None when nothing runs. `matching` files are as wanted, `files` are those listed."""

    collection: str
    folders: tuple[str, ...]
    files: tuple[FileStatus, ...]
    totals: dict[str, int]
    activity: Activity | None
    lag_s: float
    vectors_lag_s: float = 0.0
    queue: QueueStatus = field(default_factory=QueueStatus)
    folder_states: tuple[FolderStatus, ...] = ()
    matching: int = 0


def collection_status(
    collection: Collection,
    activity: Activity | None,
    states: Mapping[str, FolderState],
    now: float,
    wanted: Wanted = ALL_FILES,
    *,
    working: bool = True,
) -> CollectionStatus:
    """`states` has the folders that are followed, by path; `now` is in seconds since 1970. `working`: an ingest process
    lives; without one nothing is being read, whatever an earlier one had claimed."""
    folders = collection.documents.folders()
    paths = {folder.id: folder.path for folder in folders}
    counts = count_documents(collection.database, collection.id)
    rows, matching = _rows(collection, folders, wanted)
    # What a LlamaIndex program puts in stands in a folder row of its own, which is on no disk and never looked at.
    on_disk = [folder for folder in folders if Path(folder.path).is_absolute()]
    folder_states = tuple(_folder_status(folder, states.get(folder.path), counts, now) for folder in on_disk)
    embeds = [collection.vectors.backlog(folder.id)[1] for folder in folders]
    return CollectionStatus(
        collection=collection.name,
        folders=tuple(folder.path for folder in folders),
        files=tuple(_file_status(row, paths.get(row.folder_id, ""), now, working) for row in rows),
        totals=_totals(collection, counts),
        activity=activity if activity and activity.collection == collection.name else None,
        lag_s=max((state.lag_s for state in folder_states if state.lag_s is not None), default=0.0),
        vectors_lag_s=max((_age_s(at, now) for at in embeds if at is not None), default=0.0),
        queue=_queue(counts, collection.paused, working),
        folder_states=folder_states,
        matching=matching,
    )


def status_json(status: CollectionStatus, seconds: float) -> dict[str, object]:
    """The shape of `status --json` and `ingest --json`."""
    return {
        "collection": status.collection,
        "folders": list(status.folders),
        "files": [_file_json(file) for file in status.files],
        "totals": status.totals,
        "activity": asdict(status.activity) if status.activity else None,
        "lag_s": status.lag_s,
        "vectors_lag_s": status.vectors_lag_s,
        "queue": asdict(status.queue),
        "folder_states": [asdict(folder) for folder in status.folder_states],
        "seconds": round(seconds, 3),
    }


def waiting(row: DocumentRow, now: float, *, working: bool = True) -> Waiting | None:
    """Where a document stands in the queue; None when it is not in it. `working` as for `collection_status`."""
    queued = row.queued
    if queued is None:
        return None
    state: Literal["waiting", "reading", "retrying"]
    state = "reading" if queued.claimed and working else "retrying" if queued.fault else "waiting"
    next_try_s = max(0.0, round(queued.not_before - now, 1)) if state == "retrying" else None
    return Waiting(
        state=state,
        since_s=_age_s(queued.enqueued_at, now),
        attempts=queued.attempts,
        fault=queued.fault,
        next_try_s=next_try_s,
        said=_said(queued, state, next_try_s, newer=row.version is not None),
    )


def _rows(collection: Collection, folders: list[FolderRow], wanted: Wanted) -> tuple[list[DocumentRow], int]:
    if wanted.limit is not None:
        return collection.documents.listed(state=wanted.state, name=wanted.name, limit=wanted.limit)
    rows = [row for folder in folders for row in collection.documents.of_folder(folder.id)]
    return rows, len(rows)


def _said(queued: QueuedRead, state: str, next_try_s: float | None, *, newer: bool) -> str:
    subject = "a newer version " if newer else ""
    if state == "reading":
        return f"{subject}is being read" if newer else "being read"
    if state == "waiting":
        return f"{subject}waits" if newer else "waiting"
    tried = "once" if queued.attempts == 1 else f"{queued.attempts} times"
    fault = (queued.fault or "").rstrip(".")
    return f"{subject}{'was ' if newer else ''}tried {tried}: {fault}; next try in {roughly(next_try_s or 0)}"


def _queue(counts: DocumentCounts, paused: bool, working: bool) -> QueueStatus:
    waits, reading = (counts.waiting, counts.reading) if working else (counts.waiting + counts.reading, 0)
    return QueueStatus(waits, reading, counts.retrying, paused, counts.queued_bytes)


def _age_s(at: float, now: float) -> float:
    return round(max(0.0, now - at), 1)


def _folder_status(folder: FolderRow, state: FolderState | None, counts: DocumentCounts, now: float) -> FolderStatus:
    """While somebody looks at the folder and can, the index is behind by what waits; else by the time since the last
    good look."""
    oldest_at = counts.oldest_at.get(folder.id)
    scanned_s_ago = _age_s(folder.scanned_at, now) if folder.scanned_at else None
    waited_s = _age_s(oldest_at, now) if oldest_at is not None else 0.0
    if state is not None and state.state in _LOOKED_AT and not has_fault(state):
        lag_s: float | None = waited_s
    else:
        lag_s = max(waited_s, scanned_s_ago) if scanned_s_ago is not None else None
    return FolderStatus(
        path=folder.path,
        state=state.state if state is not None and state.state != "left" else NOT_FOLLOWED,
        message=state.message if state is not None else None,
        rules=folder.rules,
        excluded=folder.excluded,
        scanned_s_ago=scanned_s_ago,
        lag_s=lag_s,
        fault=state is not None and has_fault(state),
    )


def has_fault(state: FolderState) -> bool:
    """Whether the folder is followed and cannot be looked at; its message says why."""
    if state.state in ("missing", "left"):
        return state.state == "missing"
    return state.message is not None and not state.message.startswith(_NO_FAULT)


def _file_status(row: DocumentRow, folder: str, now: float, working: bool) -> FileStatus:
    return FileStatus(
        path=row.path,
        state=row.state,
        pages_indexed=row.pages_indexed,
        pages_total=row.pages_total,
        chunks=row.chunks,
        characters=row.characters,
        reason=row.reason,
        version=row.version,
        folder=folder,
        size_bytes=row.size_bytes,
        waiting=waiting(row, now, working=working),
    )


def _file_json(file: FileStatus) -> dict[str, object]:
    return {
        "path": file.path,
        "state": file.state,
        "pages": {"indexed": file.pages_indexed, "total": file.pages_total},
        "chunks": file.chunks,
        "characters": file.characters,
        "reason": file.reason,
        "version": file.version,
        "folder": file.folder,
        "bytes": file.size_bytes,
        "waiting": asdict(file.waiting) if file.waiting else None,
    }


def _totals(collection: Collection, counts: DocumentCounts) -> dict[str, int]:
    embedded, chunks = collection.vectors.counts()
    return {
        "files": sum(counts.states.values()),
        **{state: counts.states.get(state, 0) for state in STATES},
        "empty": counts.empty,
        "pages_indexed": counts.pages_indexed,
        "pages_total": counts.pages_total,
        "chunks": chunks,
        "chunks_embedded": embedded,
        "characters": counts.characters,
    }
