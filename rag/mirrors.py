"""The folders being mirrored: started, followed, stopped, and their index cache saved at the end."""

from __future__ import annotations

import logging
import queue
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from indexes.collection import Collection
from indexes.errors import StorageError
from ingest.events import Activity, FolderState, IngestEvent, InStep, MirrorDone, MirrorFailed
from ingest.process import IngestProcess, Mirroring
from models.cancellation import CancelToken
from rag.errors import Busy

_log = logging.getLogger(__name__)
_STOP_S = 60.0


class Mirrors:
    """Hands folders to the ingest process. Thread-safe."""

    def __init__(self, ingest: IngestProcess) -> None:
        self._ingest = ingest
        self._follows_all = False

    def activity(self, collection: str) -> Activity | None:
        """What is being done for that collection now; None when nothing is."""
        return self._ingest.activity(collection)

    @property
    def working(self) -> bool:
        """Whether an ingest process lives."""
        return self._ingest.process_id is not None

    def folder_states(self, collection: Collection) -> dict[str, FolderState]:
        """How each of its folders is looked at, by path, for those that are followed or being mirrored. "starting" is
        what nothing was told of yet."""
        name = collection.name
        begun = {mirroring.request.folder for mirroring in self._ingest.under_way(name)}
        if self._follows_all:
            begun |= {row.path for row in collection.documents.folders()}
        states = {folder: FolderState(name, folder, "starting") for folder in begun}
        for (of, folder), state in self._ingest.folder_states().items():
            if of == name and not (state.state == "left" and folder in states):
                states[folder] = state
        return states

    def follow_all(self) -> None:
        """Keep every folder in step with the disk from now on."""
        self._follows_all = True
        self._ingest.follow_all()

    def follow(self, folder: Path, collection: Collection, cancel: CancelToken) -> Iterator[IngestEvent]:
        """Keep that folder in step, and yield what happens, until it is cancelled."""
        events: queue.SimpleQueue[IngestEvent | None] = queue.SimpleQueue()
        with (
            self._ingest.listening(collection.name, folder, events.put),
            cancel.closing(lambda: events.put(None)),
        ):
            self._ingest.follow(collection.name, folder)
            while (event := events.get()) is not None:
                if isinstance(event, InStep):
                    _save(collection)
                yield event

    def wake(self) -> None:
        """The queue, or a pause, was changed."""
        self._ingest.wake()

    def start(
        self,
        folder: Path,
        collection: Collection,
        *,
        hidden: bool,
        rules: Sequence[str] | None = None,
        listener: Callable[[IngestEvent], None],
    ) -> Mirroring:
        """Begin in the background; `listener` hears every event, from another thread."""

        def heard(event: IngestEvent) -> None:
            if isinstance(event, MirrorDone | MirrorFailed):
                _save(collection)
            listener(event)

        return self._ingest.mirror(collection.name, folder, hidden=hidden, rules=rules, listener=heard)

    def run(
        self,
        folder: Path,
        collection: Collection,
        *,
        hidden: bool,
        rules: Sequence[str] | None = None,
        cancel: CancelToken,
    ) -> Iterator[IngestEvent]:
        """Yield what happens; the last event is MirrorDone or MirrorFailed. Leaving off early stops it."""
        events: queue.SimpleQueue[IngestEvent] = queue.SimpleQueue()
        mirroring = self.start(folder, collection, hidden=hidden, rules=rules, listener=events.put)
        return self._until_done(mirroring, events, cancel)

    def cancel_all(self) -> None:
        for mirroring in self._ingest.under_way():
            self._ingest.cancel(mirroring)

    def stop(self, collection: str, folder: Path | None = None) -> None:
        """Mirror and follow the folder, or all of the collection, no longer; wait until nothing writes for it any
        more. Raises Busy."""
        if not self._ingest.leave(collection, folder, _STOP_S):
            raise Busy(f"{folder or collection} is being mirrored and does not stop. Try again in a minute.")

    def close(self) -> None:
        self._ingest.close()

    def _until_done(
        self, mirroring: Mirroring, events: queue.SimpleQueue[IngestEvent], cancel: CancelToken
    ) -> Iterator[IngestEvent]:
        def stop() -> None:
            self._ingest.cancel(mirroring)

        try:
            with cancel.closing(stop):
                while True:
                    event = events.get()
                    yield event
                    if isinstance(event, MirrorDone | MirrorFailed):
                        return
        finally:
            stop()


def log_event(event: IngestEvent) -> None:
    """A listener for mirrors that nobody waits for."""
    if isinstance(event, MirrorDone):
        _log.info("mirrored in %.1f s: %s", event.seconds, event.counts)
    elif isinstance(event, MirrorFailed):
        _log.warning("mirroring stopped: %s", event.message)


def _save(collection: Collection) -> None:
    """A cache that cannot be written costs time at the next start, and nothing else."""
    try:
        collection.dense.save()
    except StorageError as exc:
        _log.warning("%s", exc)
