"""The engines of an appliance: their order, what may be asked at all, and what is told of them."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from models.cancellation import CancelToken
from models.catalog import load_catalog
from models.devices import Devices, Gpu, choose_llama_threads, detect
from models.engines.endpoint import Address
from models.engines.engine_metrics import MetricsFetch
from models.engines.meter import Meter
from models.errors import EngineUnavailable, ModelError
from models.interfaces import ChatMessage, Engine
from models.planning.profile import MemoryPart
from rag.engines import Engines
from rag.errors import BadInput
from rag.local_engine import LocalEngine
from rag.local_model import Installed, choose_local_model
from rag.machine import EngineStatus
from rag.observing import Observer, family_bytes
from rag.settings import EngineSetting, Settings
from tests.rag.standin import STANDIN, Office, running_office

KEY = "sk-very-secret-123"
GPU = Gpu(1, "NVIDIA L4", 24 << 30, 20 << 30, "570", (8, 9))
QUESTION = [ChatMessage("user", "Why?")]


def setting(name: str, url: str, **fields: object) -> EngineSetting:
    return EngineSetting.model_validate({"name": name, "url": url, "model": f"model-of-{name}", **fields})


def make(*settings: EngineSetting, local: LocalEngine | None = None, allowed: tuple[str, ...] = ()) -> Engines:
    return Engines(local, settings, meter=Meter(), allowed_hosts=allowed)


def local_engine(cache: Path, logs: Path) -> LocalEngine:
    """SmolLM2, if it lies in the cache."""
    settings, devices = Settings(home=logs, cache=cache, llm="smollm2-135m-instruct"), detect()
    model, reason = choose_local_model(settings, load_catalog(), devices, Installed(None, "not installed", False))
    assert model is not None, reason
    threads, _ = choose_llama_threads(devices)
    return LocalEngine(model, cache=cache, threads=threads, adapters=(), logs=logs, registry=Meter().registry)


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    with running_office(tmp_path_factory.mktemp("office"), "Because.") as office:
        yield office


def ask(engines: Engines, model: str | None = None) -> tuple[str, str]:
    """Who answers, and what."""
    deltas = list(engines.chat(model).stream(QUESTION, max_tokens=8, cancel=CancelToken()))
    assert deltas[0].engine
    return deltas[0].engine.name, "".join(delta.text for delta in deltas)


def test_this_machine_comes_first_then_ones_own_network_then_the_world(tmp_path: Path) -> None:
    engines = make(
        setting("far", "https://api.example.com"),
        setting("office", "http://10.0.0.5:8000/v1"),
        setting("other", "http://engine"),
        local=local_engine(tmp_path, tmp_path),
        allowed=("api.example.com", "10.0.0.5", "engine"),
    )
    names = [(engine.name, engine.place, engine.host) for engine in engines.all]
    assert names == [
        ("llama.cpp", "local", "127.0.0.1"),
        ("office", "self-hosted", "10.0.0.5"),
        ("other", "self-hosted", "engine"),
        ("far", "remote", "api.example.com"),
    ]
    assert [status.name for status in engines.status()] == [name for name, _, _ in names]


def test_an_engine_on_another_host_is_refused_at_the_start_and_it_is_said_what_to_set() -> None:
    with pytest.raises(BadInput, match=r"office.*not on this machine.*LECTERN_ALLOW_CHAT='\[\"10\.0\.0\.5\"\]'"):
        make(setting("office", "http://10.0.0.5:8000"))
    make(setting("office", "http://10.0.0.5:8000"), allowed=("10.0.0.5",))
    make(setting("beside", "http://127.0.0.1:8000"))


def test_a_key_that_would_travel_unencrypted_is_refused_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadInput, match="unencrypted"):
        make(setting("far", "http://api.example.com", key_variable="FAR_KEY"), allowed=("api.example.com",))
    monkeypatch.setenv("NGC_API_KEY", KEY)
    with pytest.raises(BadInput, match="unencrypted"):
        make(setting("nim", "http://integrate.api.nvidia.com"), allowed=("integrate.api.nvidia.com",))


@pytest.mark.parametrize("url", ["10.0.0.5:8000", "ftp://10.0.0.5", "http://me:secret@10.0.0.5"])
def test_what_is_no_address_is_refused_at_the_start(url: str) -> None:
    with pytest.raises(BadInput, match="LECTERN_ENGINES, office") as refused:
        make(setting("office", url), allowed=("10.0.0.5",))
    assert "secret" not in str(refused.value)


def test_a_tokenizer_that_is_not_there_is_refused_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"office.*none\.json"):
        make(setting("office", "http://127.0.0.1", tokenizer=tmp_path / "none.json"))


def test_the_engine_of_a_named_model_answers_and_no_other_stands_in(office: Office) -> None:
    engines = make(setting("dead", "http://127.0.0.1:9"), setting("office", office.url, model="llama"))
    assert ask(engines) == ("office", "Because.")
    assert ask(engines, "llama") == ("office", "Because.")
    with pytest.raises(EngineUnavailable, match=r"dead at http://127\.0\.0\.1:9 cannot be reached"):
        ask(engines, "model-of-dead")


def test_weights_that_are_missing_are_no_reason_for_others_to_be_silent(
    office: Office, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    local = local_engine(tmp_path, tmp_path)
    assert ask(make(setting("office", office.url, model="llama"), local=local)) == ("office", "Because.")
    assert "models pull smollm2-135m-instruct" in caplog.text
    assert (local.status().state, "models pull" in local.status().detail) == ("down", True)
    with pytest.raises(EngineUnavailable, match="models pull smollm2-135m-instruct"):
        ask(make(local=local))


def test_the_process_of_this_machine_starts_when_it_is_first_needed_and_ends_for_good(
    cache: Path, tmp_path: Path
) -> None:
    local = local_engine(cache, tmp_path)
    engines = make(local=local)
    assert local.status().state == "not started"
    engines.start()
    assert local.status().state == "loading"
    assert ask(engines)[0] == "llama.cpp"
    assert local.status() == EngineStatus("llama.cpp", "smollm2-135m-instruct", "local", "127.0.0.1", "ready", "")
    engines.close()
    assert local.status().state == "down"
    with pytest.raises(EngineUnavailable, match="Lectern is ending"):
        ask(engines)


@pytest.fixture
def tensorrt(tmp_path: Path) -> Iterator[LocalEngine]:
    """One's own checkpoint with an adapter, as TensorRT-LLM would run it; the strict stand-in runs it."""
    folder, adapter = tmp_path / "My-Llama-3.1", tmp_path / "adapter"
    for made in (folder, adapter):
        made.mkdir()
    config = {
        "torch_dtype": "bfloat16", "hidden_size": 512, "intermediate_size": 1024, "num_attention_heads": 8,
        "num_key_value_heads": 4, "num_hidden_layers": 4, "vocab_size": 32000, "max_position_embeddings": 16384,
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "model.safetensors").write_bytes(b"x" * 1000)
    (adapter / "adapter_config.json").write_text('{"r": 8, "target_modules": ["q_proj"]}')
    settings = Settings(home=tmp_path, cache=tmp_path, model_path=folder, lora=(adapter,))
    devices, installed = Devices(8, 32 << 30, (GPU,)), Installed(STANDIN, "it is there", False)
    model, reason = choose_local_model(settings, load_catalog(), devices, installed)
    assert model is not None, reason
    threads, _ = choose_llama_threads(devices)
    given = {"cache": tmp_path, "threads": threads, "adapters": (adapter,), "logs": tmp_path}
    engine = LocalEngine(model, registry=Meter().registry, **given)  # type: ignore[arg-type]  # by name
    yield engine
    engine.close()


