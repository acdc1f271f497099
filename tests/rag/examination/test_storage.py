from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from indexes.database import Database
from indexes.library import Library
from rag.examination import storage
from rag.examination.finding import Finding
from tests.rag.examination.conftest import severities

EMBEDDER = "all-minilm-l6-v2"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A data folder with one collection, `papers`, whose index was saved."""
    library = Library(Database(tmp_path / "lectern.sqlite"), tmp_path / "indexes")
    library.ensure("papers", embedder=f"{EMBEDDER}@53aa/onnx", dimension=8).dense.save()
    library.close()
    return tmp_path


def change_manifest(home: Path, **values: object) -> None:
    [file] = home.rglob("dense.json")
    file.write_text(json.dumps({**json.loads(file.read_text()), **values}))


def index_finding(home: Path, embedder: str = EMBEDDER) -> Finding:
    [found] = [each for each in storage.examine_database(home, embedder) if each["check"] == "index of papers"]
    return found


def test_a_saved_index_is_up_to_date(home: Path) -> None:
    found = index_finding(home)
    assert found["severity"] == "ok"
    assert found["detail"].endswith("the index file is up to date")


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"generation": 7}, "of generation 7, the database only of 0"),
        ({"generation": -1}, "too old to catch up"),
        ({"embedder": "another@1"}, "made by another embedder, another@1"),
        ({"dimension": 9}, "made by another embedder"),
        ({"file": "gone.faiss"}, "gone.faiss is missing"),
    ],
)
def test_an_index_file_that_does_not_go_with_the_database_is_rebuilt(
    home: Path, values: dict[str, object], problem: str
) -> None:
    change_manifest(home, **values)
    found = index_finding(home)
    assert found["severity"] == "warning"
    assert problem in found["detail"]
    assert "rebuilds it from the database" in found["remedy"]


def test_an_index_file_that_holds_other_vectors_than_the_database_is_to_be_removed(home: Path) -> None:
    change_manifest(home, vectors=3)
    found = index_finding(home)
    assert (found["severity"], found["detail"]) == ("warning", "its file holds 3 vectors, the database 0")
    assert str(home / "indexes" / "1") in found["remedy"]


def test_a_collection_of_another_embedder_than_the_settings_name_is_an_error(home: Path) -> None:
    found = index_finding(home, embedder="another")
    assert found["severity"] == "error"
    assert f"LECTERN_EMBEDDER={EMBEDDER}" in found["remedy"]


def test_what_is_no_database_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "lectern.sqlite").write_bytes(b"something else" * 1000)
    assert severities(list(storage.examine_database(tmp_path, EMBEDDER))) == {"database": "error"}


def test_a_port_that_another_program_has_is_a_warning(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        taken = list(storage.examine_owner(tmp_path, "127.0.0.1", port))
    assert severities(taken) == {"owner": "ok", "port": "warning"}
    assert severities(list(storage.examine_owner(tmp_path, "127.0.0.1", port)))["port"] == "ok"
