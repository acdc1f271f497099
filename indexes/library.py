"""All collections of one data folder: made, opened, removed, and cleared of what nothing refers to."""

from __future__ import annotations

import shutil
import sqlite3
import threading
import time
from pathlib import Path

from indexes.collection import Collection
from indexes.database import Database
from indexes.errors import EmbedderMismatch, UnknownCollection
from indexes.index_device import CPU, IndexDevice
from indexes.lexical import LexicalIndex


def embedders_of(database: Database) -> set[str]:
    """The identities of the embedders that made the collections which are there."""
    with database.read() as connection:
        rows = connection.execute("SELECT DISTINCT identity FROM collection JOIN embedder ON embedder.id = embedder_id")
        return {row["identity"] for row in rows}


class Library:
    """Opens collections over one database; the caches of each lie under `cache_folder`, and their dense indexes are
    searched on `device`. Thread-safe."""

    def __init__(self, database: Database, cache_folder: Path, device: IndexDevice = CPU) -> None:
        self.database = database
        self._device = device
        self._cache_folder = cache_folder
        self._lock = threading.Lock()
        self._open: dict[int, Collection] = {}

    def names(self) -> list[str]:
        with self.database.read() as connection:
            return [row["name"] for row in connection.execute("SELECT name FROM collection ORDER BY name")]

    def collection(self, name: str) -> Collection:
        """The collection of that name, the same object as long as it exists; another process may remove it, and make
        a new one of that name. Raises `UnknownCollection`."""
        with self.database.read() as connection:
            row = connection.execute(
                """SELECT collection.id, name, embedder.id AS embedder_id, identity, dimension FROM collection
                   JOIN embedder ON embedder.id = embedder_id WHERE name = ?""",
                (name,),
            ).fetchone()
        if row is None:
            known = ", ".join(self.names()) or "none yet"
            raise UnknownCollection(f"There is no collection {name!r} (there are: {known}).")
        with self._lock:
            return self._open.setdefault(row["id"], self._collection(row))

    def ensure(self, name: str, *, embedder: str, dimension: int) -> Collection:
        """The collection of that name, made if need be. Raises `EmbedderMismatch` when another embedder made it."""
        if name not in self.names():
            self._create(name, embedder, dimension)
        collection = self.collection(name)
        if (collection.embedder, collection.vectors.dimension) != (embedder, dimension):
            raise EmbedderMismatch(
                f"Collection {name!r} was embedded by {collection.embedder!r} ({collection.vectors.dimension} "
                f"dimensions), the one in use is {embedder!r} ({dimension}): choose that embedder again, or "
                f"`python app.py collection remove {name}` and ingest anew."
            )
        return collection

    def remove(self, name: str) -> None:
        """Remove a collection with its folders, documents and caches; the files themselves are not touched. What the
        documents held is discarded by the ingest pipeline's next pass."""
        collection = self.collection(name)
        for folder in collection.documents.folders():
            collection.documents.forget_folder(folder.id)
        with self.database.write() as connection:
            collection.lexical.drop(connection)
            connection.execute("DELETE FROM collection WHERE id = ?", (collection.id,))
        with self._lock:
            self._open.pop(collection.id, None)
        collection.dense.close()
        shutil.rmtree(self._cache_folder / str(collection.id), ignore_errors=True)

    def close(self) -> None:
        """Save the dense caches, give a GPU's memory back, and close the database."""
        with self._lock:
            collections = list(self._open.values())
        try:
            for collection in collections:
                collection.dense.save()
        finally:
            for collection in collections:
                collection.dense.close()
            self.database.close()

    def _collection(self, row: sqlite3.Row) -> Collection:
        return Collection(
            self.database,
            collection_id=row["id"],
            name=row["name"],
            embedder_id=row["embedder_id"],
            embedder=row["identity"],
            dimension=row["dimension"],
            cache_folder=self._cache_folder / str(row["id"]),
            device=self._device,
        )

    def _create(self, name: str, embedder: str, dimension: int) -> None:
        with self.database.write() as connection:
            connection.execute(
                "INSERT OR IGNORE INTO embedder (identity, dimension) VALUES (?, ?)", (embedder, dimension)
            )
            made = connection.execute(
                """INSERT OR IGNORE INTO collection (name, embedder_id, created_at)
                   SELECT ?, id, ? FROM embedder WHERE identity = ? RETURNING id""",
                (name, time.time(), embedder),
            ).fetchone()
            if made:  # else another thread or process was first
                LexicalIndex(self.database, made["id"]).create(connection)
