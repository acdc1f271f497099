"""Keeps a dense index in step with the database: loads the cache file, follows the log of changes, saves atomically."""

from __future__ import annotations

import json
import logging
import os
import threading
from pathlib import Path

from indexes.dense import DenseIndex, Ids, Vectors
from indexes.errors import DamagedCache, StorageError
from indexes.faiss_index import FaissIndex
from indexes.index_device import CPU, IndexDevice
from indexes.vectors import VectorTable

_log = logging.getLogger(__name__)


class DenseCache:
    """The dense index of one collection, for search from any thread.

    The manifest (`dense.json`) names the index file, its generation and its embedder; it is replaced last, so a reader
    sees either the old pair or the new one. Any doubt (missing, damaged, another embedder, older than the log) means a
    rebuild from the vectors in the database; nothing is embedded again.
    """

    def __init__(self, folder: Path, table: VectorTable, embedder: str, device: IndexDevice = CPU) -> None:
        self._folder = folder
        self._table = table
        self._embedder = embedder
        self._device = device
        self._lock = threading.Lock()
        self._generation = 0
        self._saved_generation = -1
        self._index: DenseIndex | None = None
        self.origin = "not loaded"

    @property
    def place(self) -> str:
        """Where it is searched, and why there."""
        index = self._index
        return "not loaded" if index is None else index.place

    def search(self, query: Vectors, k: int) -> tuple[Ids, Vectors]:
        """As `DenseIndex.search`, after catching up with the database."""
        with self._lock:
            return self._current().search(query, k)

    def similarities(self, query: Vectors, ids: Ids) -> Vectors:
        with self._lock:
            return self._current().similarities(query, ids)

    def ids(self) -> Ids:
        with self._lock:
            return self._current().ids()

    def refresh(self) -> None:
        """Catch up with the database now, and fill the GPU, so that the next question need not."""
        with self._lock:
            self._current().prepare()

    def save(self) -> None:
        """Write the cache file if the index has moved on since the last one, and trim the log. Raises `StorageError`
        when it cannot be written; then the older file, or none, stays, and the next start takes longer."""
        with self._lock:
            index = self._current()
            generation = self._generation
            if generation == self._saved_generation:
                return
            # The cache must never be ahead of the database, not even after a power cut.
            self._table.sync()
            try:
                self._write(index, generation)
            except OSError as exc:
                raise StorageError(
                    f"The index cache in {self._folder} cannot be written ({exc}): free some space, or allow it."
                ) from exc
            self._saved_generation = generation
        self._table.trim_changes(generation)

    def close(self) -> None:
        """Give a GPU's memory back. It can still be searched, on the CPU."""
        with self._lock:
            self._device = CPU
            if self._index is not None:
                self._index.close()

    def _write(self, index: DenseIndex, generation: int) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        name = f"dense-{generation}.faiss"
        partial = self._folder / f"{name}.partial"
        index.write(partial)
        _replace(partial, self._folder / name)
        manifest = {
            "file": name,
            "generation": generation,
            "embedder": self._embedder,
            "dimension": self._table.dimension,
            "vectors": len(index),
        }
        partial = self._folder / "dense.json.partial"
        partial.write_text(json.dumps(manifest), encoding="utf-8")
        _replace(partial, self._folder / "dense.json")
        for old in self._folder.glob("dense-*.faiss*"):
            if old.name != name:
                old.unlink()

    def _current(self) -> DenseIndex:
        index = self._open() if self._index is None else self._index
        while (changes := self._table.changes_after(self._generation)) is None or changes.generation > self._generation:
            if changes is None:
                index = self._rebuild("the log of changes does not reach back to it")
                continue
            index.remove(changes.removed)
            index.add(changes.ids, changes.vectors)
            self._generation = changes.generation
        self._index = index
        return index

    def _open(self) -> DenseIndex:
        try:
            index = self._read()
        except (OSError, ValueError, KeyError, TypeError, DamagedCache) as exc:
            return self._rebuild(str(exc))
        self.origin = "read from its cache file"
        self._saved_generation = self._generation
        _log.info("dense index of %d vectors %s", len(index), self.origin)
        return self._device.place(index)

    def _read(self) -> FaissIndex:
        manifest = json.loads((self._folder / "dense.json").read_text(encoding="utf-8"))
        if manifest["embedder"] != self._embedder or manifest["dimension"] != self._table.dimension:
            raise DamagedCache(f"made by another embedder: {manifest['embedder']}")
        index = FaissIndex.read(self._folder / manifest["file"], self._table.dimension)
        if len(index) != manifest["vectors"]:
            raise DamagedCache(f"holds {len(index)} vectors, not {manifest['vectors']}")
        self._generation = int(manifest["generation"])
        return index

    def _rebuild(self, reason: str) -> DenseIndex:
        if self._index is not None:
            self._index.close()
        # Changes that come meanwhile are above this generation; to follow them twice does no harm.
        self._generation = self._table.generation()
        self._saved_generation = -1
        index = FaissIndex(self._table.dimension)
        for ids, vectors in self._table.load_all():
            index.add(ids, vectors)
        self.origin = f"rebuilt from the database ({reason})"
        _log.info("dense index of %d vectors %s", len(index), self.origin)
        return self._device.place(index)


def _replace(partial: Path, final: Path) -> None:
    """Put the file in place only when it is wholly on the disk."""
    with partial.open("rb") as file:
        os.fsync(file.fileno())
    os.replace(partial, final)
