"""What the tests of ingestion share: the real embedder, real parser processes, and a folder with its collection."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from indexes.collection import Collection
from indexes.database import Database
from indexes.library import Library
from ingest.chunking import Chunker
from ingest.events import FileDone, IngestEvent, MirrorDone
from ingest.limits import Limits
from ingest.parser_pool import ParserPool
from ingest.pipeline import Pipeline
from models.cancellation import CancelToken
from models.interfaces import Embedder


@pytest.fixture(scope="session")
def embedder(cache: Path) -> Embedder:
    from models.catalog import load_catalog
    from models.devices import detect
    from models.download import ensure
    from models.embedding.opening import open_embedder

    entry = load_catalog().entry("all-minilm-l6-v2")
    return open_embedder(entry, ensure(entry, cache, fetch=False), detect())[0]


@pytest.fixture(scope="session")
def parsers() -> Iterator[ParserPool]:
    pool = ParserPool(2, Limits())
    yield pool
    pool.close()


@dataclass
class Mirrored:
    """A folder on the disk, the collection that mirrors it, and the pipeline between them."""

    folder: Path
    library: Library
    collection: Collection
    pipeline: Pipeline
    embedded: list[str]
    events: list[IngestEvent] = field(default_factory=list)
    listener: Callable[[IngestEvent], None] | None = None

    def hear(self, event: IngestEvent) -> None:
        self.events.append(event)
        if self.listener:
            self.listener(event)

    def write(self, path: str, text: str) -> Path:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        return file

    def mirror(
        self, cancel: CancelToken | None = None, listener: Callable[[IngestEvent], None] | None = None
    ) -> dict[str, int]:
        """Mirror once; the counts. `events` holds what happened, and `embedded` the texts that were embedded."""
        self.events.clear()
        self.embedded.clear()
        self.listener = listener
        done = self.pipeline.mirror("default", self.folder, cancel=cancel or CancelToken())
        assert isinstance(done, MirrorDone)
        return done.counts

    @property
    def files_read(self) -> list[str]:
        return sorted(event.path for event in self.events if isinstance(event, FileDone))

    @property
    def states(self) -> dict[str, tuple[str, str | None]]:
        return {row.path: (row.state, row.reason) for row in self.collection.documents.all()}

    def chunk_ids(self, path: str) -> list[int]:
        row = next(row for row in self.collection.documents.all() if row.path == path)
        return self.collection.chunks_of_documents([row.id])[row.id]

    def texts(self) -> set[str]:
        """The text of every chunk that a search by words or by meaning can bring."""
        found = self.collection.chunks(
            sorted({*self.collection.lexical.indexed_chunks(), *self.collection.dense.ids().tolist()})
        )
        return {chunk.text for chunk in found.values()}

    def require_whole(self) -> None:
        """Words, vectors and chunks of live documents are the same set, each with a vector."""
        ids = {
            i for row in self.collection.documents.all() for i in self.collection.chunks_of_documents([row.id])[row.id]
        }
        assert self.collection.lexical.indexed_chunks() == ids
        assert set(self.collection.dense.ids().tolist()) == ids
        assert self.collection.vectors.counts()[0] == self.collection.vectors.counts()[1]


class CountingEmbedder:
    """The real embedder, and a note of what it was given."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self.given: list[str] = []

    def __getattr__(self, name: str) -> object:
        return getattr(self._embedder, name)

    def embed_passages(self, texts: list[str]) -> object:
        self.given += texts
        return self._embedder.embed_passages(texts)


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    library = Library(Database(tmp_path / "home" / "lectern.sqlite"), tmp_path / "home" / "indexes")
    yield library
    library.close()


@pytest.fixture
def mirrored(tmp_path: Path, library: Library, parsers: ParserPool, embedder: Embedder) -> Iterator[Mirrored]:
    folder = tmp_path / "folder"
    folder.mkdir()
    counting = CountingEmbedder(embedder)
    collection = library.ensure("default", embedder=embedder.identity, dimension=embedder.dimension)
    events: list[IngestEvent] = []
    mirrored: Mirrored
    pipeline = Pipeline(library, parsers, counting, report=lambda event: mirrored.hear(event))  # type: ignore[arg-type]  # by __getattr__
    mirrored = Mirrored(folder, library, collection, pipeline, counting.given, events)
    yield mirrored
    mirrored.pipeline.close()


@pytest.fixture
def chunker(embedder: Embedder) -> Chunker:
    return Chunker(embedder.token_offsets, embedder.window_tokens)
