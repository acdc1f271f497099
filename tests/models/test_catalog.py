from __future__ import annotations

from pathlib import Path

import pytest

from models.catalog import load_catalog
from models.errors import ModelError, UnknownModel

ENTRY = """
[[model]]
name = "{name}"
kind = "llm"
backend = "llama.cpp"
architecture = "llama"
precision = "Q4_1"
licence = "Apache-2.0"
attribution = "someone"
summary = "something"
context_tokens = 4096
{extra}
[[model.file]]
path = "{path}"
bytes = 3
sha256 = "{sha256}"
sources = ["file:///a", ["file:///b", "file:///c"]]
"""


def write(folder: Path, name: str = "a", path: str = "a.gguf", sha256: str = "0" * 64, extra: str = "") -> Path:
    file = folder / "catalog.toml"
    file.write_text(ENTRY.format(name=name, path=path, sha256=sha256, extra=extra))
    return file


def test_one_embedder_and_one_language_model_are_embedded() -> None:
    assert sorted(entry.kind for entry in load_catalog().embedded()) == ["embedder", "llm"]


def test_every_file_can_be_had_without_a_hub() -> None:
    for entry in load_catalog().entries:
        for file in entry.files:
            assert any(part.startswith("pypi://") for source in file.sources for part in source)


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(UnknownModel, match=r"'gpt'.*all-minilm-l6-v2.*smollm2-135m-instruct"):
        load_catalog().entry("gpt")


def test_a_source_is_one_part_or_a_list_of_parts(tmp_path: Path) -> None:
    file = load_catalog(write(tmp_path)).entries[0].files[0]
    assert file.sources == (("file:///a",), ("file:///b", "file:///c"))


@pytest.mark.parametrize("path", ["../a", "/etc/passwd", "x/../../a", "..\\a"])
def test_a_path_that_leads_out_of_the_cache_is_refused(tmp_path: Path, path: str) -> None:
    escaped = path.replace("\\", "\\\\")
    with pytest.raises(ModelError, match="leads out"):
        load_catalog(write(tmp_path, path=escaped))


def test_a_wrong_hash_a_wrong_field_and_a_doubled_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="64 hexadecimal"):
        load_catalog(write(tmp_path, sha256="abc"))
    with pytest.raises(ModelError, match="colour"):
        load_catalog(write(tmp_path, extra='colour = "red"'))
    file = write(tmp_path)
    file.write_text(file.read_text() * 2)
    with pytest.raises(ModelError, match="more than once"):
        load_catalog(file)
