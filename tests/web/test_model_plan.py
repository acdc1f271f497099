from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import app
from models.errors import ImpossibleProfile, UnknownCard, UnknownModel
from rag.settings import Settings
from web.model_plan import Asked, make_plan, plan_models

FIELDS = {
    "name", "class", "model", "backend", "precision", "kv_precision", "tensor_parallel", "gpus", "context_tokens",
    "concurrency", "kv_bytes_per_token", "memory", "shares_gpu", "requires_bytes", "requires", "reason",
}  # fmt: skip


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(cache=tmp_path, home=tmp_path)


def shown(capsys: pytest.CaptureFixture[str], name: str | None, settings: Settings, asked: Asked) -> str:
    assert plan_models(name, settings, asked, as_json=False) == 0
    return capsys.readouterr().out


def as_json(capsys: pytest.CaptureFixture[str], name: str | None, settings: Settings, asked: Asked) -> dict[str, Any]:
    assert plan_models(name, settings, asked, as_json=True) == 0
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    return document


def test_a_family_is_listed_in_the_three_classes_as_nim_does(
    capsys: pytest.CaptureFixture[str], settings: Settings
) -> None:
    said = shown(capsys, "llama-3.1-8b-instruct", settings, Asked("3060"))
    runnable, low, incompatible = (
        said.index(heading) for heading in ("Compatible and runnable", "Compatible, but low memory", "Incompatible")
    )
    assert runnable < said.index("llamacpp-q4") < low < said.index("trtllm-int4-awq-tp1") < incompatible
    unwrapped = " ".join(said.split())
    assert "[requires >=12.8 GiB/gpu, try LECTERN_CONTEXT_TOKENS=6144 to reduce to >=11.8 GiB/gpu]" in unwrapped
    assert "FP8 needs compute capability 8.9, NVIDIA GeForce RTX 3060 has 8.6" in unwrapped


def test_the_chosen_profile_is_shown_with_each_part_of_its_memory_a_bar_and_the_reason(
    capsys: pytest.CaptureFixture[str], settings: Settings
) -> None:
    said = shown(capsys, "llama-3.1-8b-instruct-fp8", settings, Asked("4090"))
    lines = said.splitlines()
    for part in ("weights", "KV cache", "activations", "CUDA contexts", "embedder", "vector index", "head-room"):
        assert any(line.startswith(part) and ("█" in line or "▏" in line) for line in lines)
    assert any(line.startswith("left") and "░" in line for line in lines)
    assert "needs 14.3 of 24.0 GiB for 4 × 8,192 tokens." in said
    assert "python app.py models pull llama-3.1-8b-instruct-fp8" in said


def test_what_does_not_fit_shows_how_much_is_missing_and_what_to_try(
    capsys: pytest.CaptureFixture[str], settings: Settings
) -> None:
    said = shown(capsys, "llama-3.3-70b-instruct", settings, Asked("4090"))
    assert "not on this 24 GB card; try llama-3.1-8b-instruct at FP8, or 2 such cards." in said
    assert any(line.startswith("missing") and "▒" in line for line in said.splitlines())
    assert "models pull" not in said


def test_a_form_that_nobody_publishes_comes_with_its_recipe(
    capsys: pytest.CaptureFixture[str], settings: Settings
) -> None:
    said = shown(capsys, "llama-3.1-8b-instruct", settings, Asked("a10"))
    assert "Model Optimizer: examples/llm_ptq/scripts/huggingface_example.sh" in said


def test_cards_that_hold_the_same_are_shown_once(capsys: pytest.CaptureFixture[str], settings: Settings) -> None:
    said = shown(capsys, "llama-3.3-70b-instruct", settings, Asked("4x4090"))
    assert "GPU 0: NVIDIA GeForce RTX 4090\n" in said
    assert "GPU 1: NVIDIA GeForce RTX 4090 and 2 more like it" in said


def test_the_json_has_every_profile_of_every_family_and_the_choice(
    capsys: pytest.CaptureFixture[str], settings: Settings
) -> None:
    plan = as_json(capsys, None, settings, Asked("2x4090"))
    assert [gpu["index"] for gpu in plan["devices"]["gpus"]] == [0, 1]
    models = {model["family"]: model for model in plan["models"]}
    assert set(models) >= {"llama-3.2-1b-instruct", "llama-3.3-70b-instruct", "smollm2-135m-instruct"}
    assert set(models["llama-3.1-8b-instruct"]["profiles"][0]) == FIELDS
    assert models["llama-3.3-70b-instruct"]["chosen"] == "trtllm-int4-awq-tp2"
    assert "Built with Llama" in models["llama-3.3-70b-instruct"]["attribution"]
    assert (plan["choice"]["model"], plan["choice"]["name"]) == ("llama-3.1-8b-instruct-fp8", "trtllm-fp8-tp1")
    assert plan["choice"]["reason"]


def test_context_and_concurrency_change_what_is_planned(settings: Settings) -> None:
    small = make_plan("llama-3.2-3b-instruct", settings, Asked("3060", context_tokens=4096, concurrency=2))
    assert (small.chosen.fit, small.chosen.context_tokens, small.chosen.concurrency) == ("runnable", 4096, 2)


def test_the_settings_decide_profile_device_and_load(settings: Settings) -> None:
    own = settings.model_copy(update={"profile": "trtllm-bf16-tp1", "device": "cpu", "concurrency": 1})
    plan = make_plan("llama-3.1-8b-instruct", own, Asked("4090"))
    assert (plan.chosen.name, plan.chosen.concurrency, plan.chosen.shares_gpu) == ("trtllm-bf16-tp1", 1, False)


def test_ones_own_checkpoint_is_planned_instead_of_the_catalog(settings: Settings, tmp_path: Path) -> None:
    config = {
        "hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 16, "num_attention_heads": 32,
        "num_key_value_heads": 8, "vocab_size": 128256, "max_position_embeddings": 4096, "torch_dtype": "bfloat16",
    }  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "model.safetensors").write_bytes(bytes(1000))
    plan = make_plan(None, settings.model_copy(update={"model_path": tmp_path}), Asked("4060"))
    assert (plan.chosen.model, plan.chosen.name, plan.next_step) == (str(tmp_path), "trtllm-bf16-tp1", "")


@pytest.mark.parametrize(
    ("name", "asked", "error"),
    [("gpt-99", Asked(), UnknownModel), (None, Asked("voodoo"), UnknownCard)],
)
def test_unknown_names_are_refused(settings: Settings, name: str | None, asked: Asked, error: type[Exception]) -> None:
    with pytest.raises(error, match=name or "voodoo"):
        make_plan(name, settings, asked)


def test_a_profile_of_the_settings_that_no_model_has_is_refused(settings: Settings) -> None:
    with pytest.raises(ImpossibleProfile, match="trtllm-fp9-tp1"):
        make_plan(None, settings.model_copy(update={"profile": "trtllm-fp9-tp1"}), Asked("4090"))


def test_the_model_may_be_named_before_or_after_the_cards(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("LECTERN_CACHE", str(tmp_path))
    chosen = []
    for arguments in (["llama-3.2-3b-instruct", "--gpu", "4090"], ["--gpu", "4090", "llama-3.2-3b-instruct"]):
        assert app.main(["models", "plan", *arguments, "--json"]) == 0
        chosen.append(json.loads(capsys.readouterr().out)["choice"]["name"])
    assert chosen == ["trtllm-fp8-tp1"] * 2


def test_the_options_of_plan_are_wrong_usage_elsewhere(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        app.main(["models", "list", "--gpu", "4090"])
    assert "--gpu" in capsys.readouterr().err
