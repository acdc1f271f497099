"""One folder in work: looked at, what waits for it counted, and whether the index is in step with it."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from indexes.collection import Collection
from indexes.read_queue import ReadQueue
from indexes.records import DocumentRow, FolderRow
from ingest.errors import FolderMissing
from ingest.events import Activity, InStep, Phase
from ingest.progress import Done, Progress
from ingest.reading import FileReader
from ingest.rules import Rules, RulesOf
from ingest.scanning import Changes, Scanner
from ingest.walk import Found, walk
from models.cancellation import CancelToken


class FolderWork:
    """Thread-safe. `stop` ends what is being read for it; `holders` counts who wants it worked on; `settled` is what
    was done when the folder was last in step."""

    def __init__(self, collection: Collection, row: FolderRow, reader: FileReader, scanner: Scanner) -> None:
        self.collection = collection
        self.row = row
        self.reader = reader
        self.stop = CancelToken()
        self.holders = 0
        self.in_step = False
        self.settled = InStep(collection.name, row.path)
        self.progress = Progress(collection.name, row.path)
        self._scanner = scanner
        self._rules = RulesOf(Path(row.path))
        self._one_look = threading.Lock()
        self._lock = threading.Lock()
        self._looks = self._looking = 0
        self._counts: Counter[str] = Counter()

    def look(self, paths: Iterable[str] | None, cancel: CancelToken) -> Changes:
        """Compare with the disk: the whole folder, or some paths below it. Raises FolderMissing, BadRule, Cancelled."""
        with self._lock:
            self._looks += 1
            self._looking += 1
            self.in_step = False
        try:
            with self._one_look:
                changes = self._changes(paths, cancel)
        finally:
            with self._lock:
                self._looking -= 1
        with self._lock:
            self._counts.update(vars(changes))
        return changes

    @property
    def is_looking(self) -> bool:
        return self._looking > 0

    def find(self, document: DocumentRow) -> Found | None:
        """The document's file as it is now; None when it is gone."""
        found = next(walk(Path(self.row.path), hidden=True, below=document.path), None)
        return found if found and found.path == document.path else None

    def left(self, queue: ReadQueue, *, reading: bool) -> Done:
        """What is still to be done, in files, bytes and chunks; marks the folder as in step when that is nothing and
        no file of it is in a reader's hands."""
        with self._lock:
            looks = self._looks
        backlog = queue.backlog(self.row.id)
        chunks, _ = self.collection.vectors.backlog(self.row.id)
        with self._lock:
            if not (reading or backlog.files or chunks or self._looking or looks != self._looks):
                self.settled = self._settle()
                self.in_step = True
        return Done(files=backlog.files, size_bytes=backlog.size_bytes, chunks=chunks)

    def activity(self, left: Done) -> Activity:
        phase: Phase = "walking" if self._looking else "reading" if left.files else "embedding"
        return self.progress.activity(phase, left)

    def rules(self) -> Rules:
        """Those in force now: the folder's own file may have changed. Raises BadRule."""
        return self._rules.now(self.row.rules)

    def _settle(self) -> InStep:
        """What was done since the folder was last in step; the counting begins anew."""
        counts, self._counts = dict(self._counts), Counter()
        done, seconds = self.progress.done, self.progress.elapsed_s
        self.progress.restart()
        counts.pop("queued", None)  # "read" says what became of them
        counts |= {"read": done.files, "embedded": done.chunks}
        return InStep(self.collection.name, self.row.path, counts, round(seconds, 3))

    def _changes(self, paths: Iterable[str] | None, cancel: CancelToken) -> Changes:
        row = self.collection.documents.folder(self.row.id)
        if row is None:
            raise FolderMissing(f"{self.row.path} is no longer a folder of the collection {self.collection.name!r}.")
        self.row = row
        rules = self.rules()
        if paths is None:
            return self._scanner.scan(self.row, rules, cancel)
        return self._scanner.look(self.row, rules, paths, cancel)
