"""What happens while a folder is mirrored, as records that cross processes as JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Literal

Phase = Literal["waiting", "walking", "reading", "embedding", "tidying"]
FollowState = Literal["starting", "watching", "polling", "missing", "left"]


@dataclass(frozen=True)
class Activity:
    """Where the work on one folder stands. Totals grow while more is found; `eta_s` is None until enough was done to
    tell. The rates are those of the last half minute."""

    collection: str
    folder: str
    phase: Phase
    current_file: str | None
    files_done: int
    files_total: int
    chunks_embedded: int
    chunks_total: int
    elapsed_s: float
    eta_s: float | None
    bytes_done: int = 0
    bytes_total: int = 0
    pages_done: int = 0
    files_per_s: float = 0.0
    pages_per_s: float = 0.0
    bytes_per_s: float = 0.0
    chunks_per_s: float = 0.0


@dataclass(frozen=True)
class FileDone:
    """A file has been brought up to date; `state` and `reason` as in the database."""

    collection: str
    folder: str
    path: str
    state: str
    reason: str | None


@dataclass(frozen=True)
class MirrorDone:
    """A folder has been mirrored. `counts` in files: found, unchanged, read, moved, removed, left_out; and embedded, in
    chunks."""

    collection: str
    folder: str
    counts: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0


@dataclass(frozen=True)
class MirrorFailed:
    """The folder could not be mirrored, or not to the end. `code`: cancelled, folder_missing, internal_error, …"""

    collection: str
    folder: str
    code: str
    message: str


@dataclass(frozen=True)
class InStep:
    """Nothing is left to do for a folder; `counts` as in MirrorDone, since it was last in step."""

    collection: str
    folder: str
    counts: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0


@dataclass(frozen=True)
class FolderState:
    """How a followed folder is looked at: "watching" (told of changes by the system), "polling" (looked at now and
    then), "missing", or "left" (followed no longer). `message` says why, for people."""

    collection: str
    folder: str
    state: FollowState
    message: str | None = None


IngestEvent = Activity | FileDone | InStep | FolderState | MirrorDone | MirrorFailed
_KINDS: dict[str, type[IngestEvent]] = {
    kind.__name__: kind for kind in (Activity, FileDone, InStep, FolderState, MirrorDone, MirrorFailed)
}


def to_json(event: IngestEvent) -> dict[str, object]:
    return {"event": type(event).__name__, **asdict(event)}


def from_json(fields: dict[str, object]) -> IngestEvent:
    """The inverse of `to_json`. Raises KeyError or TypeError on anything else."""
    arguments = dict(fields)
    return _KINDS[str(arguments.pop("event"))](**arguments)  # type: ignore[arg-type]  # both ends run this module
