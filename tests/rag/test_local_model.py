"""Which language model runs here: as the settings say, or the best that is there for the machine."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from models.catalog import Catalog, load_catalog
from models.devices import Devices, Gpu
from models.errors import BadCheckpoint, ImpossibleProfile
from models.planning.wishes import ENCODER_ACTIVATION_BYTES
from rag.errors import BadInput
from rag.local_model import Installed, LocalModel, choose_local_model, wishes_of
from rag.settings import Settings

NOTHING = Installed(None, "trtllm-serve is not installed: run `make venv-tensorrt`", False)
TENSORRT = Installed(Path("/opt/trtllm-serve"), "as the settings say", False)
CPU = Devices(8, 32 << 30)
RTX_4090 = Gpu(0, "NVIDIA GeForce RTX 4090", 24564 << 20, 24200 << 20, "570", (8, 9))
GPU = replace(CPU, gpus=(RTX_4090,))


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return load_catalog()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """With an empty cache."""
    return Settings(home=tmp_path / "home", cache=tmp_path / "cache")


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """One's own small Llama, in a folder with dots in its name."""
    folder = tmp_path / "My-Llama-3.1"
    folder.mkdir()
    config = {
        "torch_dtype": "bfloat16", "hidden_size": 512, "intermediate_size": 1024, "num_attention_heads": 8,
        "num_key_value_heads": 4, "num_hidden_layers": 4, "vocab_size": 32000, "max_position_embeddings": 16384,
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "model.safetensors").write_bytes(b"x" * 1000)
    return folder


def chosen(settings: Settings, catalog: Catalog, devices: Devices, installed: Installed) -> tuple[LocalModel, str]:
    model, reason = choose_local_model(settings, catalog, devices, installed)
    assert model is not None, reason
    return model, reason


@pytest.mark.parametrize(
    ("devices", "installed", "why"),
    [
        (CPU, TENSORRT, "no NVIDIA GPU was found"),
        (GPU, NOTHING, "trtllm-serve is not installed"),
        (GPU, TENSORRT, "no checkpoint for TensorRT-LLM is in the cache"),
    ],
)
def test_the_embedded_model_runs_where_nothing_better_can(
    settings: Settings, catalog: Catalog, devices: Devices, installed: Installed, why: str
) -> None:
    model, reason = chosen(settings, catalog, devices, installed)
    assert (model.name, model.profile.backend, model.profile.gpus) == ("smollm2-135m-instruct", "llama.cpp", ())
    assert why in reason


