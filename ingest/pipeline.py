"""The story of ingestion: a folder on the disk becomes searchable, and stays a true mirror of it.

    walk ─► compare ─► read (parse, chunk, store, publish) ─► embed ─► tidy
                        several files at a time      while files are still read

A published file is found by its words at once, by its meaning when its vectors have followed. The database says at
every moment what is left to do, so a run that was killed is simply run again.
"""

from __future__ import annotations

import logging
import queue
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from indexes.collection import Collection
from indexes.records import DocumentRow
from ingest.changes import Changes, settle_changes
from ingest.chunking import Chunker
from ingest.embedding import embed_missing
from ingest.events import IngestEvent, MirrorDone
from ingest.parser_pool import ParserPool
from ingest.progress import Progress
from ingest.reading import FileReader
from ingest.walk import Found, walk
from models.cancellation import CancelToken
from models.interfaces import Embedder

_log = logging.getLogger(__name__)
_COUNT_EVERY_S = 0.5


class Pipeline:
    """Mirrors folders into one collection."""

    def __init__(self, collection: Collection, pool: ParserPool, embedder: Embedder, *, readers: int) -> None:
        """`readers` files are read at a time."""
        self._collection = collection
        self._embedder = embedder
        self._readers = readers
        chunker = Chunker(embedder.token_offsets, embedder.window_tokens)
        self._reader = FileReader(collection, pool, chunker, f"{embedder.window_tokens} tokens")

    def mirror(
        self, folder: Path, *, hidden: bool, report: Callable[[IngestEvent], None], cancel: CancelToken
    ) -> MirrorDone:
        """Bring the collection in step with `folder`. Raises `FolderMissing` (then nothing is changed) or `Cancelled`
        (then what was done stays, and the next run goes on)."""
        started = time.monotonic()
        progress = Progress(self._collection.name, str(folder), report)
        progress.enter("walking")
        found = list(_until_cancelled(walk(folder, hidden=hidden), cancel))
        row = self._collection.documents.add_folder(folder, hidden=hidden)
        changes = settle_changes(
            self._collection.documents, row.id, found, is_current=self._reader.is_current, cancel=cancel
        )
        embedded = self._read_and_embed(changes, progress, report, cancel)
        progress.enter("tidying")
        self.tidy()
        self._collection.documents.mark_scanned(row.id)
        counts = {
            "found": changes.found,
            "unchanged": changes.unchanged,
            "read": len(changes.to_read),
            "moved": changes.moved,
            "removed": changes.removed,
            "embedded": embedded,
        }
        return MirrorDone(self._collection.name, str(folder), counts, round(time.monotonic() - started, 3))

    def tidy(self) -> None:
        """Discard what no document shows any more. Not while files are being read."""
        for content_id in self._collection.lexical.stale_contents():
            self._collection.lexical.remove_content(content_id)
        self._collection.contents.collect_garbage()

    def _read_and_embed(
        self, changes: Changes, progress: Progress, report: Callable[[IngestEvent], None], cancel: CancelToken
    ) -> int:
        progress.plan(len(changes.to_read), sum(file.size_bytes for _, file in changes.to_read))
        progress.enter("reading")
        waiting: queue.SimpleQueue[tuple[DocumentRow, Found]] = queue.SimpleQueue()
        for pair in changes.to_read:
            waiting.put(pair)
        stop = CancelToken()  # one failed thread stops the others
        with cancel.closing(stop.cancel), ThreadPoolExecutor(self._readers, thread_name_prefix="read") as threads:
            readings = [threads.submit(self._read_all, waiting, progress, report, stop) for _ in range(self._readers)]
            try:
                return self._embed_while(readings, progress, stop)
            finally:
                stop.cancel()

    def _read_all(
        self,
        waiting: queue.SimpleQueue[tuple[DocumentRow, Found]],
        progress: Progress,
        report: Callable[[IngestEvent], None],
        stop: CancelToken,
    ) -> None:
        while True:
            stop.check()
            try:
                row, file = waiting.get_nowait()
            except queue.Empty:
                return
            progress.begin_file(row.path)
            report(self._reader.read(row, file, stop))
            progress.end_file(row.path, file.size_bytes)

    def _embed_while(self, readings: list[Future[None]], progress: Progress, stop: CancelToken) -> int:
        """Embed until every reading has ended and no chunk is left without a vector."""
        counter = _Counter(self._collection, progress)

        def more_may_come() -> bool:
            counter.look()
            ended = [reading for reading in readings if reading.done()]
            for reading in ended:
                reading.result()  # a reading that failed ends the whole with its error
            if len(ended) == len(readings):
                progress.enter("embedding")
            return len(ended) < len(readings)

        embedded = embed_missing(
            self._collection.vectors, self._embedder, more_may_come=more_may_come, report=counter.add, cancel=stop
        )
        counter.look(at_once=True)
        return embedded


def _until_cancelled(found: Iterable[Found], cancel: CancelToken) -> Iterator[Found]:
    for file in found:
        cancel.check()
        yield file


class _Counter:
    """Counts chunks for the progress; the database is asked now and then only, since counting reads every row."""

    def __init__(self, collection: Collection, progress: Progress) -> None:
        self._collection = collection
        self._progress = progress
        self._looked = 0.0
        self._embedded = self._total = 0

    def add(self, chunks: int) -> None:
        self._embedded += chunks
        self._total = max(self._total, self._embedded)
        self._progress.set_chunks(self._embedded, self._total)

    def look(self, at_once: bool = False) -> None:
        if at_once or time.monotonic() - self._looked > _COUNT_EVERY_S:
            self._looked = time.monotonic()
            self._embedded, self._total = self._collection.vectors.counts()
            self._progress.set_chunks(self._embedded, self._total)
