"""The command line over real files of every format: what was read, what is found, what is answered, what is said."""

from __future__ import annotations

import json
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rag.session import session
from rag.settings import Settings
from tests.conftest import end

READ = (
    "csv/csv-semicolon.csv",
    "docx/docx-tables.docx",
    "email/fake-email-attachment.eml",
    "epub/test.epub",
    "html/html_rich_table_cells.html",
    "json/simple.json",
    "opendocument/text_document_01.odt",
    "pdf/fake-memo.pdf",
    "pdf/movie-theater-booking-2024.pdf",
    "pptx/fake-power-point-table.pptx",
    "rtf/fake-doc.rtf",
    "text/README.md",
    "text/norwich-city.txt",
    "xlsx/stanley-cups.xlsx",
    "xml/factbook.xml",
)
NOT_READ = {
    "broken/empty.txt": "failed",
    "encrypted/password.pdf": "failed",
    "other/testDWG2004.dwg": "skipped",
}
PASSAGE = {"file", "part", "page", "page_end", "text", "score", "chunk_id", "document_id", "version", "heading"}
CITATION = {"n", "file", "page", "quote", "chunk_id", "version", "verified"}
ASKED = {"question", "answer", "mode", "refused", "confidence", "citations", "passages", "model", "timings_ms", "usage"}


