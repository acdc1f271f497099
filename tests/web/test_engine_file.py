from __future__ import annotations

import json
from pathlib import Path

import pytest

import app
from models.engines.trtllm_configuration import configuration
from rag.errors import BadInput
from rag.settings import Settings
from tests.standins.trtllm_fields import parse_command_line, read_configuration
from web.engine_file import write_engine_file
from web.model_plan import Asked, Plan, make_plan

MODEL = "llama-3.1-8b-instruct-fp8"


def plan(tmp_path: Path, cards: str, **asked: int) -> Plan:
    return make_plan(MODEL, Settings(cache=tmp_path, home=tmp_path), Asked(cards, **asked))


def test_the_plan_is_written_as_trtllm_serve_reads_it(tmp_path: Path) -> None:
    file = tmp_path / "weights" / "engine.json"
    write_engine_file(plan(tmp_path, "l40s", context_tokens=4096, concurrency=2), file)
    written = read_configuration(parse_command_line([MODEL, "--config", str(file)]))
    assert written["max_seq_len"] == 4096
    assert 0 < written["kv_cache_config"]["free_gpu_memory_fraction"] < 1


def test_it_says_which_variables_of_compose_go_with_the_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_engine_file(plan(tmp_path, "l40s", context_tokens=4096), tmp_path / "engine.json")
    assert f"ENGINE_MODEL={MODEL} ENGINE_CONTEXT_TOKENS=4096 ENGINE_GPUS=0" in capsys.readouterr().err


@pytest.mark.parametrize("cards", ["none", "3060"])
def test_nothing_is_written_for_what_tensorrt_llm_cannot_run_here(tmp_path: Path, cards: str) -> None:
    file = tmp_path / "engine.json"
    with pytest.raises(BadInput, match="TensorRT-LLM does not run this here"):
        write_engine_file(plan(tmp_path, cards), file)
    assert not file.exists()


def test_adapters_are_refused_rather_than_left_out(tmp_path: Path) -> None:
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text('{"r": 8, "target_modules": ["q_proj"]}')
    settings = Settings(cache=tmp_path, home=tmp_path, lora=(adapter,))
    with pytest.raises(BadInput, match="LECTERN_LORA"):
        write_engine_file(make_plan(MODEL, settings, Asked("l40s")), tmp_path / "engine.json")
    assert not (tmp_path / "engine.json").exists()


def test_the_engine_leaves_room_for_lectern_which_comes_to_the_card_after_it(tmp_path: Path) -> None:
    made = plan(tmp_path, "l40s")
    write_engine_file(made, tmp_path / "engine.json")
    written = json.loads((tmp_path / "engine.json").read_text())
    assert written == configuration(made.chosen, first_on_card=True)


def test_a_file_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "taken").touch()
    with pytest.raises(BadInput, match="cannot be written"):
        write_engine_file(plan(tmp_path, "l40s"), tmp_path / "taken" / "engine.json")


def test_the_command_writes_the_file_beside_its_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LECTERN_HOME", str(tmp_path))
    file = tmp_path / "engine.json"
    assert app.main(["models", "plan", MODEL, "--gpu", "l40s", "--engine-config", str(file), "--json"]) == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out)["choice"]["context_tokens"] == json.loads(file.read_text())["max_seq_len"]
