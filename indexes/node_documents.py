"""Documents that another program puts into a collection: not files, but nodes of text that bring their vectors.

A node is one page and one chunk; the name that the other program gave it is the page's `part`. Contents never change,
so to add a node to a document is to make its next version.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from indexes.collection import Collection
from indexes.dense import Vectors
from indexes.records import ChunkRecord, DocumentRow, PageRecord
from indexes.vectors import Unembedded

_BATCH = 100


@dataclass(frozen=True)
class Node:
    """`metadata` is JSON that is given back as it came; `vector` is (dimension,) float32 of length 1."""

    id: str
    text: str
    metadata: str
    vector: Vectors


@dataclass(frozen=True)
class NodePlace:
    document: str
    chunk_id: int


class NodeDocuments:
    """The documents of one other program, by the names it gives them, in a folder row of their own (a name, not a path
    on the disk). It writes: use it in the process that owns the data folder, and not while folders are mirrored, since
    the ingest pipeline clears away contents that no document shows yet."""

    def __init__(self, collection: Collection, folder: str) -> None:
        self._collection = collection
        self._folder = collection.documents.add_folder(Path(folder), hidden=False)
        self._recipe = f"nodes of {folder} · {collection.embedder}"
        self._lock = threading.Lock()

    @property
    def folder_id(self) -> int:
        return self._folder.id

    def rows(self) -> dict[str, DocumentRow]:
        """The documents by name."""
        return {row.path: row for row in self._collection.documents.of_folder(self._folder.id)}

    def row(self, name: str) -> DocumentRow | None:
        return self._collection.documents.find(self._folder.id, name)

    def find(self, node_ids: Iterable[str]) -> dict[str, NodePlace]:
        """Where each of the nodes is; those unknown are left out."""
        with self._collection.database.read() as connection:
            rows = connection.execute(
                """SELECT page.part, document.path, chunk.id
                   FROM document CROSS JOIN version ON version.id = document.version_id
                   CROSS JOIN page ON page.content_id = version.content_id
                   CROSS JOIN chunk ON chunk.content_id = page.content_id AND chunk.ordinal = page.ordinal
                   WHERE document.folder_id = ? AND page.part IN (SELECT value FROM json_each(?))""",
                (self._folder.id, json.dumps(list(node_ids))),
            ).fetchall()
        return {row["part"]: NodePlace(row["path"], row["id"]) for row in rows}

    def put(self, name: str, nodes: Sequence[Node]) -> None:
        """Add the nodes to the document, which is made if need be; a node that it has already is replaced."""
        with self._lock:
            row = self.row(name)
            kept = {node.id: node for node in self._nodes(row)} if row else {}
            self._publish(name, row, {**kept, **{node.id: node for node in nodes}})

    def remove(self, names: Iterable[str]) -> None:
        """Remove documents; unknown names are ignored."""
        with self._lock:
            self._remove([row for name in names if (row := self.row(name)) is not None])

    def remove_nodes(self, node_ids: Iterable[str]) -> None:
        """Remove single nodes, and the documents that have none left; unknown ids are ignored."""
        with self._lock:
            places = self.find(node_ids)
            for name in {place.document for place in places.values()}:
                row = self.row(name)
                left = {node.id: node for node in self._nodes(row) if node.id not in places} if row else {}
                if left:
                    self._publish(name, row, left)
                elif row:
                    self._remove([row])

    def _remove(self, rows: Sequence[DocumentRow]) -> None:
        self._collection.documents.remove([row.id for row in rows])
        for row in rows:
            self._discard(row)

    def _discard(self, row: DocumentRow) -> None:
        if row.content_id is not None:
            self._collection.contents.discard(row.content_id)

    def _publish(self, name: str, row: DocumentRow | None, nodes: Mapping[str, Node]) -> None:
        sha256 = _sha256(nodes.values())
        known = self._collection.contents.find(sha256, self._recipe)
        content_id = known.id if known and known.state == "ready" else self._build(sha256, list(nodes.values()))
        size, now = sum(len(node.text.encode()) for node in nodes.values()), time.time_ns()
        if row is None:
            self._collection.documents.add_pending(self._folder.id, [(name, size, now)])
        placed = self.row(name)
        assert placed is not None
        self._collection.lexical.add_content(content_id)
        self._collection.documents.publish(
            placed.id,
            size_bytes=size,
            mtime_ns=now,
            sha256=sha256,
            recipe=self._recipe,
            content_id=content_id,
            state="indexed",
            reason=None,
        )
        self._collection.documents.mark_scanned(self._folder.id)
        if row:
            self._discard(row)

    def _build(self, sha256: str, nodes: Sequence[Node]) -> int:
        contents = self._collection.contents
        content_id = contents.begin(sha256, self._recipe)
        for first in range(0, len(nodes), _BATCH):
            batch = nodes[first : first + _BATCH]
            page_ids = contents.add_pages(content_id, first, [_page(node) for node in batch])
            chunks = [ChunkRecord("", node.text, 0, ((i, 0, len(node.text)),)) for i, node in enumerate(batch)]
            chunk_ids = contents.add_chunks(content_id, first, chunks, page_ids)
            self._collection.vectors.put(
                [Unembedded(chunk_id, content_id, "", 0) for chunk_id in chunk_ids],
                np.array([node.vector for node in batch], dtype=np.float32),
            )
        contents.finish(content_id, title=None, pages_total=len(nodes), omissions=[])
        return content_id

    def _nodes(self, row: DocumentRow) -> Iterator[Node]:
        """The document's nodes in order, as they were put."""
        if row.content_id is None:
            return
        chunk_ids = self._collection.chunks_of_documents([row.id])[row.id]
        _, vectors = self._collection.vectors.of_chunks(chunk_ids)
        for page, vector in zip(self._collection.contents.pages(row.content_id), vectors, strict=True):
            assert page.part is not None
            yield Node(page.part, page.text, page.metadata or "{}", vector)


def _page(node: Node) -> PageRecord:
    element = ("paragraph", 0, len(node.text), 0, 0)
    return PageRecord(None, node.id, node.text, (element,), (), None, None, node.metadata)


def _sha256(nodes: Iterable[Node]) -> str:
    """Of everything that a content keeps of its nodes, the vectors with it."""
    digest = hashlib.sha256()
    for node in nodes:
        digest.update(json.dumps([node.id, node.text, node.metadata]).encode())
        digest.update(node.vector.astype("<f2").tobytes())
    return digest.hexdigest()