def test_a_tensorrt_engine_of_this_machine_answers_by_the_name_of_its_checkpoint(tensorrt: LocalEngine) -> None:
    engines = make(local=tensorrt)
    assert engines.all[0] == Engine("TensorRT-LLM", "My-Llama-3.1", "127.0.0.1", "local")
    assert ask(engines) == ("TensorRT-LLM", "The answer stands on page one of the")
    assert tensorrt.status().state == "ready"


def test_metrics_are_read_from_the_server_that_answers(
    tensorrt: LocalEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_from = []

    class Noted(MetricsFetch):
        def __init__(self, address: Callable[[], Address | None]) -> None:
            read_from.append(address)
            super().__init__(address)

    monkeypatch.setattr("rag.local_engine.MetricsFetch", Noted)
    tokenizer = tmp_path / "My-Llama-3.1" / "tokenizer.json"
    tokenizer.write_text("damaged")
    with pytest.raises(ModelError, match="cannot be read"):
        tensorrt.candidate()
    tokenizer.unlink()
    tensorrt.candidate().client.prepare(CancelToken())
    assert tensorrt._server
    assert [address() for address in read_from] == [tensorrt._server.address(CancelToken())]


def test_a_key_is_shown_nowhere(
    office: Office, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("OFFICE_KEY", KEY)
    engines = make(setting("office", office.url, model="llama", key_variable="OFFICE_KEY"))
    assert ask(engines)[0] == "office"
    shown = f"{engines.status()!r} {engines.all!r} {vars(engines._far[0])!r} {caplog.text}"
    assert KEY not in shown


def test_a_missing_key_is_told_as_the_engines_state(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OFFICE_KEY", raising=False)
    (status,) = make(setting("office", "http://127.0.0.1:9", key_variable="OFFICE_KEY")).status()
    assert (status.state, "OFFICE_KEY" in status.detail) == ("down", True)


def test_an_engine_that_fails_again_and_again_is_told_as_down() -> None:
    engines = make(setting("dead", "http://127.0.0.1:9"))
    assert engines.status()[0].state == "not started"
    for _ in range(3):
        with pytest.raises(EngineUnavailable):
            ask(engines)
    (status,) = engines.status()
    assert (status.state, "asked again in" in status.detail) == ("down", True)


def test_replies_are_metered(office: Office) -> None:
    meter = Meter()
    engines = Engines(None, [setting("office", office.url, model="llama")], meter=meter)
    ask(engines)
    assert b'requests_total{engine="office",outcome="finished"} 1.0' in meter.text()


# -- the machine


def test_the_machine_is_told_with_gpus_engines_and_traffic(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, cache=tmp_path, llm="llama-3.1-8b-instruct-fp8")
    devices = Devices(8, 32 << 30, (replace(GPU, index=0), GPU))
    installed = Installed(Path("/opt/trtllm-serve"), "", False)
    model, _ = choose_local_model(settings.model_copy(update={"gpus": (1,)}), load_catalog(), devices, installed)
    assert model is not None
    engines = make(setting("office", "http://127.0.0.1:9"))
    status = Observer(engines, Meter(), model.profile, look=lambda: devices).machine(["Because."])
    first, second = status.gpus
    assert (first.parts, first.used_bytes) == ((), 4 << 30)
    assert MemoryPart("weights", model.entry.total_bytes) in second.parts
    assert [engine.name for engine in status.engines] == ["office"]
    assert (status.running, status.waiting, status.tokens_per_s, status.choices) == (0, 0, 0.0, ("Because.",))
    assert status.memory_used_bytes > 1 << 20


def test_the_driver_is_not_asked_more_often_than_people_can_look() -> None:
    looks: list[float] = []
    clock = [100.0]

    def look() -> Devices:
        looks.append(clock[0])
        return Devices(2, 1 << 30)

    observer = Observer(make(), Meter(), None, look=look, clock=lambda: clock[0])
    for second in (100.0, 101.0, 101.9, 102.5, 103.0, 105.0):
        clock[0] = second
        observer.machine([])
    assert looks == [100.0, 102.5, 105.0]


def test_memory_is_counted_over_the_whole_family() -> None:
    assert family_bytes() > 10 << 20
