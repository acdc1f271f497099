"""One file becomes a published content: hash, parse in the sandbox, chunk, store, flip the version."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from indexes.collection import Collection
from indexes.records import ChunkRecord, DocumentRow, DocumentState, PageRecord
from ingest.chunking import CHUNKING, Chunker
from ingest.elements import Page, Summary
from ingest.errors import IngestError, ParserUnavailable, Unreadable
from ingest.events import FileDone
from ingest.formats import FORMATS, Format, detect
from ingest.parser_pool import ParserPool
from ingest.walk import Found, sha256_of
from models.cancellation import CancelToken

_log = logging.getLogger(__name__)
_PAGE_BATCH, _CHUNK_BATCH = 32, 200


@dataclass
class _Build:
    """A content while its pages stream in."""

    content_id: int
    page_ids: list[int] = field(default_factory=list)
    waiting_pages: list[PageRecord] = field(default_factory=list)
    summary: Summary | None = None


class FileReader:
    """Reads files into one collection; several threads may share it."""

    def __init__(self, collection: Collection, pool: ParserPool, chunker: Chunker, chunking: str) -> None:
        """`chunking` names the chunker with its settings; it is part of every content's recipe."""
        self._collection = collection
        self._pool = pool
        self._chunker = chunker
        self._chunking = f"{CHUNKING} {chunking}"
        self._current_recipes = {self._recipe(format) for format in FORMATS.values()} | {self._recipe(None)}
        self._being_built: set[str] = set()
        self._built = threading.Condition()

    def is_current(self, recipe: str | None) -> bool:
        """Would a file read by `recipe` be read the same way today?"""
        return recipe in self._current_recipes

    def read(self, row: DocumentRow, file: Found, cancel: CancelToken) -> FileDone:
        """Bring one document up to date with its file. What cannot be read is noted with its reason; only
        `Cancelled` and faults that are not the file's pass through."""
        sha256 = recipe = None
        try:
            sha256 = sha256_of(file.absolute, cancel)
            recipe = self._recipe(None)
            format = detect(file.absolute)
            recipe = self._recipe(format)
            if (row.sha256, row.recipe) == (sha256, recipe) and row.state != "pending":
                self._collection.documents.touch(row.id, file.size_bytes, file.mtime_ns)
                return self._done(row.path, row.state, row.reason)
            content_id = self._content(sha256, recipe, file, format, cancel)
            _require_unchanged(file)
        except ParserUnavailable:
            raise
        except _StillWritten as exc:
            # Without a sha256, so that it is read again even when the bytes turn out to be the final ones.
            return self._reject(row, file, None, None, exc)
        except IngestError as exc:
            return self._reject(row, file, sha256, recipe, exc)
        return self._publish(row, file, sha256, recipe, content_id)

    def _recipe(self, format: Format | None) -> str:
        return f"{format.identity if format else 'not read'} · {self._chunking}"

    def _content(self, sha256: str, recipe: str, file: Found, format: Format, cancel: CancelToken) -> int:
        """The id of the ready content of these bytes, built if there is none yet. Raises `IngestError`."""
        with self._one_builder(f"{sha256} {recipe}"):
            known = self._collection.contents.find(sha256, recipe)
            if known and known.state == "ready":
                return known.id
            build = _Build(self._collection.contents.begin(sha256, recipe))
            try:
                self._store(build, self._pool.parse(file.absolute, format, cancel))
            except BaseException:
                self._collection.contents.discard(build.content_id)
                raise
            return build.content_id

    def _store(self, build: _Build, parsed: Iterable[Page | Summary]) -> None:
        """Pages and chunks go to the database as they come, so that a large file needs little memory."""
        batch: list[ChunkRecord] = []
        ordinal = 0
        for chunk in self._chunker.chunks(self._stored_pages(build, parsed)):
            batch.append(chunk)
            if len(batch) == _CHUNK_BATCH:
                self._store_chunks(build, ordinal, batch)
                ordinal, batch = ordinal + len(batch), []
        self._store_chunks(build, ordinal, batch)
        summary = build.summary
        if summary is None:
            raise Unreadable("the parser stopped before the end of the file")
        if ordinal + len(batch) == 0:
            raise Unreadable("; ".join(f"{o.what}: {o.reason}" for o in summary.omissions) or "there is no text in it")
        self._collection.contents.finish(
            build.content_id,
            title=summary.title,
            pages_total=summary.pages_total,
            omissions=[(omission.what, omission.reason) for omission in summary.omissions],
        )
        self._collection.lexical.add_content(build.content_id)

    def _stored_pages(self, build: _Build, parsed: Iterable[Page | Summary]) -> Iterator[Page]:
        for item in parsed:
            if isinstance(item, Summary):
                build.summary = item
                continue
            build.waiting_pages.append(_page_record(item))
            if len(build.waiting_pages) == _PAGE_BATCH:
                self._store_pages(build)
            yield item
        self._store_pages(build)

    def _store_pages(self, build: _Build) -> None:
        pages, build.waiting_pages = build.waiting_pages, []
        if pages:
            build.page_ids += self._collection.contents.add_pages(build.content_id, len(build.page_ids), pages)

    def _store_chunks(self, build: _Build, first_ordinal: int, chunks: list[ChunkRecord]) -> None:
        self._store_pages(build)
        if chunks:
            self._collection.contents.add_chunks(build.content_id, first_ordinal, chunks, build.page_ids)

    def _publish(self, row: DocumentRow, file: Found, sha256: str, recipe: str, content_id: int) -> FileDone:
        self._collection.lexical.add_content(content_id)  # when another collection read it first
        omissions = self._collection.contents.omissions(content_id)
        state: DocumentState = "partial" if omissions else "indexed"
        reason = "; ".join(f"{what}: {why}" for what, why in omissions) or None
        self._collection.documents.publish(
            row.id,
            size_bytes=file.size_bytes,
            mtime_ns=file.mtime_ns,
            sha256=sha256,
            recipe=recipe,
            content_id=content_id,
            state=state,
            reason=reason,
        )
        return self._done(row.path, state, reason)

    def _reject(
        self, row: DocumentRow, file: Found, sha256: str | None, recipe: str | None, error: IngestError
    ) -> FileDone:
        self._collection.documents.reject(
            row.id,
            size_bytes=file.size_bytes,
            mtime_ns=file.mtime_ns,
            sha256=sha256,
            recipe=recipe,
            state=error.state,
            reason=str(error),
        )
        return self._done(row.path, error.state, str(error))

    def _done(self, path: str, state: str, reason: str | None) -> FileDone:
        _log.info("file %s", state)
        return FileDone(self._collection.name, path, state, reason)

    @contextmanager
    def _one_builder(self, key: str) -> Iterator[None]:
        """Identical files that are read at the same time: the second waits and finds the content ready."""
        with self._built:
            self._built.wait_for(lambda: key not in self._being_built)
            self._being_built.add(key)
        try:
            yield
        finally:
            with self._built:
                self._being_built.remove(key)
                self._built.notify_all()


class _StillWritten(Unreadable):
    """The file changed while it was read: what was read may be half of it."""


def _require_unchanged(file: Found) -> None:
    """Raises `_StillWritten`."""
    try:
        now = file.absolute.stat()
    except OSError as exc:
        raise _StillWritten(f"the file went away while it was read ({exc.strerror})") from exc
    if (now.st_size, now.st_mtime_ns) != (file.size_bytes, file.mtime_ns):
        raise _StillWritten("the file was being written while it was read; it is read again at the next look")


def _page_record(page: Page) -> PageRecord:
    return PageRecord(
        number=page.number,
        part=page.part,
        text=page.text,
        elements=tuple((e.kind, e.start, e.end, e.level) for e in page.elements),
        lines=tuple((line.start, line.end, line.left, line.top, line.right, line.bottom) for line in page.lines),
        width=page.width,
        height=page.height,
    )
