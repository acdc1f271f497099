"""Settings: from the environment and lectern.toml; what is unknown or wrong is refused by name."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rag.errors import BadInput
from rag.settings import load_settings


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in os.environ:
        if name.startswith(("LECTERN_", "NIM_")):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_without_anything_said_there_are_defaults() -> None:
    settings = load_settings()
    assert (settings.host, settings.port, settings.mode) == ("127.0.0.1", 7860, "auto")
    assert settings.home.is_absolute()


def test_the_command_line_outranks_the_environment_and_that_the_file(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (elsewhere / "lectern.toml").write_text('port = 1\nmode = "quote"\nhost = "::1"')
    monkeypatch.setenv("LECTERN_PORT", "2")
    monkeypatch.setenv("LECTERN_HOST", "localhost")
    settings = load_settings(port=3)
    assert (settings.port, settings.host, settings.mode) == (3, "localhost", "quote")


def test_nims_own_variables_are_honoured(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NIM_CACHE_PATH", str(elsewhere / "nim"))
    monkeypatch.setenv("NIM_SERVER_PORT", "8000")
    monkeypatch.setenv("NIM_LOG_LEVEL", "INFO")
    assert (load_settings().cache, load_settings().port) == (elsewhere / "nim", 8000)
    monkeypatch.setenv("LECTERN_CACHE", str(elsewhere / "ours"))
    assert load_settings().cache == elsewhere / "ours"


def test_folders_are_absolute_since_other_processes_use_them(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LECTERN_HOME", "data")
    monkeypatch.setenv("LECTERN_CACHE", "~/weights")
    assert load_settings().home == elsewhere / "data"
    assert load_settings().cache == Path.home() / "weights"


def test_an_unknown_variable_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LECTERN_PROT", "1")
    with pytest.raises(BadInput, match=r"LECTERN_PROT.*LECTERN_PORT"):
        load_settings()


@pytest.mark.parametrize(
    ("text", "said"),
    [("prot = 1", "prot"), ('port = "many"', "many"), ("port = 99999", "99999"), ("port = = 1", "TOML")],
)
def test_a_wrong_file_is_refused_and_says_what_is_wrong(elsewhere: Path, text: str, said: str) -> None:
    (elsewhere / "lectern.toml").write_text(text)
    with pytest.raises(BadInput, match=said):
        load_settings()


ENGINE = '[[engines]]\nname = "office"\nurl = "http://10.0.0.5"\nmodel = "llama"\n'
FROM_ENVIRONMENT = '[{"name": "office", "url": "http://10.0.0.5/v1", "model": "llama", "key_variable": "LECTERN_KEY"}]'


def test_engines_come_from_the_file_or_as_json_from_the_environment(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (elsewhere / "lectern.toml").write_text(ENGINE + 'key_file = "/run/secrets/key"')
    assert load_settings().engines[0].key_file == Path("/run/secrets/key")
    monkeypatch.setenv("LECTERN_ENGINES", FROM_ENVIRONMENT)
    monkeypatch.setenv("LECTERN_ALLOW_CHAT", '["10.0.0.5"]')
    monkeypatch.setenv("LECTERN_KEY", "sk-secret")
    settings = load_settings()
    assert settings.engines[0].url == "http://10.0.0.5/v1"
    assert settings.allow_chat == ("10.0.0.5",)
    assert "sk-secret" not in repr(settings)


def test_a_list_that_is_no_json_is_refused_and_says_how_to_write_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LECTERN_ALLOW_CHAT", "10.0.0.5")
    with pytest.raises(BadInput, match=r"allow_chat.*as JSON"):
        load_settings()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (ENGINE + 'key_file = "/a"\nkey_variable = "B"', "key_variable and a key_file"),
        (ENGINE + ENGINE, "more than one engine is named office"),
        ('[[engines]]\nname = "office"', "engines.0.url"),
        (ENGINE + "silence_s = 0", "silence_s"),
    ],
)
def test_an_engine_that_makes_no_sense_is_refused(elsewhere: Path, text: str, said: str) -> None:
    (elsewhere / "lectern.toml").write_text(text)
    with pytest.raises(BadInput, match=said):
        load_settings()


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("LECTERN_OCR", "abbyy", "ocr = 'abbyy'.*'rapidocr', 'tesseract' or 'off'"),
        ("LECTERN_OCR_LANGUAGES", "english", "english is no language code.*en,de"),
        ("LECTERN_OCR_LANGUAGES", "en,,DE", "DE is no language code"),
        ("LECTERN_OCR_LANGUAGES", ",", "nothing is no language code"),
    ],
)
def test_unknown_text_recognition_is_refused_at_the_start(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(BadInput, match=said):
        load_settings()


@pytest.mark.parametrize("field", ["key", "api_key"])
def test_a_key_written_into_the_settings_is_refused_without_being_shown(elsewhere: Path, field: str) -> None:
    for wrong in (ENGINE + f'{field} = "sk-secret"', f'[[engines]]\n{field} = "sk-secret"'):
        (elsewhere / "lectern.toml").write_text(wrong)
        with pytest.raises(BadInput, match=field) as refused:
            load_settings()
        assert "sk-secret" not in str(refused.value)
        assert refused.value.__cause__ is None
