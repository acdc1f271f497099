"""What a collection holds and what is being done to it, as records for the page and as the JSON of the contracts."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

from indexes.collection import Collection
from indexes.records import DocumentRow
from ingest.events import Activity
from rag.errors import NotFound


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


@dataclass(frozen=True)
class CollectionStatus:
    """`lag_s` is how long ago the folders were last compared with the disk; `activity` is None when nothing runs."""

    collection: str
    folders: tuple[str, ...]
    files: tuple[FileStatus, ...]
    totals: dict[str, int]
    activity: Activity | None
    lag_s: float


def collection_status(collection: Collection, activity: Activity | None, now: float) -> CollectionStatus:
    folders = collection.documents.folders()
    files = tuple(_file_status(row) for row in collection.documents.all())
    # What a LlamaIndex program puts in stands in a folder row of its own, which is on no disk and never scanned.
    scans = [folder.scanned_at for folder in folders if folder.scanned_at and Path(folder.path).is_absolute()]
    return CollectionStatus(
        collection=collection.name,
        folders=tuple(folder.path for folder in folders),
        files=files,
        totals=_totals(collection, files),
        activity=activity if activity and activity.collection == collection.name else None,
        lag_s=round(max(0.0, now - min(scans)), 1) if scans else 0.0,
    )


def status_json(status: CollectionStatus, seconds: float) -> dict[str, object]:
    """The shape of `status --json` and `ingest --json`."""
    return {
        "collection": status.collection,
        "folders": list(status.folders),
        "files": [
            {
                "path": file.path,
                "state": file.state,
                "pages": {"indexed": file.pages_indexed, "total": file.pages_total},
                "chunks": file.chunks,
                "characters": file.characters,
                "reason": file.reason,
                "version": file.version,
            }
            for file in status.files
        ],
        "totals": status.totals,
        "activity": asdict(status.activity) if status.activity else None,
        "lag_s": status.lag_s,
        "seconds": round(seconds, 3),
    }


def show_json(collection: Collection, path: str) -> dict[str, object]:
    """What was read of one file. `path` is relative to its folder, or absolute. Raises NotFound."""
    row = _find(collection, path)
    elements = collection.contents.elements(row.content_id) if row.content_id else []
    return {
        "path": row.path,
        "state": row.state,
        "reason": row.reason,
        "version": row.version,
        "pages": {"indexed": row.pages_indexed, "total": row.pages_total},
        "chunks": row.chunks,
        "characters": row.characters,
        "elements": [asdict(element) for element in elements],
    }


def _find(collection: Collection, path: str) -> DocumentRow:
    for folder in collection.documents.folders():
        for row in collection.documents.of_folder(folder.id):
            if path in (row.path, f"{folder.path}/{row.path}"):
                return row
    raise NotFound(
        f"No file {path!r} is known in the collection {collection.name!r}. Give the path relative to its folder as "
        "`python app.py status` prints it; names that begin with a dot are read only with --hidden."
    )


def _file_status(row: DocumentRow) -> FileStatus:
    return FileStatus(
        path=row.path,
        state=row.state,
        pages_indexed=row.pages_indexed,
        pages_total=row.pages_total,
        chunks=row.chunks,
        characters=row.characters,
        reason=row.reason,
        version=row.version,
    )


def _totals(collection: Collection, files: tuple[FileStatus, ...]) -> dict[str, int]:
    states = Counter(file.state for file in files)
    embedded, chunks = collection.vectors.counts()
    return {
        "files": len(files),
        **{state: states[state] for state in ("indexed", "partial", "skipped", "failed", "quarantined", "pending")},
        "pages_indexed": sum(file.pages_indexed for file in files),
        "pages_total": sum(file.pages_total for file in files),
        "chunks": chunks,
        "chunks_embedded": embedded,
        "characters": sum(file.characters for file in files),
    }
