"""The stand-in is as strict as it says: what it lets pass, the real one might not."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from models.engines.families import end_family, new_mark
from tests.standins.supervised import STANDIN, wait_until

CHAT = {"model": "tiny", "messages": [{"role": "user", "content": "hello"}]}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny" / "config.json").write_text("{}")
    return tmp_path / "tiny"


@contextmanager
def serving(model: Path, port: int, **told: object) -> Iterator[httpx.Client]:
    mark = new_mark()
    (model.parent / "cfg.yml").write_text(json.dumps({"enable_iter_perf_stats": True, "max_seq_len": 64}))
    environment = {"PATH": "/usr/bin:/bin", **{f"STANDIN_{name}": str(value) for name, value in told.items()}, **mark}
    command = [STANDIN, "serve", model, "--port", str(port), "--config", model.parent / "cfg.yml"]
    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as process:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
            wait_until(lambda: answers(client))
            yield client
        process.kill()
        end_family(mark, grace_s=0, limit_s=1)


def answers(client: httpx.Client) -> bool:
    try:
        return client.get("/health").is_success
    except httpx.HTTPError:
        return False


@pytest.fixture
def port() -> int:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@pytest.mark.parametrize(
    ("arguments", "configuration", "complaint"),
    [
        (["--served_model_name", "x"], {}, "unrecognized arguments"),
        ([], {"max_tokens": 9}, "max_tokens\n  Extra inputs are not permitted"),
        ([], {"kv_cache_config": {"fraction": 0.5}}, "kv_cache_config.fraction"),
        (["--max_batch_size", "4"], {"max_batch_size": 8}, "given on the command line and in"),
    ],
)
def test_what_trtllm_serve_does_not_know_ends_it(
    model: Path, arguments: list[str], configuration: dict[str, object], complaint: str
) -> None:
    file = model.parent / "cfg.yml"
    file.write_text(json.dumps(configuration))
    done = subprocess.run([STANDIN, model, "--config", file, *arguments], capture_output=True, text=True, timeout=30)
    assert done.returncode in (1, 2)
    assert complaint in done.stderr


def test_a_field_that_is_not_known_is_refused_wherever_it_stands(model: Path, port: int) -> None:
    with serving(model, port) as client:
        for more in (
            {"foo": 1},
            {"stream": True, "stream_options": {"foo": 1}},
            {"cache_salt": " "},
            {"stream_options": {}},
        ):
            reply = client.post("/v1/chat/completions", json={**CHAT, **more})
            assert reply.status_code == 400
            assert isinstance(reply.json()["error"], str)
        too_long = {**CHAT, "messages": [{"role": "user", "content": "word " * 64}]}
        assert client.post("/v1/chat/completions", json=too_long).json()["object"] == "error"


def test_statistics_are_gone_when_read(model: Path, port: int) -> None:
    with serving(model, port) as client:
        client.post("/v1/chat/completions", json=CHAT)
        assert len(client.get("/metrics").json()) > 5
        assert client.get("/metrics").json() == []


def test_a_client_that_leaves_ends_its_generation(model: Path, port: int) -> None:
    with serving(model, port, FOLDER=model.parent, TOKEN_S=0.2) as client:
        with client.stream("POST", "/v1/chat/completions", json={**CHAT, "stream": True}) as reply:
            next(reply.iter_lines())
        aborted = model.parent / "aborted"
        wait_until(aborted.exists, limit_s=5)


def test_reuse_of_the_cache_stays_within_a_salt(model: Path, port: int) -> None:
    long = {**CHAT, "messages": [{"role": "user", "content": "word " * 40}]}
    with serving(model, port) as client:
        cached = []
        for salt in ("a", "a", "b"):
            usage = client.post("/v1/chat/completions", json={**long, "cache_salt": salt}).json()["usage"]
            cached.append(usage["prompt_tokens_details"]["cached_tokens"])
    assert cached == [0, 32, 0]


def test_the_words_that_crash_it_do_so_after_the_first_token(model: Path, port: int) -> None:
    crash = {**CHAT, "messages": [{"role": "user", "content": "CRASH NOW"}], "stream": True}
    with serving(model, port) as client:
        with client.stream("POST", "/v1/chat/completions", json=crash) as reply, pytest.raises(httpx.HTTPError):
            reply.read()
        assert not answers(client)
