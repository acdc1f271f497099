from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from models.catalog import load_catalog
from models.devices import Devices, Gpu
from models.download import ensure
from models.embedding.onnx_conversion import onnx_file
from models.embedding.onnx_embedder import OnnxEmbedder
from models.embedding.opening import open_embedder
from models.embedding.tokenization import Window, batches
from models.embedding.torch_embedder import TorchEmbedder
from models.errors import ModelError


@pytest.fixture(scope="module")
def folder(cache: Path) -> Path:
    return ensure(load_catalog().entry("all-minilm-l6-v2"), cache, fetch=False)


@pytest.fixture
def one_torch_thread() -> Iterator[None]:
    """Torch's threads spin while they wait for each other: on a busy machine one is many times faster."""
    import torch

    usual = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(usual)


@pytest.fixture(scope="module")
def paragraphs(shared: Path) -> list[str]:
    """Real text, most of it within a window, so that sentence-transformers cuts none of it off."""
    files = sorted((shared / "eval/pubmed-abstracts/docs").glob("*.txt"))[:16]
    words = [file.read_text("utf-8").split() for file in files]
    return [" ".join(each[:count]) for each in words for count in (12, 90)]


@pytest.mark.usefixtures("one_torch_thread")
def test_int8_stays_close_to_the_fp32_of_sentence_transformers(folder: Path, paragraphs: list[str]) -> None:
    from sentence_transformers import SentenceTransformer

    reference = SentenceTransformer(str(folder), device="cpu", local_files_only=True)
    oracle = reference.encode(paragraphs, batch_size=8, normalize_embeddings=True)
    int8 = (OnnxEmbedder(folder, precision="int8", threads=2).embed_passages(paragraphs) * oracle).sum(axis=1)
    fp32 = (OnnxEmbedder(folder, precision="fp32", threads=2).embed_passages(paragraphs) * oracle).sum(axis=1)
    torch = (TorchEmbedder(folder, "cpu", precision="fp32").embed_passages(paragraphs) * oracle).sum(axis=1)
    assert fp32.min() > 0.99999
    assert torch.min() > 0.99999
    assert int8.mean() > 0.995
    assert int8.min() > 0.99


def test_int8_ranks_as_fp32_does(folder: Path, paragraphs: list[str]) -> None:
    queries, passages = paragraphs[0::2], paragraphs[1::2]
    best = []
    for precision in ("int8", "fp32"):
        embedder = OnnxEmbedder(folder, precision=precision, threads=2)
        best.append((embedder.embed_queries(queries) @ embedder.embed_passages(passages).T).argmax(axis=1))
    np.testing.assert_array_equal(best[0], best[1])


def test_loading_int8_needs_no_torch_and_less_than_a_second_of_the_cpu(folder: Path) -> None:
    onnx_file(folder, "int8")
    script = (
        "import sys, time; from pathlib import Path;"
        "from models.embedding.onnx_embedder import OnnxEmbedder;"
        "OnnxEmbedder(Path(sys.argv[1])).embed_queries(['hello']);"
        "print(time.process_time(), 'torch' in sys.modules, 'onnx' in sys.modules)"
    )
    root = Path(__file__).resolve().parents[3]
    fastest = min(_load(script, folder, root) for _ in range(3))
    assert fastest < 1.0


def _load(script: str, folder: Path, root: Path) -> float:
    command = [sys.executable, "-c", script, str(folder)]
    seconds, torch, onnx = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout.split()
    assert (torch, onnx) == ("False", "False")
    return float(seconds)


def test_conversion_happens_once_and_again_for_other_weights(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy, ignore=shutil.ignore_patterns("onnx", "verified.json"))
    first = onnx_file(copy, "int8")
    written = first.stat().st_mtime_ns
    assert onnx_file(copy, "int8") == first
    assert first.stat().st_mtime_ns == written
    with (copy / "model.safetensors").open("r+b") as stream:
        stream.seek(-4, 2)
        stream.write(b"\1\2\3\4")
    time.sleep(0.01)
    assert onnx_file(copy, "int8") != first
    assert not list((copy / "onnx").glob("*.partial"))


def test_a_folder_that_is_no_bert_encoder_says_so(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy, ignore=shutil.ignore_patterns("onnx"))
    config = copy / "config.json"
    config.write_text(config.read_text().replace('"bert"', '"gpt2"'))
    with pytest.raises(ModelError, match="gpt2"):
        OnnxEmbedder(copy)
    with pytest.raises(ModelError, match="pull the model again"):
        OnnxEmbedder(tmp_path)


def test_batches_hold_all_windows_within_the_budget() -> None:
    windows = [Window(index, (0,) * size, size) for index, size in enumerate([5, 300, 7, 100, 5, 120])]
    groups = list(batches(windows, 256))
    assert sorted(window.text_index for group in groups for window in group) == list(range(6))
    assert all(len(group) == 1 or len(group) * max(len(w.ids) for w in group) <= 256 for group in groups)
    assert [len(group) for group in groups] == [1, 2, 3]


def test_the_choice_of_an_embedder_explains_itself(folder: Path) -> None:
    entry = load_catalog().entry("all-minilm-l6-v2")
    gpu = Gpu(0, "RTX 4090", 24 << 30, 20 << 30, "580.1", (8, 9))
    embedder, reason = open_embedder(entry, folder, Devices(2, 1 << 33))
    assert isinstance(embedder, OnnxEmbedder)
    assert reason.endswith("no NVIDIA GPU was found")
    assert "2 usable cores" in reason
    _, reason = open_embedder(entry, folder, Devices(2, 1 << 33, (gpu,)), device="cpu")
    assert reason.endswith("as the settings say")
    with pytest.raises(ModelError, match="not an embedder"):
        open_embedder(load_catalog().entry("smollm2-135m-instruct"), folder, Devices(2, 1 << 33))
