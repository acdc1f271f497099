"""The story of ingestion: a folder on the disk becomes searchable, and stays a true mirror of it.

    look ─► compare ─► queue ─► read (parse, chunk, store, publish) ─► embed ─► tidy
                    in the database    several files at a time      beside it    when nothing else is to be done

A published file is found by its words at once, by its meaning when its vectors have followed. The database says at
every moment what is left to do, so a run that was killed is simply gone on with by the next.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from indexes.collection import Collection
from indexes.contents import ContentStore
from indexes.errors import StorageError, UnknownCollection
from indexes.library import Library
from indexes.read_queue import SCANNED, WANTED, ReadQueue
from indexes.records import DocumentRow, FolderRow, ReadJob
from ingest.chunking import Chunker
from ingest.content_builder import ContentBuilder
from ingest.embedding import DistinctTexts, embed_waiting
from ingest.errors import IngestError, NotNow, ParserUnavailable, Paused
from ingest.events import FileDone, IngestEvent, MirrorDone
from ingest.folder_work import FolderWork
from ingest.parser_pool import ParserPool
from ingest.progress import Done
from ingest.reading import FileReader, Recipes
from ingest.scanning import Changes, Scanner
from ingest.walk import Found
from models.cancellation import Cancelled, CancelToken
from models.interfaces import Embedder

_log = logging.getLogger(__name__)
_PATIENT_ATTEMPTS = 3
_LONG_S = 3.0
_RETRY_AFTER_S = (1.0, 4.0, 15.0, 60.0)
_MOST_ATTEMPTS = len(_RETRY_AFTER_S) + 1
_POLL_S, _REPORT_S, _HEARTBEAT_S, _QUIET_S, _PROBLEM_S = 0.25, 0.2, 10.0, 5.0, 5.0


@dataclass
class _Reading:
    """A file in a reader's hands."""

    job: ReadJob
    cancel: CancelToken = field(default_factory=CancelToken)
    begun_at: float = field(default_factory=time.monotonic)
    pages: int = 0
    pages_told: int = 0

    def is_further(self) -> bool:
        """Whether pages have come since it was last asked."""
        before, self.pages_told = self.pages_told, self.pages
        return self.pages_told > before


