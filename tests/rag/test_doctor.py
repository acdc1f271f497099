"""What the doctor finds on a real installation: every warning and error comes with a remedy, no engine is started."""

from __future__ import annotations

import json
from pathlib import Path

import psutil
import pytest

from rag.doctor import examine
from rag.examination.finding import Finding
from rag.settings import Settings
from tests.conftest import CommandLine

EMBEDDER = "all-minilm-l6-v2"


@pytest.fixture(scope="module")
def findings(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Finding]:
    return examine(Settings(home=tmp_path_factory.mktemp("home"), cache=cache))


def test_an_installation_with_its_weights_has_no_error(findings: list[Finding]) -> None:
    assert [finding for finding in findings if finding["severity"] == "error"] == []


def test_a_finding_has_a_remedy_when_something_is_wrong_and_only_then(findings: list[Finding]) -> None:
    assert all(list(finding) == ["check", "severity", "detail", "remedy"] for finding in findings)
    assert all(bool(finding["remedy"]) == (finding["severity"] != "ok") for finding in findings)
    assert all(finding["detail"] for finding in findings)


def test_everything_that_can_fail_is_looked_at(findings: list[Finding]) -> None:
    checks = [finding["check"] for finding in findings]
    machine = ("memory", "CUDA", "FAISS", "data folder", "language model", "weights cache", "port", "sandbox")
    for check in (*machine, "text recognition", "LibreOffice", "libarchive"):
        assert checks.count(check) == 1, check
    assert checks.count(f"weights of {EMBEDDER}") == 1


def test_nothing_runs_on_when_the_doctor_is_done(findings: list[Finding]) -> None:
    del findings
    assert not [child for child in psutil.Process().children(recursive=True) if "llama" in " ".join(child.cmdline())]


def test_the_command_prints_its_findings_as_json_and_fails_when_one_is_an_error(
    command_line: CommandLine, tmp_path: Path
) -> None:
    empty = tmp_path / "nothing"
    done = command_line.run("doctor", "--json", LECTERN_CACHE=str(empty))
    findings = json.loads(done.stdout)["findings"]
    assert done.returncode == 1
    wrong = {finding["check"]: finding["remedy"] for finding in findings if finding["severity"] == "error"}
    assert wrong[f"weights of {EMBEDDER}"] == f"python app.py models pull {EMBEDDER}"
    assert not (empty / "models").exists()


@pytest.mark.slow
def test_the_port_of_the_running_lectern_is_not_taken_for_another_program_s(command_line: CommandLine) -> None:
    with command_line.served():
        door = json.loads((command_line.home / "owner.json").read_text())
        listening = psutil.Process(door["pid"]).net_connections("tcp")
        [port] = {each.laddr.port for each in listening if each.status == psutil.CONN_LISTEN} - {door["port"]}
        done = command_line.run("doctor", "--json", LECTERN_PORT=str(port))
    found = {finding["check"]: finding for finding in json.loads(done.stdout)["findings"]}
    assert found["owner"]["detail"].startswith(f"process {door['pid']} owns")
    assert (found["port"]["severity"], found["port"]["detail"]) == (
        "ok",
        f"{port} on 127.0.0.1 is that of the running Lectern",
    )


def test_a_checkpoint_that_is_not_there_is_an_error_and_the_rest_is_still_examined(cache: Path, tmp_path: Path) -> None:
    findings = examine(Settings(home=tmp_path, cache=cache, model_path=tmp_path / "gone"))
    found = {finding["check"]: finding["severity"] for finding in findings}
    assert found["language model"] == "error"
    assert found[f"weights of {EMBEDDER}"] == "ok"
