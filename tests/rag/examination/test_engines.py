from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from models.catalog import load_catalog
from models.devices import Devices
from rag.examination import engines
from rag.examination.finding import Finding
from rag.local_model import Installed, choose_local_model
from rag.settings import EngineSetting, Settings
from tests.rag.examination.conftest import GIB, NO_GPU, severities, with_gpu

KEY = "nvapi-abcdefghijkl"
Serve = Callable[..., "tuple[str, list[str | None]]"]


def setting(url: str, **other: object) -> EngineSetting:
    return EngineSetting(**{"name": "office", "url": url, "model": "llama", **other})  # type: ignore[arg-type]  # by name


def local(devices: Devices, settings: Settings, trtllm: Path | None = None) -> Finding:
    installed = Installed(trtllm, "trtllm-serve of .venv-tensorrt" if trtllm else "trtllm-serve is not there", False)
    model, reason = choose_local_model(settings, load_catalog(), devices, installed)
    return engines.examine_local(model, reason, settings.engines, wanted=settings.local_engine)


def test_the_profile_of_the_local_model_and_its_class_are_told(tmp_path: Path) -> None:
    found = local(NO_GPU, Settings(home=tmp_path, cache=tmp_path))
    assert found["severity"] == "ok"
    assert "[llamacpp-q4, runnable]" in found["detail"]


def test_a_model_that_fits_only_with_less_is_a_warning_that_says_with_what(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, cache=tmp_path, llm="llama-3.1-8b-instruct-fp8")
    small = with_gpu(memory_bytes=12 * GIB, free_bytes=12 * GIB)
    found = local(small, settings, trtllm=tmp_path / "trtllm-serve")
    assert found["severity"] == "warning"
    assert "low memory]" in found["detail"]
    assert "LECTERN_CONTEXT_TOKENS" in found["detail"]


def test_without_any_language_model_a_warning_says_that_answers_are_quotes(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, cache=tmp_path, local_engine=False)
    found = local(NO_GPU, settings)
    assert found["severity"] == "warning"
    assert "only quote" in found["detail"]


def test_a_model_that_cannot_run_is_a_warning_even_where_others_stand_in(tmp_path: Path) -> None:
    office = setting("http://10.0.0.5:8000/v1")
    settings = Settings(home=tmp_path, cache=tmp_path, llm="llama-3.1-8b-instruct-fp8", engines=(office,))
    found = local(with_gpu(), settings)
    assert found["severity"] == "warning"
    assert found["detail"].endswith("answers are written by office")
    without = local(with_gpu(), Settings(home=tmp_path, cache=tmp_path, local_engine=False, engines=(office,)))
    assert without["severity"] == "ok"


def test_tensorrt_llm_is_missed_only_where_there_is_a_gpu_for_it() -> None:
    missing = Installed(None, "trtllm-serve is not installed", False)
    assert list(engines.examine_trtllm(missing, NO_GPU, named=False)) == []
    assert severities(list(engines.examine_trtllm(missing, with_gpu(), named=False))) == {"TensorRT-LLM": "warning"}
    assert severities(list(engines.examine_trtllm(missing, NO_GPU, named=True))) == {"TensorRT-LLM": "error"}


