"""What the files of a data folder say, read beside a running owner: nothing is written, migrated or rebuilt."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from indexes.errors import DatabaseFailed
from indexes.live import LIVE_CONTENTS

_MIGRATIONS = Path(__file__).parent / "migrations"
_STEPS = 10_000  # of SQLite's machine, between two looks at the clock


@dataclass(frozen=True)
class DenseManifest:
    """What `dense.json` says of the index file beside it."""

    file: str
    generation: int
    embedder: str
    dimension: int
    vectors: int


@dataclass(frozen=True)
class CollectionState:
    """A collection in the database, and its dense index in `folder`. A generation is the number of the last change;
    from one before `oldest_generation` an index cannot catch up. `manifest` is None where there is none yet; `damage`
    says why it, or its file, cannot be used."""

    name: str
    embedder: str
    dimension: int
    chunks: int
    vectors: int
    generation: int
    oldest_generation: int
    folder: Path
    manifest: DenseManifest | None
    damage: str | None


@dataclass(frozen=True)
class DatabaseState:
    """`damage` is what SQLite's check said, None when it found none; `checked` is False when time ran out first.
    `format` and `known_format`: the database's, and the newest that this Lectern knows."""

    damage: str | None
    checked: bool
    format: int
    known_format: int
    collections: tuple[CollectionState, ...]


def inspect(database: Path, index_cache: Path, *, check_s: float) -> DatabaseState:
    """Look at the database and the index caches; the database's own check takes `check_s` at most. Collections are
    read only from a whole database of the newest format. Raises `DatabaseFailed`."""
    known = len(list(_MIGRATIONS.glob("*.sql")))
    with _reading(database) as connection:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        damage, checked = _quick_check(connection, check_s)
        collections = () if damage or version != known else tuple(_collections(connection, index_cache))
    return DatabaseState(damage, checked, version, known, collections)


def _collections(connection: sqlite3.Connection, index_cache: Path) -> Iterator[CollectionState]:
    for (collection,) in connection.execute("SELECT id FROM collection ORDER BY name").fetchall():
        row = connection.execute(_COLLECTION, {"collection": collection}).fetchone()
        folder = index_cache / str(collection)
        manifest, damage = _manifest(folder)
        yield CollectionState(**row, folder=folder, manifest=manifest, damage=damage)


_COLLECTION = f"""
    SELECT name, identity AS embedder, dimension,
        (SELECT coalesce(sum(chunks), 0) FROM content WHERE id IN ({LIVE_CONTENTS})) AS chunks,
        (SELECT coalesce(sum(chunks), 0) FROM embedding
            WHERE embedding.embedder_id = collection.embedder_id AND content_id IN ({LIVE_CONTENTS})) AS vectors,
        max(trimmed_seq, coalesce((SELECT max(seq) FROM index_change WHERE collection_id = :collection), 0))
            AS generation,
        trimmed_seq AS oldest_generation
    FROM collection JOIN embedder ON embedder.id = embedder_id WHERE collection.id = :collection"""


def _manifest(folder: Path) -> tuple[DenseManifest | None, str | None]:
    """The manifest, if there is one, and what is wrong with it or its file."""
    try:
        noted = json.loads((folder / "dense.json").read_text(encoding="utf-8"))
        manifest = DenseManifest(**noted)
        is_there = (folder / manifest.file).is_file()
    except FileNotFoundError:
        return None, None
    except (OSError, ValueError, TypeError) as exc:
        return None, f"dense.json cannot be read ({exc})"
    return manifest, None if is_there else f"{manifest.file} is missing"


def _quick_check(connection: sqlite3.Connection, check_s: float) -> tuple[str | None, bool]:
    until = time.monotonic() + check_s
    connection.set_progress_handler(lambda: int(time.monotonic() > until), _STEPS)
    try:
        (said,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.OperationalError as exc:
        if exc.sqlite_errorname != "SQLITE_INTERRUPT":
            raise
        return None, False
    finally:
        connection.set_progress_handler(None, 0)
    return (None if said == "ok" else str(said)), True


@contextmanager
def _reading(database: Path) -> Iterator[sqlite3.Connection]:
    try:
        # Not `mode=ro`: a reader of a database in WAL mode may have to make the files beside it.
        connection = sqlite3.connect(f"{database.as_uri()}?mode=rw", uri=True, timeout=5, isolation_level=None)
        try:
            connection.row_factory = sqlite3.Row
            connection.execute("PRAGMA query_only = ON")
            connection.execute("BEGIN")
            yield connection
        finally:
            connection.close()
    except sqlite3.Error as exc:
        raise DatabaseFailed(f"The database {database} cannot be read: {exc}.") from exc
