from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from models.catalog import load_catalog
from rag.examination import weights
from tests.rag.examination.conftest import severities


def test_missing_weights_that_the_disk_cannot_take_are_an_error_of_the_disk(tmp_path: Path) -> None:
    large = replace(load_catalog().entry("llama-3.3-70b-instruct-bf16"), weights_bytes=10**18)
    found = list(weights.examine_weights([large], tmp_path))
    assert severities(found) == {f"weights of {large.name}": "error", "weights cache": "error"}
    assert "the missing weights need" in found[-1]["detail"]


def test_a_reranker_is_a_folder_with_a_model_in_it(tmp_path: Path) -> None:
    def severity(reranker: str) -> list[str]:
        return [found["severity"] for found in weights.examine_reranker(reranker, load_catalog(), tmp_path)]

    assert severity("") == []
    assert severity(str(tmp_path / "gone")) == ["error"]
    assert severity(str(tmp_path)) == ["error"]
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        (tmp_path / name).touch()
    assert severity(str(tmp_path)) == ["ok"]
