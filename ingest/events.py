"""What happens while a folder is mirrored, as records that cross processes as JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Literal

Phase = Literal["waiting", "walking", "reading", "embedding", "tidying"]


@dataclass(frozen=True)
class Activity:
    """Where the work stands. `eta_s` is None until enough was done to tell."""

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


@dataclass(frozen=True)
class FileDone:
    """A file has been brought up to date; `state` and `reason` as in the database."""

    collection: str
    path: str
    state: str
    reason: str | None


@dataclass(frozen=True)
class MirrorDone:
    """A folder has been mirrored. `counts`: found, unchanged, read, moved, removed, embedded (chunks)."""

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


IngestEvent = Activity | FileDone | MirrorDone | MirrorFailed
_KINDS: dict[str, type[Activity] | type[FileDone] | type[MirrorDone] | type[MirrorFailed]] = {
    kind.__name__: kind for kind in (Activity, FileDone, MirrorDone, MirrorFailed)
}


def to_json(event: IngestEvent) -> dict[str, object]:
    return {"event": type(event).__name__, **asdict(event)}


def from_json(fields: dict[str, object]) -> IngestEvent:
    """The inverse of `to_json`. Raises KeyError or TypeError on anything else."""
    arguments = dict(fields)
    return _KINDS[str(arguments.pop("event"))](**arguments)  # type: ignore[arg-type]  # both ends run this module
