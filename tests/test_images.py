"""The container files keep their promises: they follow their schemas, and what they start is closed to the outside."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from rag.settings import EngineSetting, Settings

ROOT = Path(__file__).resolve().parents[1]
COMPOSE = ("compose.yaml", "compose.cpu.yaml")
VARIABLE = re.compile(r"\$\{\w+:-([^}]*)\}")


def _tool(name: str) -> str:
    """A program of this environment, whether it is activated or not."""
    found = shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)
    assert found, f"{name} is missing: pip install -r requirements-dev.txt"
    return found


def _services(file: str) -> dict[str, Any]:
    """The services as they are started when no variable is set."""
    text = VARIABLE.sub(r"\1", (ROOT / file).read_text(encoding="utf-8")).replace("$$", "$")
    services = yaml.safe_load(text)["services"]
    assert isinstance(services, dict)
    return services


def _stages() -> dict[str, list[tuple[str, str]]]:
    """The Dockerfile's stages: (instruction, arguments), continued lines joined."""
    lines = [line for line in (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines() if line[:1] != "#"]
    stages: dict[str, list[tuple[str, str]]] = {}
    for line in re.sub(r"\\\n", " ", "\n".join(lines)).splitlines():
        instruction, _, arguments = line.partition(" ")
        if instruction == "FROM":
            stages[arguments.split()[-1]] = []
        if instruction:
            stages[list(stages)[-1]].append((instruction, arguments.strip()))
    return stages


def test_hadolint_finds_nothing_in_the_dockerfile() -> None:
    # Without the machine's own configuration, which might ignore rules.
    checked = subprocess.run(
        [_tool("hadolint"), "--config", "/dev/null", "Dockerfile"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (checked.stdout, checked.returncode) == ("", 0)


def test_no_rule_of_hadolint_is_ignored() -> None:
    assert "hadolint" not in (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert not list(ROOT.glob(".hadolint*"))


@pytest.mark.parametrize("file", COMPOSE)
def test_a_compose_file_follows_the_compose_specification(file: str) -> None:
    command = [_tool("check-jsonschema"), "--builtin-schema", "vendor.compose-spec", file]
    checked = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize("file", COMPOSE)
def test_ports_are_published_on_loopback_only(file: str) -> None:
    published = [port for service in _services(file).values() for port in service.get("ports", [])]
    assert published == ["127.0.0.1:7860:7860"]


def test_the_engine_is_reached_by_lectern_alone() -> None:
    engine = _services("compose.yaml")["engine"]
    networks = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))["networks"]
    assert "ports" not in engine
    assert engine["networks"] == ["inside"]
    assert networks["inside"] == {"internal": True}


def test_the_engine_can_read_weights_and_change_nothing() -> None:
    engine = _services("compose.yaml")["engine"]
    assert engine["volumes"] == ["weights:/weights:ro"]
    assert not engine.get("privileged")
    assert not engine.get("secrets")


@pytest.mark.parametrize("file", COMPOSE)
def test_documents_can_only_be_read(file: str) -> None:
    mounted = [volume for volume in _services(file)["lectern"]["volumes"] if ":/documents" in volume]
    assert mounted == ["./docs/sample:/documents:ro"]


@pytest.mark.parametrize("file", COMPOSE)
def test_our_containers_have_no_rights_beyond_their_user(file: str) -> None:
    for name, service in _services(file).items():
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert name == "engine" or service["cap_drop"] == ["ALL"], name


def test_lectern_waits_for_a_healthy_engine_and_knows_it_by_its_settings() -> None:
    services = _services("compose.yaml")
    lectern, engine = services["lectern"], services["engine"]
    assert lectern["depends_on"] == {"engine": {"condition": "service_healthy"}}
    assert engine["healthcheck"]["test"][0] == "CMD"
    given = lectern["environment"]
    settings = Settings(
        local_engine=given["LECTERN_LOCAL_ENGINE"],
        engines=[EngineSetting(**each) for each in json.loads(given["LECTERN_ENGINES"])],
        allow_chat=json.loads(given["LECTERN_ALLOW_CHAT"]),
    )
    assert not settings.local_engine
    assert [(each.name, each.url) for each in settings.engines] == [("engine", "http://engine:8000/v1")]
    assert settings.allow_chat == ("engine",)
    # trtllm-serve calls a model by the name of its folder.
    assert Path(engine["command"][1]).name == settings.engines[0].model
    assert str(settings.engines[0].tokenizer) == f"{engine['command'][1]}/tokenizer.json"


def test_the_model_that_compose_serves_is_in_the_catalog() -> None:
    from models.catalog import load_catalog

    [engine] = json.loads(_services("compose.yaml")["lectern"]["environment"]["LECTERN_ENGINES"])
    assert load_catalog().entry(engine["model"]).backend == "tensorrt-llm"


def test_lectern_is_given_only_settings_that_it_knows() -> None:
    named = {
        name for file in COMPOSE for service in _services(file).values() for name in service.get("environment", {})
    }
    named |= {name for stage in _stages().values() for name in _environment(stage)}
    known = {f"LECTERN_{name.upper()}" for name in Settings.model_fields}
    assert {name for name in named if name.startswith("LECTERN_")} <= known


def test_secrets_come_as_files() -> None:
    text = (ROOT / "compose.yaml").read_text(encoding="utf-8")
    assert set(yaml.safe_load(text)["secrets"]) == {"hf_token", "ngc_api_key"}
    assert all(set(secret) == {"file"} for secret in yaml.safe_load(text)["secrets"].values())
    for service in _services("compose.yaml").values():
        assert not {"HF_TOKEN", "NGC_API_KEY"} & set(service.get("environment", {}))


def test_the_default_image_is_the_cpu_one() -> None:
    assert list(_stages())[-1] == "cpu"


@pytest.mark.parametrize("target", ["cpu", "gpu"])
def test_an_image_runs_as_an_unprivileged_user_and_tells_its_health(target: str) -> None:
    stages = _stages()
    steps = [*stages["base"], *stages[target]]
    assert stages[target][0] == ("FROM", f"base AS {target}")
    assert [arguments for instruction, arguments in steps if instruction == "USER"] == ["10001"]
    [health] = [arguments for instruction, arguments in steps if instruction == "HEALTHCHECK"]
    assert "/v1/health/live" in health


@pytest.mark.parametrize("target", ["cpu", "gpu"])
def test_requirements_are_installed_before_the_code_arrives(target: str) -> None:
    steps = _stages()[target]
    installed = next(n for n, (_, arguments) in enumerate(steps) if "pip install" in arguments)
    assert installed < steps.index(("COPY", ". ."))
    assert "type=cache" in steps[installed][1]


def test_only_the_program_enters_an_image() -> None:
    allowed = (ROOT / ".dockerignore").read_text(encoding="utf-8").split("\n*\n")[1].split()
    packages = {f"!{folder.parent.name}" for folder in ROOT.glob("*/__init__.py")}
    assert set(allowed) == packages | {"!app.py", "!LICENSE", "!requirements*.txt", "**/__pycache__"}


def _environment(stage: list[tuple[str, str]]) -> list[str]:
    return [
        pair.partition("=")[0] for instruction, arguments in stage if instruction == "ENV" for pair in arguments.split()
    ]
