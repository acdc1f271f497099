from __future__ import annotations

import re
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


HUB_ENTRY = """
[[shape]]
family = "f"
layers = 2
hidden_size = 8
intermediate_size = 16
heads = 4
kv_heads = 2
head_dim = 2
vocabulary = 100
parameters = 1000

[[model]]
name = "f-fp8"
family = "{family}"
kind = "llm"
backend = "tensorrt-llm"
architecture = "llama"
precision = "fp8"
licence = "a licence"
attribution = "someone"
summary = "something"
context_tokens = 4096
{origin}
"""


def write_hub(folder: Path, origin: str, family: str = "f") -> Path:
    file = folder / "hub.toml"
    file.write_text(HUB_ENTRY.format(origin=origin, family=family))
    return file


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


def test_a_model_of_a_hub_has_its_repository_and_size_and_the_shape_of_its_family(tmp_path: Path) -> None:
    origin = 'repository = "hf://a/b@main"\nrepository_files = ["x.gguf"]\nweights_bytes = 7\ngated = true'
    entry = load_catalog(write_hub(tmp_path, origin)).entry("f-fp8")
    assert (entry.files, entry.repository, entry.repository_files) == ((), "hf://a/b@main", ("x.gguf",))
    assert (entry.total_bytes, entry.revision, entry.gated) == (7, "main", True)
    assert entry.shape is not None
    assert entry.shape.layers == 2


@pytest.mark.parametrize(
    ("origin", "why"),
    [
        ("weights_bytes = 7", "files, or a repository, or a recipe"),
        ('repository = "hf://a/b@main"\nrecipe = "make it"\nweights_bytes = 7', "only one of them"),
        ('repository = "hf://a/b@main"', "weights_bytes"),
        ('repository = "https://a/b"\nweights_bytes = 7', "hf://owner/name@revision"),
    ],
)
def test_a_model_without_one_clear_origin_is_refused(tmp_path: Path, origin: str, why: str) -> None:
    with pytest.raises(ModelError, match=why):
        load_catalog(write_hub(tmp_path, origin))


def test_a_gpu_model_without_a_shape_is_refused_since_it_could_not_be_planned(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no memory can be planned"):
        load_catalog(write_hub(tmp_path, 'recipe = "make it"\nweights_bytes = 7', family="g"))


def test_a_language_model_is_found_by_its_family_or_its_name() -> None:
    catalog = load_catalog()
    assert len(catalog.language_models("llama-3.1-8b-instruct")) == 5
    assert [entry.name for entry in catalog.language_models("llama-3.1-8b-instruct-fp8")] == [
        "llama-3.1-8b-instruct-fp8"
    ]
    assert [entry.family for entry in catalog.language_models("smollm2-135m-instruct")] == ["smollm2-135m-instruct"]
    with pytest.raises(UnknownModel, match=r"'all-minilm-l6-v2'.*llama-3.3-70b-instruct"):
        catalog.language_models("all-minilm-l6-v2")


def test_llama_is_attributed_as_its_licence_asks() -> None:
    llamas = [entry for entry in load_catalog().entries if entry.family.startswith("llama-")]
    assert len(llamas) == 16
    for entry in llamas:
        assert entry.attribution.startswith("Built with Llama")
        assert re.fullmatch(r"Llama 3\.[123] Community License", entry.licence)


def test_no_hash_is_claimed_for_what_only_a_hub_has() -> None:
    for entry in load_catalog().entries:
        assert bool(entry.files) != bool(entry.repository or entry.recipe)
        assert entry.total_bytes > 0


def test_every_kind_of_model_but_vision_is_in_the_catalog() -> None:
    assert {entry.kind for entry in load_catalog().entries} == {"embedder", "llm", "reranker", "speech"}


def test_the_shapes_have_as_many_parameters_as_their_weights_say() -> None:
    for entry in load_catalog().entries:
        if entry.precision == "bf16":
            assert entry.shape is not None
            assert abs(2 * entry.shape.parameters / entry.total_bytes - 1) < 0.02
