"""Keeps folders in step with the disk for as long as it lives: one watcher a folder, each change looked at at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from indexes.collection import Collection
from indexes.errors import StorageError
from indexes.records import FolderRow
from ingest.errors import IngestError
from ingest.events import FolderState, IngestEvent
from ingest.folder_work import FolderWork
from ingest.pipeline import Pipeline
from ingest.watching import Watcher
from models.cancellation import Cancelled

_LOOK_S = 1.0


@dataclass
class _Followed:
    work: FolderWork
    watcher: Watcher | None = None
    told: FolderState | None = None
    fault: str | None = None
    holding: ExitStack = field(default_factory=ExitStack)


class Following:
    """Thread-safe. `report` hears how each folder is looked at, whenever that changes."""

    def __init__(
        self, pipeline: Pipeline, report: Callable[[IngestEvent], None], *, rescan_s: float | None = None
    ) -> None:
        self._pipeline = pipeline
        self._report = report
        self._rescan_s = rescan_s
        self._lock = threading.Lock()
        self._followed: dict[int, _Followed] = {}
        self._closed = threading.Event()
        self._teller = threading.Thread(target=self._tell_for_ever, name="folder-states", daemon=True)
        self._teller.start()

    def follow(self, collection: Collection, row: FolderRow) -> None:
        """Look at the folder now, and whenever something in it changes. One that is followed already is not followed
        twice."""
        with self._lock:
            if row.id in self._followed or self._closed.is_set():
                return
            holding = ExitStack()
            followed = _Followed(holding.enter_context(self._pipeline.hold(collection, row)), holding=holding)
            followed.watcher = Watcher(
                Path(row.path),
                partial(self._changed, followed),
                hidden=row.hidden,
                rules=followed.work.rules,
                rescan_s=self._rescan_s,
            )
            self._followed[row.id] = followed
        self._tell(followed)

    def leave(self, folder_ids: Iterable[int]) -> None:
        """Follow them no longer; returns when nothing looks at them or writes for them any more."""
        for folder_id in folder_ids:
            with self._lock:
                followed = self._followed.pop(folder_id, None)
            self._pipeline.leave(folder_id)
            if followed is not None:
                self._end(followed)
                row = followed.work.row
                self._report(FolderState(followed.work.collection.name, row.path, "left"))

    def close(self) -> None:
        self._closed.set()
        with self._lock:
            followed, self._followed = list(self._followed.values()), {}
        for one in followed:
            one.work.stop.cancel()
            self._end(one)
        self._teller.join()

    def _end(self, followed: _Followed) -> None:
        if followed.watcher is not None:
            followed.watcher.close()
        followed.holding.close()

    def _changed(self, followed: _Followed, paths: frozenset[str] | None) -> None:
        try:
            self._pipeline.look(followed.work, paths)
            followed.fault = None
        except Cancelled:
            return
        except (IngestError, StorageError) as exc:
            followed.fault = str(exc)
            raise  # the watcher has everything looked at again in a moment

    def _tell_for_ever(self) -> None:
        while not self._closed.wait(_LOOK_S):
            with self._lock:
                followed = list(self._followed.values())
            for one in followed:
                self._tell(one)

    def _tell(self, followed: _Followed) -> None:
        state = _state_of(followed)
        if state != followed.told:
            followed.told = state
            self._report(state)


def _state_of(followed: _Followed) -> FolderState:
    work, watcher = followed.work, followed.watcher
    assert watcher is not None
    return FolderState(work.collection.name, work.row.path, watcher.state, followed.fault or watcher.message)
