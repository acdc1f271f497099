from __future__ import annotations

import pytest

from models.checkpoint_files import check_path, checkpoint_files
from models.errors import DownloadFailed
from models.hub import HubFile


def chosen(*paths: str, patterns: tuple[str, ...] = ()) -> set[str]:
    listed = [HubFile(path, 1, None, "0" * 40) for path in paths]
    return {file.path for file in checkpoint_files(listed, patterns)}


def test_weights_configuration_tokenizer_and_licence_are_taken() -> None:
    needed = {
        "model.safetensors", "model.safetensors.index.json", "hf_quant_config.json", "tokenizer.model", "merges.txt",
        "chat_template.jinja", "README.md", "LICENSE", "USE_POLICY.md", "1_Pooling/config.json",
    }  # fmt: skip
    assert chosen(*needed, "picture.png", "training.log") == needed


def test_pickles_and_program_text_are_never_taken() -> None:
    pickles = (
        "pytorch_model.bin",
        "training_args.bin",
        "a.pt",
        "a.PTH",
        "a.pkl",
        "a.ckpt",
        "modeling.py",
        "LICENSE.py",
    )
    assert chosen("model.safetensors", *pickles) == {"model.safetensors"}
    assert chosen("model.safetensors", *pickles, patterns=("*",)) == {"model.safetensors"}


def test_the_same_weights_in_their_publishers_own_format_are_left_out() -> None:
    assert chosen("model.safetensors", "original/model.safetensors", "original/params.json") == {"model.safetensors"}


def test_patterns_take_what_they_match_and_nothing_else() -> None:
    assert chosen("m-Q4.gguf", "m-Q8.gguf", "config.json", patterns=("*Q4.gguf",)) == {"m-Q4.gguf"}


def test_a_bin_file_is_taken_only_if_the_catalog_spells_it_out() -> None:
    assert chosen("model.bin", "other.bin", patterns=("model.bin",)) == {"model.bin"}
    with pytest.raises(DownloadFailed, match="pickles never are"):
        chosen("model.bin", patterns=("*.bin",))


def test_a_pattern_that_matches_nothing_is_named() -> None:
    with pytest.raises(DownloadFailed, match=r"no absent\.gguf"):
        chosen("model.safetensors", patterns=("absent.gguf",))


def test_a_repository_of_pickles_only_is_refused() -> None:
    with pytest.raises(DownloadFailed, match=r"no \*\.safetensors"):
        chosen("config.json", "pytorch_model.bin")


@pytest.mark.parametrize("path", ["../outside.json", "a/../../outside.json", "/outside.json", "a\\b.json", "C:x.json"])
def test_a_path_that_leads_out_of_the_folder_is_refused(path: str) -> None:
    with pytest.raises(DownloadFailed, match="outside the model's folder"):
        chosen("model.safetensors", path)


@pytest.mark.parametrize("path", ["./verified.json", ".//pinned.json", "a/./b.json", "a//b.json"])
def test_a_disguised_path_is_refused(path: str) -> None:
    with pytest.raises(DownloadFailed, match="disguised"):
        chosen("model.safetensors", path)
    with pytest.raises(DownloadFailed, match="disguised"):
        check_path(path)


def test_a_repository_cannot_write_our_own_records() -> None:
    assert chosen("model.safetensors", "verified.json", "Pinned.json", ".partial-0/x.json", ".lock.json") == {
        "model.safetensors"
    }