@pytest.fixture(scope="module")
def folder(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("documents")
    for name in (*READ, *NOT_READ):
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copy(shared / "format-zoo" / name, folder / name)
    (folder / "csv" / ".hidden.txt").write_text("The password of the safe is swordfish.")
    return folder


@pytest.fixture(scope="module")
def lectern(make_command_line, tmp_path_factory: pytest.TempPathFactory):
    return make_command_line(tmp_path_factory.mktemp("lectern") / "home")


@pytest.fixture(scope="module")
def ingested(lectern, folder: Path) -> dict[str, Any]:
    """What `ingest --json` said."""
    return lectern.json("ingest", folder)


@pytest.fixture(scope="module")
def phrases(shared: Path) -> dict[str, list[str]]:
    lines = (shared / "format-zoo" / "manifest.jsonl").read_text("utf-8").splitlines()
    entries = [json.loads(line) for line in lines]
    return {entry["file"]: entry["contains"] for entry in entries if entry["file"] in READ}


def test_ingest_says_what_became_of_each_file(ingested: dict[str, Any]) -> None:
    files = {file["path"]: file for file in ingested["files"]}
    assert files.keys() == {*READ, *NOT_READ}
    for name in READ:
        file = files[name]
        assert file["state"] in ("indexed", "partial"), file
        assert file["chunks"] > 0
        assert file["characters"] > 0
        assert 0 < file["pages"]["indexed"] <= file["pages"]["total"]
        assert file["version"] == 1
        assert (file["reason"] is None) == (file["state"] == "indexed")
    for name, state in NOT_READ.items():
        assert files[name]["state"] == state
        assert files[name]["reason"]
        assert files[name]["version"] is None


def test_ingest_and_status_keep_the_contract(lectern, ingested: dict[str, Any]) -> None:
    assert ingested.keys() >= {"collection", "files", "totals", "seconds"}
    assert ingested["collection"] == "default"
    totals = ingested["totals"]
    assert totals["files"] == len(READ) + len(NOT_READ)
    assert (totals["failed"], totals["skipped"], totals["pending"]) == (2, 1, 0)
    assert totals["chunks"] == totals["chunks_embedded"] == sum(file["chunks"] for file in ingested["files"])
    status = lectern.json("status")
    assert status["files"] == ingested["files"]
    assert status["totals"] == totals


@pytest.mark.usefixtures("ingested")
def test_every_file_is_shown_and_found_by_what_it_says(lectern, cache: Path, phrases: dict[str, list[str]]) -> None:
    with session(Settings(home=lectern.home, cache=cache)) as request:  # one process for all: each would take a second
        for name in READ:
            shown = list(request("show", {"path": name}))[-1]["result"]["elements"]
            text = " ".join(" ".join(element["text"].split()) for element in shown)
            assert [phrase for phrase in phrases[name] if phrase not in text] == [], name
            found = list(request("search", {"query": max(phrases[name], key=len), "k": 5}))[-1]["result"]["passages"]
            assert name in [passage["file"] for passage in found]


@pytest.mark.usefixtures("ingested")
def test_show_keeps_the_contract(lectern, folder: Path) -> None:
    shown = lectern.json("show", folder / "pdf" / "fake-memo.pdf")
    assert shown.keys() >= {"path", "state", "reason", "version", "elements"}
    assert shown["path"] == "pdf/fake-memo.pdf"
    assert all(element.keys() >= {"kind", "text", "page", "part"} for element in shown["elements"])
    assert {element["page"] for element in shown["elements"]} == {1}
    assert shown["findable"]
    assert shown["why"]


@pytest.mark.usefixtures("ingested")
def test_show_says_why_a_file_cannot_be_found(lectern, folder: Path, cache: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere.txt").write_text("The password of the safe is swordfish.")
    asked = {
        "encrypted/password.pdf": ("failed", "password"),
        "csv/.hidden.txt": ("unknown", "--hidden"),
        str(tmp_path / "elsewhere.txt"): ("unknown", str(folder)),
    }
    with session(Settings(home=lectern.home, cache=cache)) as request:
        for path, (state, said) in asked.items():
            shown = list(request("show", {"path": path}))[-1]["result"]
            assert (shown["state"], shown["findable"]) == (state, False)
            assert said in " ".join(shown["why"])


@pytest.mark.usefixtures("ingested")
def test_search_keeps_the_contract(lectern) -> None:
    found = lectern.json("search", "bottles of water", "-k", 3)
    assert found.keys() == {"query", "passages", "timings_ms"}
    assert len(found["passages"]) == 3
    assert all(passage.keys() == PASSAGE for passage in found["passages"])
    first = found["passages"][0]
    assert (first["file"], first["page"]) == ("pdf/fake-memo.pdf", 1)
    assert "20,000 bottles of water" in " ".join(first["text"].split())
    scores = [passage["score"] for passage in found["passages"]]
    assert scores == sorted(scores, reverse=True)


@pytest.mark.usefixtures("ingested")
def test_ask_keeps_the_contract_and_every_citation_stands_in_its_file(lectern) -> None:
    answer = lectern.json("ask", "When was Iwan Wyn Roberts born?")
    assert answer.keys() >= ASKED
    assert answer["mode"] == "quote"
    assert not answer["refused"], answer["confidence"]
    assert 0 <= answer["confidence"] <= 1
    assert answer["citations"]
    assert all(citation.keys() >= CITATION for citation in answer["citations"])
    assert all(citation["verified"] for citation in answer["citations"])
    first = answer["citations"][0]
    assert (first["n"], first["file"], first["version"]) == (1, "text/norwich-city.txt", 1)
    assert "26 June 1968" in answer["answer"]
    assert f"[{first['n']}]" in answer["answer"]
    assert all(passage.keys() == PASSAGE for passage in answer["passages"])
    assert answer["timings_ms"]["total"] > 0


@pytest.mark.usefixtures("ingested")
def test_a_question_that_nothing_answers_is_refused_and_that_is_no_failure(lectern) -> None:
    done = lectern.run("ask", "What is the boiling point of tungsten hexafluoride?")
    assert done.returncode == 0
    assert "do not seem to answer" in done.stdout
    assert "closest:" in done.stdout


def test_hidden_names_are_read_only_on_request(lectern, ingested: dict[str, Any], folder: Path) -> None:
    assert not [file for file in ingested["files"] if "hidden" in file["path"]]
    seen = lectern.json("ingest", folder / "csv", "--hidden", "--collection", "secrets")
    assert [file["path"] for file in seen["files"]] == [".hidden.txt", "csv-semicolon.csv"]
    done = lectern.run("show", ".hidden.txt")
    assert done.returncode == 1
    assert "--hidden" in done.stderr


@pytest.mark.usefixtures("ingested")
def test_collections_are_listed_forgotten_and_removed(lectern, folder: Path) -> None:
    lectern.json("ingest", folder / "xml", "--collection", "scratch")
    lectern.json("ingest", folder / "csv", "--collection", "scratch")
    rows = {row["collection"]: row for row in lectern.json("collection", "list")["collections"]}
    assert rows["scratch"]["folders"] == [str(folder / "csv"), str(folder / "xml")]
    assert rows["scratch"]["totals"]["files"] == 2
    lectern.json("collection", "forget", folder / "csv", "--collection", "scratch")
    assert [file["path"] for file in lectern.json("status", "--collection", "scratch")["files"]] == ["factbook.xml"]
    lectern.json("collection", "remove", "scratch")
    done = lectern.run("status", "--collection", "scratch")
    assert done.returncode == 1
    assert "scratch" in done.stderr
    assert (folder / "csv" / "csv-semicolon.csv").is_file()
    assert lectern.json("status")["totals"]["files"] == len(READ) + len(NOT_READ)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["ingest", "/no/such/folder"], "/no/such/folder"),
        (["show", "no/such/file.pdf"], "no/such/file.pdf"),
        (["search", "water", "--collection", "nothing"], "nothing"),
        (["ask", "Why?", "--model", "gpt-99"], "gpt-99"),
        (["ask", " "], "empty"),
        (["collection", "remove", "nothing"], "nothing"),
        (["collection", "forget", "nowhere"], "nowhere"),
        (["eval", "/no/such/set"], "/no/such/set"),
        (["models", "pull", "no-such-model"], "no-such-model"),
    ],
)
@pytest.mark.usefixtures("ingested")
def test_what_cannot_be_done_exits_1_and_says_which_value(lectern, arguments: list[str], said: str) -> None:
    done = lectern.run(*arguments, "--json")
    assert done.returncode == 1
    assert done.stdout == ""
    assert said in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["ask"],
        ["search", "x", "-k", "0"],
        ["eval", "x", "--limit", "-3"],
        ["collection", "remove"],
        ["models", "fly"],
        ["queue", "pause", "a.txt"],
    ],
)
def test_wrong_usage_exits_2(lectern, arguments: list[str]) -> None:
    assert lectern.run(*arguments).returncode == 2


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"LECTERN_PROT": "1"}, "LECTERN_PROT"),
        ({"LECTERN_PORT": "many"}, "many"),
        ({"LECTERN_CACHE": "/no/such"}, "models pull"),
    ],
)
def test_wrong_settings_exit_1_and_say_which(lectern, tmp_path: Path, variables: dict[str, str], said: str) -> None:
    done = lectern.run("search", "x", LECTERN_HOME=str(tmp_path), **variables)
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_file_names_with_markup_are_printed_as_they_are(lectern, tmp_path: Path) -> None:
    for path, text in {"[bold]a[/x].txt": "The lamp is lit before sunset.", "[/red].txt": ""}.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text)
    done = lectern.run("ingest", tmp_path, "--collection", "odd")
    assert done.returncode == 0, done.stderr
    assert "[bold]a[/x].txt" in done.stdout
    assert "[/red].txt" in done.stdout
    shown = lectern.run("show", "[bold]a[/x].txt", "--collection", "odd")
    assert "[bold]a[/x].txt: indexed" in shown.stdout


