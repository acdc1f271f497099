"""A library in a temporary folder, and a way to put documents into its collections as the ingest pipeline does."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from indexes.collection import Collection
from indexes.database import Database
from indexes.library import Library
from indexes.records import ChunkRecord, DocumentRow, PageRecord

DIMENSION = 8
RECIPE = "test recipe"


def vector_of(text: str) -> np.ndarray:
    """A vector of length 1 that depends on the text alone."""
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")
    vector = np.random.default_rng(seed).standard_normal(DIMENSION).astype(np.float32)
    return vector / np.linalg.norm(vector)


class Filler:
    """Does to a collection what the ingest pipeline does, with one page and one chunk for each text."""

    def __init__(self, collection: Collection, folder: Path = Path("/documents")) -> None:
        self.collection = collection
        self.folder = collection.documents.add_folder(folder, hidden=False)

    def row(self, path: str) -> DocumentRow:
        row = self.collection.documents.find(self.folder.id, path)
        assert row is not None, path
        return row

    def pending(self, path: str) -> DocumentRow:
        self.collection.documents.add_pending(self.folder.id, [(path, 1, 1)])
        return self.row(path)

    def content(self, texts: Sequence[str], title: str | None = None) -> int:
        """The id of the ready content of these texts."""
        sha256 = hashlib.sha256("\0".join([title or "", *texts]).encode()).hexdigest()
        known = self.collection.contents.find(sha256, RECIPE)
        if known and known.state == "ready":
            return known.id
        content_id = self.begin(sha256, texts)
        self.collection.contents.finish(content_id, title=title, pages_total=len(texts), omissions=[])
        return content_id

    def begin(self, sha256: str, texts: Sequence[str]) -> int:
        """A content that is still being built."""
        contents = self.collection.contents
        content_id = contents.begin(sha256, RECIPE)
        pages = [
            PageRecord(i, None, text, (("paragraph", 0, len(text), 0, 0),), (), None, None)
            for i, text in enumerate(texts, start=1)
        ]
        page_ids = contents.add_pages(content_id, 0, pages)
        chunks = [ChunkRecord("", text, len(text.split()), ((i, 0, len(text)),)) for i, text in enumerate(texts)]
        contents.add_chunks(content_id, 0, chunks, page_ids)
        self.collection.lexical.add_content(content_id)
        return content_id

    def publish(self, path: str, *texts: str, title: str | None = None) -> DocumentRow:
        """Put a file there, or its next version, without vectors yet."""
        row = self.collection.documents.find(self.folder.id, path) or self.pending(path)
        content_id = self.content(texts, title)
        self.collection.lexical.add_content(content_id)
        self.collection.documents.publish(
            row.id,
            size_bytes=1,
            mtime_ns=1,
            sha256="of " + "\0".join(texts),
            recipe=RECIPE,
            content_id=content_id,
            state="indexed",
            reason=None,
        )
        return self.row(path)

    def embed(self) -> None:
        """Give every chunk without a vector the one of its text."""
        while waiting := self.collection.vectors.unembedded(100, 1):
            self.collection.vectors.put(waiting, np.array([vector_of(chunk.text) for chunk in waiting]))

    def remove(self, *paths: str) -> None:
        self.collection.documents.remove([self.row(path).id for path in paths])

    def tidy(self) -> None:
        for content_id in self.collection.lexical.stale_contents():
            self.collection.lexical.remove_content(content_id)
        self.collection.contents.collect_garbage()

    def chunk_ids(self, *paths: str) -> list[int]:
        """The chunks of the documents, in order."""
        ids = [self.row(path).id for path in paths]
        found = self.collection.chunks_of_documents(ids)
        return [chunk for i in ids for chunk in found[i]]


@pytest.fixture
def filler_class() -> type[Filler]:
    return Filler


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(tmp_path / "lectern.sqlite")
    yield database
    database.close()


@pytest.fixture
def library(database: Database, tmp_path: Path) -> Library:
    return Library(database, tmp_path / "cache")


@pytest.fixture
def collection(library: Library) -> Collection:
    return library.ensure("papers", embedder="toy", dimension=DIMENSION)


@pytest.fixture
def filler(collection: Collection) -> Filler:
    return Filler(collection)


@pytest.fixture
def vector():
    return vector_of
