"""`trtllm-serve` under supervision, as the strict stand-in; nothing here has run on a GPU."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from models.cancellation import CancelToken
from models.catalog import load_catalog
from models.engines import tensorrt_llm
from models.engines.chat import OpenAIChat
from models.engines.tensorrt_llm import TensorRtLlm
from models.engines.trtllm_configuration import cache_fraction, configuration
from models.engines.trtllm_installation import find_trtllm_serve, trtllm_version
from models.errors import ModelError
from models.interfaces import ChatMessage
from models.planning.cards import match
from models.planning.choice import choose_profile
from models.planning.memory import CONTEXT_BYTES
from models.planning.profile import MemoryPart, MemoryPlan
from models.planning.wishes import Wishes
from tests.standins.supervised import GIB, STANDIN, Standin, a_profile, processes_with, wait_until

ALLOWED = {("GET", "/health"), ("GET", "/v1/models"), ("POST", "/v1/chat/completions"), ("GET", "/metrics")}


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    folder = tmp_path / "legal-tone"
    folder.mkdir()
    (folder / "adapter_config.json").write_text(json.dumps({"r": 16, "target_modules": ["q_proj"]}))
    return folder


def test_an_answer_streams_through_the_supervised_engine(standin: Callable[..., Standin]) -> None:
    made = standin(REPLY="Forty two.")
    chat = OpenAIChat("tiny-llama", made.engine, 8192)
    deltas = list(chat.stream([ChatMessage("user", "How many?")], max_tokens=9, cancel=CancelToken()))
    chat.close()
    assert "".join(delta.text for delta in deltas) == "Forty two."
    assert deltas[-1].finish_reason == "stop"
    assert {(request["method"], request["path"]) for request in made.requests} <= ALLOWED


def test_the_configuration_follows_from_the_profile() -> None:
    settings = configuration(a_profile(context_tokens=8192, concurrency=4, tensor_parallel=2), first_on_card=False)
    assert settings["tensor_parallel_size"] == 2
    assert (settings["max_seq_len"], settings["max_batch_size"], settings["max_num_tokens"]) == (8192, 8, 4096)
    assert settings["cuda_graph_config"] == {"enable_padding": True, "max_batch_size": 8}
    cache = settings["kv_cache_config"]
    assert (cache["dtype"], cache["enable_block_reuse"], cache["tokens_per_block"]) == ("fp8", True, 32)
    # 8,192 tokens are 256 blocks; one more holds what is guessed ahead.
    assert cache["max_tokens"] == 4 * 257 * 32
    assert settings["enable_chunked_prefill"]
    assert settings["enable_iter_perf_stats"]


def test_a_cache_in_16_bits_is_left_to_the_checkpoint() -> None:
    assert configuration(a_profile(kv_precision="bf16"), first_on_card=False)["kv_cache_config"]["dtype"] == "auto"


def test_the_cache_leaves_the_head_room_when_lectern_is_on_the_card_already() -> None:
    # Of 24 GiB the engine takes 9 + 1 + 0.5 before the cache, Lectern has 0.5 + 1 + 1. Of the 11 that are free then,
    # one is head-room.
    assert cache_fraction(a_profile(), first_on_card=False) == int(1000 * 10 / 11) / 1000


def test_the_cache_leaves_room_for_what_comes_to_the_card_later() -> None:
    # Nothing of Lectern's is there, so 13.5 GiB are free: its context, embedder, index and head-room want 3.5 of them.
    assert cache_fraction(a_profile(), first_on_card=True) == int(1000 * 10 / 13.5) / 1000


@pytest.mark.parametrize("first_on_card", [True, False])
@pytest.mark.parametrize(
    ("cards", "family"),
    [
        ("3060", "llama-3.2-3b-instruct"),
        ("4060", "llama-3.1-8b-instruct"),
        ("l40s", "llama-3.3-70b-instruct"),
        ("2x4090", "llama-3.3-70b-instruct"),
        ("h100", "llama-3.1-8b-instruct"),
    ],
)
def test_when_the_plan_is_right_its_tokens_are_the_narrower_limit(cards: str, family: str, first_on_card: bool) -> None:
    catalog = load_catalog()
    devices, _ = match(cards, cores=8, memory_bytes=16 * GIB)
    profile, _ = choose_profile(devices, Wishes(catalog.language_models(family)))
    fraction = cache_fraction(profile, first_on_card=first_on_card)
    for plan in profile.memory:
        before = {"KV cache", "head-room"} | ({"embedder", "reranker", "vector index"} if first_on_card else set())
        free = plan.left_bytes + sum(plan.bytes_of(name) for name in before)
        free += max(0, plan.bytes_of("CUDA contexts") - CONTEXT_BYTES) if first_on_card else 0
        assert fraction * free >= plan.bytes_of("KV cache")
        assert (1 - fraction) * free >= plan.bytes_of("head-room")


def test_one_fraction_holds_for_all_gpus_so_the_fullest_decides() -> None:
    full = a_profile().memory[0]
    empty = MemoryPlan("GPU 1", 24 * GIB, (MemoryPart("weights", 9 * GIB), MemoryPart("KV cache", 8 * GIB)))
    both = a_profile(memory=(empty, full), gpus=(0, 1))
    assert cache_fraction(both, first_on_card=True) == cache_fraction(a_profile(), first_on_card=True)


def test_a_card_with_nothing_else_on_it_is_not_filled_to_the_brim() -> None:
    brim = MemoryPlan("GPU 0", 8 * GIB, (MemoryPart("weights", 6 * GIB), MemoryPart("KV cache", 2 * GIB)))
    assert cache_fraction(a_profile(memory=(brim,)), first_on_card=False) == 0.95


def test_no_room_for_the_cache_is_an_error() -> None:
    over = MemoryPlan("GPU 0", 8 * GIB, (MemoryPart("weights", 9 * GIB), MemoryPart("KV cache", GIB)))
    with pytest.raises(ModelError, match="GPU 0 has no room for the KV cache: 1024 MiB are missing"):
        cache_fraction(a_profile(memory=(over,)), first_on_card=False)


@pytest.mark.parametrize(("concurrency", "speculates"), [(1, True), (4, True), (5, False)])
def test_quotes_are_guessed_ahead_only_while_few_answer_at_a_time(concurrency: int, speculates: bool) -> None:
    settings = configuration(a_profile(concurrency=concurrency), first_on_card=False)
    assert ("speculative_config" in settings) == speculates
    if speculates:
        assert settings["speculative_config"]["decoding_type"] == "NGram"
        assert settings["speculative_config"]["is_public_pool"] is False


def test_nothing_is_guessed_ahead_with_adapters(adapter: Path) -> None:
    assert "speculative_config" not in configuration(a_profile(), (adapter,), first_on_card=False)


def test_adapters_are_loaded_and_named_in_requests(standin: Callable[..., Standin], adapter: Path) -> None:
    made = standin(adapters=(adapter,))
    assert configuration(a_profile(), (adapter,), first_on_card=False)["lora_config"] == {
        "lora_dir": [str(adapter)],
        "max_lora_rank": 16,
        "max_loras": 1,
        "max_cpu_loras": 1,
    }
    fields = {"lora_request": made.engine.lora_request}
    chat = OpenAIChat("tiny-llama", made.engine, 8192, fields=fields)
    assert list(chat.stream([ChatMessage("user", "Hello")], max_tokens=2, cancel=CancelToken()))
    chat.close()
    assert made.requests[-1]["body"]["lora_request"] == {  # type: ignore[index]  # JSON
        "lora_name": "legal-tone",
        "lora_int_id": 0,
        "lora_path": str(adapter),
    }


def test_a_folder_without_a_rank_is_no_adapter(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="is no LoRA adapter"):
        configuration(a_profile(), (tmp_path,), first_on_card=False)


def test_what_cannot_be_configured_is_an_error_before_any_start(
    standin: Callable[..., Standin], tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match="is no LoRA adapter"):
        standin(adapters=(tmp_path,))
    with pytest.raises(ModelError, match="has a slash"):
        TensorRtLlm(a_profile(), tmp_path, "meta/llama", STANDIN, tmp_path / "engine")


def test_the_process_gets_no_key_of_ours_and_no_network(
    standin: Callable[..., Standin], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HF_TOKEN", "NGC_API_KEY", "LECTERN_HOME", "PYTHONPATH", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "secret of ours")
    monkeypatch.setenv("NCCL_P2P_DISABLE", "1")
    made = standin(a_profile(gpus=(1, 3)))
    made.engine.address(CancelToken())
    environment = psutil.Process(made.starts[-1]).environ()
    assert "secret of ours" not in environment.values()
    assert environment["CUDA_VISIBLE_DEVICES"] == "1,3"
    assert environment["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"
    assert environment["HF_HUB_OFFLINE"] == environment["TRANSFORMERS_OFFLINE"] == "1"
    assert environment["TRTLLM_NO_USAGE_STATS"] == "1"
    assert environment["NCCL_P2P_DISABLE"] == "1"


def test_it_listens_on_loopback_only_with_nothing_given_twice(standin: Callable[..., Standin]) -> None:
    made = standin()
    made.engine.address(CancelToken())
    server = psutil.Process(made.starts[-1])
    command = server.cmdline()
    flags = [word for word in command if word.startswith("--")]
    assert flags == ["--host", "--port", "--config"]
    assert {c.laddr.ip for c in server.net_connections("tcp") if c.status == psutil.CONN_LISTEN} == {"127.0.0.1"}


def test_somebody_else_on_the_port_is_not_taken_for_the_engine(
    standin: Callable[..., Standin], checkpoint: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    port = tensorrt_llm._free_port()
    impostor = tmp_path / "impostor" / "tiny-llama"
    impostor.parent.mkdir()
    impostor.symlink_to(checkpoint)
    command = [str(STANDIN), str(impostor), "--host", "127.0.0.1", "--port", str(port)]
    folder = tmp_path / "impostor"
    environment = {"PATH": os.environ["PATH"], "STANDIN_FOLDER": str(folder)}
    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL, start_new_session=True) as other:
        try:
            wait_until(lambda: (folder / "starts").exists())
            monkeypatch.setattr(tensorrt_llm, "_free_port", lambda: port)
            made = standin(SILENT_S=2)
            made.engine.start()
            wait_until(lambda: (folder / "requests").exists())  # the readiness has asked it
            wait_until(lambda: made.engine.status().crashes > 0)
            assert "chat" not in (folder / "requests").read_text()
            assert made.engine.status().url is None
        finally:
            other.kill()
            for child in processes_with("STANDIN_FOLDER", str(folder)):
                child.kill()


@pytest.mark.parametrize("body", [b"[]", b'{"data": 3}', b'{"data": [{"id": 3}]}', b"no JSON", b"null"])
def test_what_is_no_list_of_models_is_not_ready_yet(monkeypatch: pytest.MonkeyPatch, body: bytes) -> None:
    served = tensorrt_llm.ServedModel(1, "tiny", {})
    monkeypatch.setattr(tensorrt_llm, "listens", lambda *_: True)
    monkeypatch.setattr(tensorrt_llm.ServedModel, "_ask", lambda *_: (200, body))
    assert served.address() is None


def test_the_program_is_found_by_setting_environment_and_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    found, reason = find_trtllm_serve("", tmp_path)
    assert found is None
    assert "make venv-tensorrt" in reason
    on_path = a_program(tmp_path / "bin" / "trtllm-serve")
    assert find_trtllm_serve("", tmp_path)[0] == on_path
    own = a_program(tmp_path / ".venv-tensorrt" / "bin" / "trtllm-serve")
    assert find_trtllm_serve("", tmp_path)[0] == own
    named = a_program(tmp_path / "elsewhere")
    assert find_trtllm_serve(str(named), tmp_path)[0] == named


def test_a_setting_that_names_no_program_is_not_passed_over(tmp_path: Path) -> None:
    a_program(tmp_path / ".venv-tensorrt" / "bin" / "trtllm-serve")
    found, reason = find_trtllm_serve(str(tmp_path / "nothing"), tmp_path)
    assert found is None
    assert "nothing, which is no program" in reason


def test_the_version_is_read_without_running_anything(tmp_path: Path) -> None:
    program = a_program(tmp_path / "bin" / "trtllm-serve")
    assert trtllm_version(program) is None
    metadata = tmp_path / "lib" / "python3.12" / "site-packages" / "tensorrt_llm-1.2.1.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: tensorrt-llm\nVersion: 1.2.1\n")
    assert trtllm_version(program) == "1.2.1"


def a_program(file: Path) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("#!/bin/sh\n")
    file.chmod(0o755)
    return file