def test_help_answers_at_once(lectern) -> None:
    lectern.run("--help")
    started = time.monotonic()
    done = lectern.run("--help")
    assert time.monotonic() - started < 1.5  # 0.5 s on a machine that does nothing else
    assert "ingest" in done.stdout


def test_doctor_and_models_print_one_document(lectern) -> None:
    findings = {finding["check"]: finding for finding in lectern.json("doctor")["findings"]}
    assert findings["packages"]["severity"] == "ok"
    assert {finding["severity"] for finding in findings.values()} <= {"ok", "warning"}
    models = {model["name"]: model for model in lectern.json("models", "list")["models"]}
    assert models["all-minilm-l6-v2"]["installed"]


def test_watch_follows_the_folder_until_ctrl_c(lectern, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("The lamp is lit before sunset.")
    process = lectern.start("ingest", tmp_path, "--watch", "--json", "--collection", "watched")
    try:
        lines = documents(process.stdout)
        assert [file["path"] for file in next(lines)["files"]] == ["a.txt"]
        (tmp_path / "b.txt").write_text("The horn sounds in fog.")
        assert [file["path"] for file in next(lines)["files"]] == ["a.txt", "b.txt"]
        (tmp_path / "a.txt").unlink()
        assert [file["path"] for file in next(lines)["files"]] == ["b.txt"]
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
    finally:
        end(process)


def test_files_are_left_out_by_rules_that_the_folder_keeps(lectern, tmp_path: Path) -> None:
    for path in ("a.txt", "b.md", "drafts/c.txt", "node_modules/d.txt"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(f"The lamp of {path} is lit before sunset.")
    into = ("--collection", "ruled")
    only = lectern.json("ingest", tmp_path, *into, "--include", "*.txt", "--exclude", "drafts/")
    assert [file["path"] for file in only["files"]] == ["a.txt"]
    assert only["folder_states"][0]["rules"]
    kept = lectern.json("ingest", tmp_path, *into)
    assert [file["path"] for file in kept["files"]] == ["a.txt"]
    others = lectern.json("ingest", tmp_path, *into, "--exclude", "a.*")
    assert [file["path"] for file in others["files"]] == ["b.md", "drafts/c.txt"]
    done = lectern.run("ingest", tmp_path, *into, "--exclude", "x" * 2000)
    assert done.returncode == 1
    assert "The rule 'xxx" in done.stderr


def test_the_queue_is_paused_resumed_and_tried_again(lectern, cache: Path, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("The lamp is lit before sunset.")
    (tmp_path / "empty.txt").write_text("")
    place = {"collection": "queued"}

    with session(Settings(home=lectern.home, cache=cache)) as request:

        def last(command: str, **arguments: object) -> dict[str, Any]:
            return list(request(command, {**place, **arguments}))[-1]

        last("ingest", folder=str(tmp_path))
        (failed,) = last("queue_list")["result"]["files"]
        assert (failed["path"], failed["state"]) == ("empty.txt", "failed")
        assert last("queue_pause")["result"]["paused"]
        (tmp_path / "b.txt").write_text("The horn sounds in fog.")
        assert "queue resume" in last("ingest", folder=str(tmp_path))["error"]
        assert last("queue_retry", path="empty.txt")["result"]["retried"] == ["empty.txt"]
        waiting = last("queue_list")["result"]
        assert {file["path"]: file["said"] for file in waiting["files"]} == {"b.txt": "waiting", "empty.txt": "waiting"}
        assert not last("queue_resume")["result"]["paused"]
        last("ingest", folder=str(tmp_path))
        assert [file["state"] for file in last("queue_list")["result"]["files"]] == ["failed"]
        assert last("status")["result"]["totals"]["indexed"] == 2


def test_serve_follows_its_folders_again_without_being_told(lectern, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("The lamp is lit before sunset.")
    lectern.json("ingest", tmp_path, "--collection", "followed")
    (tmp_path / "a.txt").unlink()
    (tmp_path / "b.txt").write_text("The horn sounds in fog.")
    with lectern.served() as process:
        until = time.monotonic() + 60
        seen: tuple[list[tuple[str, str]], str] = ([], "")
        while seen != ([("b.txt", "indexed")], "followed"):
            assert time.monotonic() < until, seen
            status = lectern.json("status", "--collection", "followed")
            state = status["folder_states"][0]["state"]
            followed = "followed" if state in ("watching", "polling") else state
            seen = ([(file["path"], file["state"]) for file in status["files"]], followed)
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0


def documents(stream: Iterator[str]) -> Iterator[dict[str, Any]]:
    for line in stream:
        yield json.loads(line)
