"""A folder on the disk and a collection that mirrors it, put there without any parser."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from indexes.collection import Collection
from indexes.records import ChunkRecord, DocumentRow, DocumentState, PageRecord

DIMENSION = 4


class Mirrored:
    def __init__(self, collection: Collection, folder: Path, *, rules: tuple[str, ...] = ()) -> None:
        folder.mkdir(exist_ok=True)
        self.collection = collection
        self.folder = folder
        self.row = collection.documents.add_folder(folder, hidden=False, rules=rules)

    def write(self, path: str, text: str = "The lamp is lit before sunset.") -> Path:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def pending(self, path: str) -> DocumentRow:
        """A file that a look has come upon, not yet in the queue."""
        status = self.write(path).stat()
        self.collection.documents.add_pending(self.row.id, [(path, status.st_size, status.st_mtime_ns)])
        row = self.collection.documents.find(self.row.id, path)
        assert row is not None
        return row

    def read(self, path: str, *pages: str, omissions: tuple[tuple[str, str], ...] = (), total: int = 0) -> DocumentRow:
        """A file that was read, with a chunk a page and no vectors yet."""
        row, contents = self.pending(path), self.collection.contents
        content_id = contents.begin(path, "recipe")
        records = [
            PageRecord(n, None, text, (("paragraph", 0, len(text), 0, 0),), (), None, None)
            for n, text in enumerate(pages, 1)
        ]
        page_ids = contents.add_pages(content_id, 0, records)
        chunks = [ChunkRecord("", text, 5, ((n, 0, len(text)),)) for n, text in enumerate(pages)]
        contents.add_chunks(content_id, 0, chunks, page_ids)
        contents.finish(content_id, title=None, pages_total=total or len(pages), omissions=omissions)
        self.collection.lexical.add_content(content_id)
        self.collection.documents.publish(
            row.id,
            size_bytes=row.size_bytes,
            mtime_ns=row.mtime_ns,
            sha256=path,
            recipe="recipe",
            content_id=content_id,
            state="partial" if omissions else "indexed",
            reason="; ".join(f"{what}: {why}" for what, why in omissions) or None,
        )
        return self.of(path)

    def reject(self, path: str, state: DocumentState, reason: str) -> DocumentRow:
        row = self.pending(path)
        self.collection.documents.reject(
            row.id,
            size_bytes=row.size_bytes,
            mtime_ns=row.mtime_ns,
            sha256=None,
            recipe=None,
            state=state,
            reason=reason,
        )
        return self.of(path)

    def embed(self) -> None:
        while waiting := self.collection.vectors.unembedded(100, 1):
            self.collection.vectors.put(waiting, np.full((len(waiting), DIMENSION), 0.5, dtype=np.float32))

    def of(self, path: str) -> DocumentRow:
        row = self.collection.documents.find(self.row.id, path)
        assert row is not None, path
        return row
