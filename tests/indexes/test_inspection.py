"""What an inspection says of a data folder, while its owner goes on working in it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from indexes.collection import Collection
from indexes.database import Database
from indexes.errors import DatabaseFailed
from indexes.inspection import CollectionState, DatabaseState, inspect

# The fixtures `database`, `collection` and `filler` make a library over this file and this folder.
FILE, CACHE = "lectern.sqlite", "cache"


def look(folder: Path, check_s: float = 10.0) -> DatabaseState:
    return inspect(folder / FILE, folder / CACHE, check_s=check_s)


def only(state: DatabaseState) -> CollectionState:
    [collection] = state.collections
    return collection


@pytest.mark.usefixtures("collection")
def test_a_whole_database_is_whole_and_of_the_known_format(tmp_path: Path) -> None:
    state = look(tmp_path)
    assert (state.damage, state.checked) == (None, True)
    assert state.format == state.known_format > 0


def test_chunks_and_vectors_of_live_documents_are_counted(filler, tmp_path: Path) -> None:
    filler.publish("a.txt", "one", "two")
    filler.embed()
    filler.publish("b.txt", "three")
    state = only(look(tmp_path))
    assert (state.name, state.embedder, state.chunks, state.vectors) == ("papers", "toy", 3, 2)
    filler.remove("a.txt")
    assert (only(look(tmp_path)).chunks, only(look(tmp_path)).vectors) == (1, 0)


def test_the_counts_are_those_that_the_collection_itself_gives(collection: Collection, filler, tmp_path: Path) -> None:
    filler.publish("a.txt", "one", "two")
    filler.embed()
    filler.publish("b.txt", "three")
    state = only(look(tmp_path))
    assert (state.vectors, state.chunks) == collection.vectors.counts()
    assert state.generation == collection.vectors.generation()


def test_a_collection_that_was_never_saved_has_no_manifest(filler, tmp_path: Path) -> None:
    filler.publish("a.txt", "one")
    state = only(look(tmp_path))
    assert (state.manifest, state.damage) == (None, None)


def test_a_saved_index_is_of_the_database_s_generation_and_size(collection: Collection, filler, tmp_path: Path) -> None:
    filler.publish("a.txt", "one", "two")
    filler.embed()
    collection.dense.save()
    state = only(look(tmp_path))
    assert state.manifest is not None
    assert (state.manifest.generation, state.manifest.vectors) == (state.generation, state.vectors)
    assert state.oldest_generation == state.generation
    filler.publish("b.txt", "three")
    filler.embed()
    later = only(look(tmp_path))
    assert later.manifest == state.manifest
    assert later.generation > state.generation


def test_a_manifest_that_cannot_be_read_is_said(collection: Collection, tmp_path: Path) -> None:
    collection.dense.save()
    [manifest] = (tmp_path / CACHE).rglob("dense.json")
    whole = json.loads(manifest.read_text())
    for broken in ("{", "[]", json.dumps({**whole, "more": 1})):
        manifest.write_text(broken)
        assert "cannot be read" in (only(look(tmp_path)).damage or "")


def test_an_index_file_that_is_gone_is_said(collection: Collection, tmp_path: Path) -> None:
    collection.dense.save()
    [file] = (tmp_path / CACHE).rglob("dense-*.faiss")
    file.unlink()
    assert only(look(tmp_path)).damage == f"{file.name} is missing"


def test_inspecting_changes_nothing(collection: Collection, filler, tmp_path: Path) -> None:
    filler.publish("a.txt", "one")
    filler.embed()
    collection.dense.save()
    before = {file: file.read_bytes() for file in (tmp_path / CACHE).rglob("*") if file.is_file()}
    first = look(tmp_path)
    assert look(tmp_path) == first
    assert {file: file.read_bytes() for file in (tmp_path / CACHE).rglob("*") if file.is_file()} == before


def test_the_check_of_a_large_database_stops_in_time(filler, tmp_path: Path) -> None:
    filler.publish("a.txt", *(f"text {number}" for number in range(2000)))
    state = look(tmp_path, check_s=0.0)
    assert (state.damage, state.checked) == (None, False)
    assert only(state).chunks == 2000


def test_a_damaged_database_is_said_and_its_collections_left_alone(database: Database, filler, tmp_path: Path) -> None:
    filler.publish("a.txt", *(f"text {number}" for number in range(500)))
    database.sync()
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    shutil.copy(tmp_path / FILE, damaged / FILE)
    content = bytearray((damaged / FILE).read_bytes())
    content[8192:40960] = b"\xff" * (40960 - 8192)
    (damaged / FILE).write_bytes(content)
    state = look(damaged)
    assert state.damage
    assert state.collections == ()


def test_what_is_no_database_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"not a database, but long enough to be looked at" * 100)
    with pytest.raises(DatabaseFailed, match=r"lectern\.sqlite cannot be read"):
        look(tmp_path)


@pytest.mark.usefixtures("collection")
def test_a_database_of_another_format_is_not_read_further(database: Database, tmp_path: Path) -> None:
    with database.write() as connection:
        connection.execute("PRAGMA user_version = 99")
    state = look(tmp_path)
    assert (state.format, state.collections) == (99, ())