def test_the_best_checkpoint_of_the_cache_runs_on_a_gpu(
    settings: Settings, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = {"llama-3.2-1b-instruct-bf16", "llama-3.1-8b-instruct-fp8", "llama-3.3-70b-instruct-fp8"}
    monkeypatch.setattr("rag.local_model.is_installed", lambda entry, _: entry.name in here)
    model, reason = chosen(settings, catalog, GPU, TENSORRT)
    assert (model.name, model.profile.name) == ("llama-3.1-8b-instruct-fp8", "trtllm-fp8-tp1")
    assert model.trtllm_serve == TENSORRT.trtllm_serve
    assert "by TensorRT-LLM" in reason


def test_of_a_family_the_precision_that_is_in_the_cache_runs(
    settings: Settings, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = "llama-3.1-8b-instruct-int4-awq"
    monkeypatch.setattr("rag.local_model.is_installed", lambda entry, _: entry.name == here)
    family = settings.model_copy(update={"llm": "llama-3.1-8b-instruct"})
    assert chosen(family, catalog, GPU, TENSORRT)[0].name == here


def test_a_model_that_cannot_run_is_said_with_the_reason(settings: Settings, catalog: Catalog) -> None:
    large = settings.model_copy(update={"llm": "llama-3.3-70b-instruct-fp8"})
    assert choose_local_model(large, catalog, GPU, NOTHING) == (
        None,
        "llama-3.3-70b-instruct-fp8 cannot run: trtllm-serve is not installed: run `make venv-tensorrt`",
    )
    model, reason = choose_local_model(large, catalog, GPU, TENSORRT)
    assert model is None
    assert "not on this 24 GB card" in reason


def test_none_runs_when_the_settings_say_so(settings: Settings, catalog: Catalog) -> None:
    model, reason = choose_local_model(settings.model_copy(update={"local_engine": False}), catalog, GPU, TENSORRT)
    assert (model, reason) == (None, "none runs on this machine, as the settings say")


@pytest.mark.parametrize("name", ["nope", "all-minilm-l6-v2"])
def test_a_name_that_is_no_language_model_is_refused_with_the_setting(
    settings: Settings, catalog: Catalog, name: str
) -> None:
    with pytest.raises(BadInput, match=rf"LECTERN_LLM = '{name}'.*llama-3.1-8b-instruct.*auto"):
        choose_local_model(settings.model_copy(update={"llm": name}), catalog, CPU, NOTHING)


def test_ones_own_checkpoint_is_served_by_the_name_of_its_folder(
    settings: Settings, catalog: Catalog, checkpoint: Path
) -> None:
    own = settings.model_copy(update={"model_path": checkpoint})
    model, _ = chosen(own, catalog, GPU, TENSORRT)
    assert (model.name, model.path, model.profile.name) == ("My-Llama-3.1", checkpoint, "trtllm-bf16-tp1")
    with pytest.raises(BadCheckpoint):
        choose_local_model(settings.model_copy(update={"model_path": checkpoint.parent}), catalog, GPU, TENSORRT)


def test_ones_own_gguf_file_runs_by_llama_cpp(settings: Settings, catalog: Catalog, cache: Path) -> None:
    file = next(cache.rglob("SmolLM2*.gguf"))
    model, _ = chosen(settings.model_copy(update={"model_path": file}), catalog, CPU, NOTHING)
    assert (model.path, model.profile.backend) == (file, "llama.cpp")
    assert model.name == file.name.removesuffix(".gguf")


def test_a_named_profile_is_taken_and_an_impossible_one_refused(settings: Settings, catalog: Catalog) -> None:
    named = settings.model_copy(update={"llm": "llama-3.1-8b-instruct", "profile": "trtllm-int4-awq-tp1"})
    assert chosen(named, catalog, GPU, TENSORRT)[0].name == "llama-3.1-8b-instruct-int4-awq"
    with pytest.raises(ImpossibleProfile, match="NVFP4 cannot run here"):
        choose_local_model(named.model_copy(update={"profile": "trtllm-nvfp4-tp1"}), catalog, GPU, TENSORRT)


@pytest.mark.parametrize("llm", ["auto", "llama-3.1-8b-instruct"])
@pytest.mark.parametrize(
    ("devices", "installed", "why"),
    [
        (GPU, NOTHING, "trtllm-serve is not installed: run `make venv-tensorrt`"),
        (CPU, NOTHING, "no NVIDIA GPU was found"),
        (GPU, TENSORRT, "no checkpoint for TensorRT-LLM is in the cache"),
    ],
)
def test_a_named_profile_that_nothing_here_can_run_is_said_with_the_real_reason(
    settings: Settings, catalog: Catalog, devices: Devices, installed: Installed, why: str, llm: str
) -> None:
    if llm != "auto":
        if installed is TENSORRT:
            return  # it runs: a model that was named need not be in the cache to be chosen
        why = "trtllm-serve is not installed"
    named = settings.model_copy(update={"llm": llm, "profile": "trtllm-fp8-tp1"})
    model, reason = choose_local_model(named, catalog, devices, installed)
    assert model is None
    assert reason.startswith(f"trtllm-fp8-tp1 cannot run: {why}")


def test_a_pin_that_cannot_be_read_only_takes_its_own_model_away(
    settings: Settings, catalog: Catalog, caplog: pytest.LogCaptureFixture
) -> None:
    folder = settings.cache / "models" / "llama-3.1-8b-instruct-fp8"
    folder.mkdir(parents=True)
    (folder / "pinned.json").write_text("{")
    assert chosen(settings, catalog, GPU, TENSORRT)[0].name == "smollm2-135m-instruct"
    assert "llama-3.1-8b-instruct-fp8 is taken as not installed" in caplog.text


@pytest.mark.parametrize(("stored", "in_16_bits"), [("float32", 500), ("bfloat16", 1000)])
def test_a_reranker_is_planned_in_16_bits_whatever_it_is_stored_in(
    settings: Settings, catalog: Catalog, tmp_path: Path, stored: str, in_16_bits: int
) -> None:
    folder = tmp_path / "cross-encoder"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"dtype": stored}))
    (folder / "model.safetensors").write_bytes(bytes(1000))
    own = settings.model_copy(update={"reranker": str(folder)})
    wishes = wishes_of(
        own, catalog, catalog.language_models("llama-3.2-1b-instruct"), llama_cuda=False, embeds_on_gpu=True
    )
    assert wishes.reranker_bytes == in_16_bits + ENCODER_ACTIVATION_BYTES


def test_adapters_need_tensorrt_llm(settings: Settings, catalog: Catalog, tmp_path: Path) -> None:
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text('{"r": 8, "target_modules": ["q_proj"]}')
    with pytest.raises(BadInput, match="LECTERN_LORA"):
        choose_local_model(settings.model_copy(update={"lora": (adapter,)}), catalog, CPU, NOTHING)


def test_a_model_that_is_too_large_or_not_fetched_says_so_before_it_is_asked(
    settings: Settings, catalog: Catalog
) -> None:
    wished = settings.model_copy(update={"llm": "llama-3.3-70b-instruct-gguf"})
    _, reason = chosen(wished, catalog, CPU, NOTHING)
    assert "needs 42.5 GB for its weights" in reason
    assert "`python app.py models pull llama-3.3-70b-instruct-gguf`" in reason


def test_a_path_without_anything_is_named_with_its_setting(settings: Settings, catalog: Catalog) -> None:
    nowhere = settings.model_copy(update={"model_path": settings.home / "nope.gguf"})
    with pytest.raises(BadInput, match=r"LECTERN_MODEL_PATH = .*nope\.gguf: there is no such folder or GGUF file"):
        choose_local_model(nowhere, catalog, CPU, NOTHING)
