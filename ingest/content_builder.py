"""A file's bytes become a stored content: parsed in the sandbox, chunked, kept page by page as they come.

A run that was killed left the pages that it had stored; the next one goes on behind them. Both give the same content,
since parsing and chunking depend on the bytes alone.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import cast

from indexes.contents import ContentStore
from indexes.records import ChunkRecord, PageRecord
from ingest.chunking import Chunker
from ingest.elements import Element, Kind, Page, Summary
from ingest.errors import IngestError, NotNow, Unreadable
from ingest.formats import Format
from ingest.parser_pool import ParserPool
from ingest.plain_file import FileIdentity
from models.cancellation import CancelToken

_PAGE_BATCH, _ELEMENT_BATCH, _CHUNK_BATCH = 32, 2000, 200


@dataclass
class _Build:
    """A content while its pages stream in. `chunks` are stored already."""

    content_id: int
    page_ids: list[int] = field(default_factory=list)
    chunks: int = 0
    waiting_pages: list[PageRecord] = field(default_factory=list)
    summary: Summary | None = None


class ContentBuilder:
    """Builds contents for all collections; several threads may share it."""

    def __init__(self, contents: ContentStore, pool: ParserPool, chunker: Chunker) -> None:
        self._contents = contents
        self._pool = pool
        self._chunker = chunker
        self._being_built: set[str] = set()
        self._built = threading.Condition()

    def content(
        self,
        path: Path,
        sha256: str,
        recipe: str,
        format: Format,
        *,
        identity: FileIdentity | None = None,
        on_page: Callable[[], None],
        cancel: CancelToken,
    ) -> int:
        """The id of the ready content of these bytes, built if there is none yet. Raises `IngestError`, `Cancelled`."""
        with self._one_builder(f"{sha256} {recipe}", cancel):
            known = self._contents.find(sha256, recipe)
            if known and known.state == "ready":
                return known.id
            build = (
                _Build(known.id, *self._contents.built(known.id))
                if known
                else _Build(self._contents.begin(sha256, recipe))
            )
            try:
                parsed = self._pool.parse(path, format, cancel, first_page=len(build.page_ids), identity=identity)
                with closing(parsed):  # gives the parser back, whatever happens here
                    self._store(build, parsed, on_page)
            except NotNow:
                raise  # what is there serves the next try
            except IngestError:
                self._contents.discard(build.content_id)
                raise
            return build.content_id

    def _store(self, build: _Build, parsed: Iterable[Page | Summary], on_page: Callable[[], None]) -> None:
        """Pages and chunks go to the database as they come, so that a large file needs little memory."""
        pages = chain(self._stored(build.page_ids[:]), self._storing(build, parsed, on_page))
        batch: list[ChunkRecord] = []
        for chunk in islice(self._chunker.chunks(pages), build.chunks, None):
            batch.append(chunk)
            if len(batch) == _CHUNK_BATCH:
                self._store_chunks(build, batch)
                batch = []
        self._store_chunks(build, batch)
        if build.summary is None:
            raise Unreadable("the parser stopped before the end of the file")
        if not build.chunks:
            omissions = build.summary.omissions
            raise Unreadable("; ".join(f"{o.what}: {o.reason}" for o in omissions) or "there is no text in it")
        self._contents.finish(
            build.content_id,
            title=build.summary.title,
            pages_total=build.summary.pages_total,
            omissions=[(omission.what, omission.reason) for omission in build.summary.omissions],
        )

    def _stored(self, page_ids: list[int]) -> Iterator[Page]:
        """The pages that an earlier run stored, as far as the chunker looks at them."""
        for page_id in page_ids:
            text, rows = self._contents.page_text(page_id)
            elements = tuple(
                Element(cast(Kind, kind), start, end, level, header_end) for kind, start, end, level, header_end in rows
            )
            yield Page(number=None, part=None, text=text, elements=elements)

    def _storing(self, build: _Build, parsed: Iterable[Page | Summary], on_page: Callable[[], None]) -> Iterator[Page]:
        elements = 0
        for item in parsed:
            if isinstance(item, Summary):
                build.summary = item
                continue
            build.waiting_pages.append(_page_record(item))
            elements += len(item.elements)
            if len(build.waiting_pages) == _PAGE_BATCH or elements >= _ELEMENT_BATCH:
                self._store_pages(build)
                elements = 0
            on_page()
            yield item
        self._store_pages(build)

    def _store_pages(self, build: _Build) -> None:
        pages, build.waiting_pages = build.waiting_pages, []
        if pages:
            build.page_ids += self._contents.add_pages(build.content_id, len(build.page_ids), pages)

    def _store_chunks(self, build: _Build, chunks: list[ChunkRecord]) -> None:
        self._store_pages(build)
        if chunks:
            self._contents.add_chunks(build.content_id, build.chunks, chunks, build.page_ids)
            build.chunks += len(chunks)

    @contextmanager
    def _one_builder(self, key: str, cancel: CancelToken) -> Iterator[None]:
        """Identical files that are read at the same time: the second waits and finds the content ready."""
        with self._built:
            while key in self._being_built:
                cancel.check()
                self._built.wait(0.25)
            self._being_built.add(key)
        try:
            yield
        finally:
            with self._built:
                self._being_built.remove(key)
                self._built.notify_all()


def _page_record(page: Page) -> PageRecord:
    return PageRecord(
        number=page.number,
        part=page.part,
        text=page.text,
        elements=tuple((e.kind, e.start, e.end, e.level, e.header_end) for e in page.elements),
        lines=tuple((line.start, line.end, line.left, line.top, line.right, line.bottom) for line in page.lines),
        width=page.width,
        height=page.height,
        confidence=page.confidence,
    )
