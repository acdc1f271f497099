"""All collections of one data folder: made, opened, removed, and cleared of what nothing refers to."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from indexes.collection import Collection
from indexes.database import Database
from indexes.errors import EmbedderMismatch, UnknownCollection
from indexes.lexical import LexicalIndex


class Library:
    """Opens collections over one database; the caches of each lie under `cache_folder`."""

    def __init__(self, database: Database, cache_folder: Path) -> None:
        self.database = database
        self._cache_folder = cache_folder
        self._open: dict[str, Collection] = {}

    def names(self) -> list[str]:
        with self.database.read() as connection:
            return [row["name"] for row in connection.execute("SELECT name FROM collection ORDER BY name")]

    def collection(self, name: str) -> Collection:
        """The collection of that name, the same object each time. Raises `UnknownCollection`."""
        if name not in self._open:
            with self.database.read() as connection:
                row = connection.execute(
                    """SELECT collection.id, embedder.id AS embedder_id, identity, dimension FROM collection
                       JOIN embedder ON embedder.id = embedder_id WHERE name = ?""",
                    (name,),
                ).fetchone()
            if row is None:
                known = ", ".join(self.names()) or "none yet"
                raise UnknownCollection(f"There is no collection {name!r} (there are: {known}).")
            self._open[name] = Collection(
                self.database,
                collection_id=row["id"],
                name=name,
                embedder_id=row["embedder_id"],
                embedder=row["identity"],
                dimension=row["dimension"],
                cache_folder=self._cache_folder / str(row["id"]),
            )
        return self._open[name]

    def ensure(self, name: str, *, embedder: str, dimension: int) -> Collection:
        """The collection of that name, made if need be. Raises `EmbedderMismatch` when another embedder made it."""
        if name not in self.names():
            self._create(name, embedder, dimension)
        collection = self.collection(name)
        if collection.embedder != embedder:
            raise EmbedderMismatch(
                f"Collection {name!r} was embedded by {collection.embedder!r}, the one in use is {embedder!r}: "
                f"choose that embedder again, or `python app.py collection remove {name}` and ingest anew."
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
        shutil.rmtree(self._cache_folder / str(collection.id), ignore_errors=True)
        del self._open[name]

    def close(self) -> None:
        """Save the dense caches and close the database."""
        for collection in self._open.values():
            collection.dense.save()
        self.database.close()

    def _create(self, name: str, embedder: str, dimension: int) -> None:
        with self.database.write() as connection:
            connection.execute(
                "INSERT OR IGNORE INTO embedder (identity, dimension) VALUES (?, ?)", (embedder, dimension)
            )
            connection.execute(
                """INSERT INTO collection (name, embedder_id, created_at)
                   SELECT ?, id, ? FROM embedder WHERE identity = ?""",
                (name, time.time(), embedder),
            )
            (collection_id,) = connection.execute("SELECT id FROM collection WHERE name = ?", (name,)).fetchone()
            LexicalIndex(self.database, collection_id).create(connection)
