"""Keys: read when they are needed, from where the settings say; never shown by anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.cancellation import CancelToken
from models.engines.keys import KeyedEndpoint
from models.errors import EngineMisconfigured

KEY = "sk-very-secret-123"
URL = "https://api.example.com/v1/"


def key_of(endpoint: KeyedEndpoint) -> str | None:
    return endpoint.address(CancelToken()).api_key


@pytest.fixture(autouse=True)
def no_key_of_nvidia(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NGC_API_KEY", raising=False)


def test_the_address_is_without_v1_and_without_a_key_when_none_is_named() -> None:
    address = KeyedEndpoint("far", URL).address(CancelToken())
    assert (address.url, address.api_key) == ("https://api.example.com", None)


def test_a_key_is_read_at_each_use_so_that_it_can_be_changed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    endpoint = KeyedEndpoint("far", URL, key_variable="FAR_KEY")
    monkeypatch.setenv("FAR_KEY", KEY)
    assert key_of(endpoint) == KEY
    monkeypatch.setenv("FAR_KEY", "another")
    assert key_of(endpoint) == "another"
    file = tmp_path / "key"
    file.write_text(f"{KEY}\n")
    assert key_of(KeyedEndpoint("far", URL, key_file=file)) == KEY


def test_a_missing_key_is_an_error_that_names_its_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("FAR_KEY", raising=False)
    with pytest.raises(EngineMisconfigured, match=r"far.*FAR_KEY"):
        key_of(KeyedEndpoint("far", URL, key_variable="FAR_KEY"))
    with pytest.raises(EngineMisconfigured, match=r"far.*no-such-file"):
        key_of(KeyedEndpoint("far", URL, key_file=tmp_path / "no-such-file"))
    (tmp_path / "empty").write_text(" \n")
    with pytest.raises(EngineMisconfigured, match=r"far.*empty"):
        key_of(KeyedEndpoint("far", URL, key_file=tmp_path / "empty"))
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(EngineMisconfigured, match=r"far.*binary"):
        key_of(KeyedEndpoint("far", URL, key_file=tmp_path / "binary"))


@pytest.mark.parametrize("wrong", [f"{KEY}\nsecond", f"{KEY} {KEY}", f"{KEY}é"])
def test_what_no_header_can_carry_is_refused_without_being_shown(monkeypatch: pytest.MonkeyPatch, wrong: str) -> None:
    monkeypatch.setenv("FAR_KEY", wrong)
    with pytest.raises(EngineMisconfigured, match="FAR_KEY") as refused:
        key_of(KeyedEndpoint("far", URL, key_variable="FAR_KEY"))
    assert KEY not in str(refused.value)
    assert refused.value.__cause__ is None


def test_nvidias_hosts_get_its_key_and_no_other_host_does(monkeypatch: pytest.MonkeyPatch) -> None:
    nvidia = KeyedEndpoint("nim", "https://integrate.api.nvidia.com/v1")
    assert (key_of(nvidia), nvidia.has_key) == (None, False)
    monkeypatch.setenv("NGC_API_KEY", KEY)
    assert (key_of(nvidia), nvidia.has_key) == (KEY, True)
    for url in ("https://nvidia.com.evil.example", "https://evilnvidia.com", URL):
        assert key_of(KeyedEndpoint("far", url)) is None
    monkeypatch.setenv("MINE", "mine")
    assert key_of(KeyedEndpoint("nim", "https://integrate.api.nvidia.com", key_variable="MINE")) == "mine"


def test_neither_an_endpoint_nor_an_address_shows_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAR_KEY", KEY)
    endpoint = KeyedEndpoint("far", URL, key_variable="FAR_KEY")
    assert KEY not in repr(endpoint)
    assert KEY not in repr(endpoint.address(CancelToken()))