class Pipeline:
    """Works off the queue for the folders that somebody holds: by `mirror`, for its duration, or by `hold`.

    Threads read, one embeds, one keeps house. `report` hears all events, from any of them. Close it when done.
    """

    def __init__(
        self,
        library: Library,
        pool: ParserPool,
        embedder: Embedder,
        *,
        readers: int = 2,
        report: Callable[[IngestEvent], None] = lambda _: None,
    ) -> None:
        """`readers` files are read at a time."""
        self._library = library
        self._embedder = embedder
        self._report = report
        chunker = Chunker(embedder.token_offsets, embedder.window_tokens)
        self._builder = ContentBuilder(ContentStore(library.database), pool, chunker)
        self._recipes = Recipes(f"{embedder.window_tokens} tokens", pool.ocr)
        self._queue = ReadQueue(library.database, uuid.uuid4().hex)
        self._queue.adopt()
        self._texts = DistinctTexts(embedder)
        self._books = threading.Lock()  # so that what is stored is counted before anybody finds nothing left
        self._state = threading.Condition()
        self._folders: dict[int, FolderWork] = {}
        self._readers = readers
        self._in_hand: dict[int, _Reading] = {}  # by document
        self._made_way: set[int] = set()
        self._paused: set[int] = set()  # collections
        self._tidying = self._urgent = False
        self._closed = threading.Event()
        self._untidy = True  # a killed run may have left something
        self._problem: Exception | None = None
        self._heartbeat_at = self._next_count = self._worked_at = time.monotonic()
        works = [self._read_waiting] * readers + [self._embed_waiting, self._keep_house]
        self._threads = [threading.Thread(target=self._for_ever, args=(work,), daemon=True) for work in works]
        for thread in self._threads:
            thread.start()

    def mirror(
        self,
        collection: str,
        folder: Path,
        *,
        hidden: bool = False,
        rules: Sequence[str] | None = None,
        cancel: CancelToken,
    ) -> MirrorDone:
        """Bring the collection in step with `folder`. Raises `FolderMissing` (then nothing is changed), `Paused`,
        `Cancelled` (then what was done stays, and the next run goes on), StorageError."""
        found = self.collection(collection)
        cancel.check()
        row = found.documents.add_folder(folder, hidden=hidden, rules=rules)
        with self.hold(found, row) as work:
            self._problem = None
            work.progress.restart()
            self._report(work.activity(Done()))
            self._note(work.look(None, cancel))
            self._until_in_step(work, cancel)
            done = work.settled
        self.tidy()
        return MirrorDone(done.collection, done.folder, done.counts, done.seconds)

    @contextmanager
    def hold(self, collection: Collection, row: FolderRow) -> Iterator[FolderWork]:
        """Within the block, the folder is worked on. When the last holder leaves, what is being read is given back."""
        with self._state:
            work = self._folders.get(row.id) or self._work(collection, row)
            work.row = row
            work.holders += 1
            self._folders[row.id] = work
        try:
            yield work
        finally:
            with self._state:
                work.holders -= 1
                if not work.holders and self._folders.get(row.id) is work:
                    del self._folders[row.id]
                    work.stop.cancel()
                    while self._files_in_hand(row.id):  # until nothing writes for it any more
                        self._state.wait(_POLL_S)

    def look(self, work: FolderWork, paths: Iterable[str] | None) -> Changes:
        """As `FolderWork.look`; what it finds is begun with at once."""
        changes = work.look(paths, work.stop)
        self._note(changes)
        return changes

    def leave(self, folder_id: int) -> None:
        """Work on the folder no longer, whoever holds it; returns when nothing writes for it any more."""
        with self._state:
            work = self._folders.pop(folder_id, None)
        if work is not None:
            work.stop.cancel()
        with self._state:
            self._untidy = True
            while self._files_in_hand(folder_id) or (work is not None and work.is_looking):
                self._state.wait(_POLL_S)

    def collection(self, name: str) -> Collection:
        """Raises UnknownCollection, EmbedderMismatch."""
        return self._library.ensure(name, embedder=self._embedder.identity, dimension=self._embedder.dimension)

    def wake(self) -> None:
        """Look at once whether something waits, or has to wait: the queue or a pause was changed from outside."""
        self._look_for_pauses()
        with self._state:
            self._state.notify_all()

    def tidy(self) -> None:
        """Discard what no document shows any more, unless files are being read."""
        with self._state:
            # A file whose job has ended may still be in its reader's hands for a moment.
            self._state.wait_for(lambda: not self._in_hand, _POLL_S)
            if self._in_hand or self._tidying or not self._untidy:
                return
            self._tidying = True
        try:
            self._untidy = not self._discard_stale()
        finally:
            with self._state:
                self._tidying = False
                self._state.notify_all()

    def _discard_stale(self) -> bool:
        """False when it was left off, since a file waits to be read."""
        for name in self._library.names():
            with suppress(UnknownCollection):  # removed meanwhile
                lexical = self._library.collection(name).lexical
                for content_id in lexical.stale_contents():
                    if self._is_due():
                        return False
                    lexical.remove_content(content_id)
        return ContentStore(self._library.database).collect_garbage(self._is_due)

    def _is_due(self) -> bool:
        return self._queue.is_due([work.row.id for work in self._held()])

    def close(self, most_s: float | None = None) -> None:
        """End the threads; what was being read is given back. After `most_s` those that go on are left alone."""
        with self._state:
            self._closed.set()
            self._state.notify_all()
        for work in self._held():
            work.stop.cancel()
        until = None if most_s is None else time.monotonic() + most_s
        for thread in self._threads:
            thread.join(None if until is None else max(0.0, until - time.monotonic()))

    # The threads

    def _for_ever(self, work: Callable[[], None]) -> None:
        """A fault that is not a file's is told to who waits, and tried again: the disk may be full, and then not."""
        while not self._closed.is_set():
            try:
                work()
            except Exception as exc:  # the edge of these threads, which must not end
                if self._closed.is_set():
                    return
                _log.exception("ingestion is held up")
                with self._state:
                    self._problem = exc.with_traceback(None)  # whose frames would keep alive what they were at
                    self._state.notify_all()
                    self._state.wait_for(self._closed.is_set, _PROBLEM_S)

    def _read_waiting(self) -> None:
        reading = self._claimed()
        if reading is None:
            with self._state:
                self._state.wait(0 if self._closed.is_set() else _POLL_S)
            return
        try:
            work = self._folders.get(reading.job.folder_id)
            if work is None:
                self._queue.release(reading.job.document_id)
            else:
                self._read(work, reading)
                self._problem = None
        finally:
            with self._state:
                # One that was given back may be in another reader's hands by now.
                if self._in_hand.get(reading.job.document_id) is reading:
                    del self._in_hand[reading.job.document_id]
                self._state.notify_all()

    def _claimed(self) -> _Reading | None:
        """The next job; its folder counts as being read from then on."""
        with self._state:
            if self._closed.is_set() or self._tidying or not self._folders:
                return None
            # While somebody waits for vectors, the processors are theirs.
            folders = [i for i, work in self._folders.items() if work.collection.id not in self._paused]
            job = self._queue.claim(folders, WANTED if self._urgent else SCANNED) if folders else None
            if job is None:
                return None
            self._untidy = True
            self._in_hand[job.document_id] = reading = _Reading(job)
            return reading

    def _files_in_hand(self, folder_id: int) -> int:
        return sum(reading.job.folder_id == folder_id for reading in list(self._in_hand.values()))

    def _read(self, work: FolderWork, reading: _Reading) -> None:
        job = reading.job
        row = work.collection.documents.get(job.document_id)
        if row is None:
            return
        size_bytes: int | None = None
        work.progress.begin_file(row.path)
        try:
            file = work.find(row)
            if file is None or (file.reason and not (file.passing and row.version is not None)):
                work.look([row.path], work.stop)
                self._queue.release(job.document_id)
            else:
                self._report(self._outcome(work, reading, row, file))
                size_bytes = file.size_bytes
        except Cancelled:
            self._queue.release(job.document_id)
        except (StorageError, ParserUnavailable):
            self._queue.release(job.document_id)
            raise
        except IngestError as exc:  # of the folder: it is not there, or its rules cannot be understood
            self._queue.postpone(job.document_id, str(exc), _RETRY_AFTER_S[-1])
        finally:
            work.progress.end_file(row.path, size_bytes)

    def _outcome(self, work: FolderWork, reading: _Reading, row: DocumentRow, file: Found) -> FileDone:
        """Read it; a file that cannot be read leaves with a reason, and holds up no other."""
        job = reading.job
        if job.attempts > _MOST_ATTEMPTS:
            cause = f"the ingest process has ended {job.attempts - 1} times while it read this file"
            return work.reader.quarantine(row, file, cause)
        try:
            if file.reason:
                raise NotNow(file.reason)

            def on_page() -> None:
                reading.pages += 1
                work.progress.add_page()

            with work.stop.closing(reading.cancel.cancel):
                # A program may keep a file open for writing all day: then it is read as it is.
                patient = job.attempts < _PATIENT_ATTEMPTS
                return work.reader.read(
                    row, file, job.priority, patient=patient, on_page=on_page, cancel=reading.cancel
                )
        except NotNow as exc:
            if job.attempts == _MOST_ATTEMPTS:
                return work.reader.give_up(row, file, f"{exc}; tried {job.attempts} times")
            self._queue.postpone(job.document_id, str(exc), _RETRY_AFTER_S[job.attempts - 1])
            return FileDone(work.collection.name, work.row.path, row.path, row.state, f"{exc}; it is tried again")
        except (Cancelled, StorageError, IngestError):
            raise
        except Exception as exc:  # a fault of ours: it costs this one file, not the folder
            _log.exception("reading a file failed")
            cause = f"Lectern failed on this file ({type(exc).__name__}: {exc}): please report it"
            return work.reader.quarantine(row, file, cause)

    def _embed_waiting(self) -> None:
        collections = {work.collection.id: work.collection for work in self._held()}
        stored = 0
        try:
            for collection in collections.values():
                if collection.id in self._paused:
                    continue
                self._urgent = collection.vectors.first_priority() == WANTED
                for batch, vectors in embed_waiting(collection.vectors, self._texts):
                    stored += len(batch)
                    with self._books:
                        collection.vectors.put(batch, vectors)
                        self._count_embedded(collection, [chunk.content_id for chunk in batch])
                    if self._closed.is_set() or collection.id in self._paused:
                        break
        finally:
            self._urgent = False
        if not stored:
            with self._state:
                self._state.wait(0 if self._closed.is_set() else _POLL_S)

    def _count_embedded(self, collection: Collection, content_ids: Sequence[int]) -> None:
        folders = collection.documents.folders_of(set(content_ids))
        for work in self._held():
            work.progress.add_chunks(sum(work.row.id in folders[content_id] for content_id in content_ids))
        with self._state:
            self._problem = None
            self._state.notify_all()

    def _keep_house(self) -> None:
        """Say where the work stands, note what is in step, show signs of life, and tidy up in quiet hours."""
        with self._state:
            self._state.wait(0 if self._closed.is_set() else _POLL_S)
        started = time.monotonic()
        if started < self._next_count:
            return
        if started - self._heartbeat_at > _HEARTBEAT_S:
            self._heartbeat_at = started
            self._show_life()
        self._look_for_pauses()
        self._make_room()
        at_work = [work for work in self._held() if not work.in_step]
        for work in at_work:
            with self._books:
                left = work.left(self._queue, reading=bool(self._files_in_hand(work.row.id)))
            self._report(work.settled if work.in_step else work.activity(left))
        if at_work or self._in_hand:
            self._worked_at = started
        elif self._untidy and started - self._worked_at > _QUIET_S:
            self.tidy()
        # Counting a long queue takes a while: no more than a sixth of the time.
        self._next_count = time.monotonic() + max(_REPORT_S, 5 * (time.monotonic() - started))
        with self._state:
            self._state.notify_all()

    def _show_life(self) -> None:
        with self._state:  # so that no claim comes in between
            self._queue.heartbeat({document_id: reading.is_further() for document_id, reading in self._in_hand.items()})

    def _look_for_pauses(self) -> None:
        """Give back what is being read for a collection that somebody has paused."""
        folders = {work.row.id: work.collection for work in self._held()}
        self._paused = {collection.id for collection in folders.values() if collection.paused}
        for reading in list(self._in_hand.values()):
            if (collection := folders.get(reading.job.folder_id)) and collection.id in self._paused:
                reading.cancel.cancel()

    def _make_room(self) -> None:
        """When somebody waits for a file and every reader is at a long one, that one goes on later."""
        readings = list(self._in_hand.values())
        if len(readings) < self._readers or any(reading.job.priority == WANTED for reading in readings):
            return
        longest = min(readings, key=lambda reading: reading.begun_at)
        if time.monotonic() - longest.begun_at < _LONG_S or longest.job.document_id in self._made_way:
            return
        if self._queue.is_due([work.row.id for work in self._held()], WANTED):
            self._made_way.add(longest.job.document_id)  # once: a file of one long page would never be read
            longest.cancel.cancel()

    # What they share

    def _held(self) -> list[FolderWork]:
        with self._state:
            return list(self._folders.values())

    def _work(self, collection: Collection, row: FolderRow) -> FolderWork:
        scanner = Scanner(collection.documents, self._recipes.is_current)
        return FolderWork(collection, row, FileReader(collection, row.path, self._builder, self._recipes), scanner)

    def _note(self, changes: Changes) -> None:
        with self._state:
            self._untidy = self._untidy or changes.removed > 0
            self._state.notify_all()

    def _until_in_step(self, work: FolderWork, cancel: CancelToken) -> None:
        with cancel.closing(self.wake):
            while not work.in_step:
                cancel.check()
                work.stop.check()
                if self._problem:
                    raise self._problem
                if work.collection.paused:
                    raise Paused(
                        f"The collection {work.collection.name!r} is paused: its files wait. "
                        "`python app.py queue resume` has them read."
                    )
                with self._state:
                    self._state.wait(_POLL_S)