def test_the_version_of_tensorrt_llm_is_read_without_running_it(tmp_path: Path) -> None:
    program = tmp_path / "bin" / "trtllm-serve"
    packages = tmp_path / "lib" / "python3.12" / "site-packages"
    for folder in (program.parent, packages / "tensorrt_llm-1.2.1.dist-info"):
        folder.mkdir(parents=True)
    program.touch()
    found = Installed(program, "trtllm-serve of .venv-tensorrt", False)
    assert severities(list(engines.examine_trtllm(found, with_gpu(), named=False))) == {"TensorRT-LLM": "warning"}
    metadata = "Metadata-Version: 2.1\nName: tensorrt-llm\nVersion: 1.2.1\n"
    (packages / "tensorrt_llm-1.2.1.dist-info" / "METADATA").write_text(metadata)
    [finding] = engines.examine_trtllm(found, with_gpu(), named=False)
    assert (finding["severity"], finding["detail"]) == ("ok", "1.2.1 for python3.12, trtllm-serve of .venv-tensorrt")


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts an engine that answers `/v1/models` so; gives its address, and the keys that it was shown."""
    servers: list[ThreadingHTTPServer] = []

    def start(status: int = 200, body: object = None, **headers: str) -> tuple[str, list[str | None]]:
        shown: list[str | None] = []
        served = {"object": "list", "data": [{"id": "llama"}]} if body is None else body

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                shown.append(self.headers["Authorization"])
                content = json.dumps(served).encode()
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(content))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        return f"http://127.0.0.1:{server.server_address[1]}/v1", shown

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    file = tmp_path / "key"
    file.write_text(KEY + "\n")
    return file


def test_an_engine_that_serves_its_model_is_well_and_its_place_is_told(serve: Serve) -> None:
    url, shown = serve()
    found = engines.examine_remote(setting(url), ())
    assert (found["severity"], found["detail"]) == ("ok", "serves llama; local, at 127.0.0.1")
    assert shown == [None]


def test_an_engine_without_the_model_says_which_it_has(serve: Serve) -> None:
    url, _ = serve(body={"data": [{"id": "other"}]})
    found = engines.examine_remote(setting(url), ())
    assert (found["severity"], found["detail"]) == ("error", "it serves other, not llama")


@pytest.mark.parametrize(("status", "severity"), [(401, "error"), (404, "error"), (503, "warning")])
def test_an_engine_that_refuses_is_an_error_and_one_that_loads_a_warning(
    serve: Serve, status: int, severity: str
) -> None:
    url, _ = serve(status, {"error": "no"})
    assert engines.examine_remote(setting(url), ())["severity"] == severity


def test_an_engine_that_is_not_there_is_a_warning_since_others_stand_in() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    found = engines.examine_remote(setting(f"http://127.0.0.1:{port}"), ())
    assert found["severity"] == "warning"
    assert "cannot be reached" in found["detail"]


def test_what_is_no_list_of_models_is_a_warning(serve: Serve) -> None:
    url, _ = serve(body={"models": []})
    assert engines.examine_remote(setting(url), ())["severity"] == "warning"


def test_a_host_that_is_not_allowed_is_not_asked() -> None:
    found = engines.examine_remote(setting("http://192.0.2.1:8000/v1"), ("192.0.2.2",))
    assert found["severity"] == "error"
    assert "nothing is sent there unless you allow it" in found["detail"]


def test_a_key_goes_to_its_engine_and_into_no_finding(serve: Serve, key_file: Path) -> None:
    url, shown = serve(400, {"error": f"the key {KEY} is not enough"})
    found = engines.examine_remote(setting(url, key_file=key_file), ())
    assert shown == [f"Bearer {KEY}"]
    assert KEY not in json.dumps(found)


def test_a_key_does_not_follow_a_redirect(serve: Serve, key_file: Path) -> None:
    other, shown_to_other = serve()
    url, _ = serve(307, {}, Location=f"{other}/models")
    found = engines.examine_remote(setting(url, key_file=key_file), ())
    assert found["severity"] == "error"
    assert shown_to_other == []


def test_a_key_that_is_named_and_not_there_is_an_error_and_nothing_is_sent(serve: Serve, tmp_path: Path) -> None:
    url, shown = serve()
    found = engines.examine_remote(setting(url, key_file=tmp_path / "gone"), ())
    assert found["severity"] == "error"
    assert shown == []


def test_a_tokenizer_may_be_named_from_the_home_folder(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "tokenizer.json").write_text("{}")
    url, _ = serve()
    assert engines.examine_remote(setting(url, tokenizer="~/tokenizer.json"), ())["severity"] == "ok"


def test_a_tokenizer_that_is_named_and_not_there_is_an_error(serve: Serve, tmp_path: Path) -> None:
    url, _ = serve()
    found = engines.examine_remote(setting(url, tokenizer=tmp_path / "tokenizer.json"), ())
    assert found["severity"] == "error"
