from __future__ import annotations

from pathlib import Path

import pytest

from models.errors import DownloadFailed
from models.sources import Origins


def test_the_environment_names_the_hub_and_the_token(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("from-file\n")
    assert Origins.from_environment({}) == Origins()
    named = Origins.from_environment({"HF_ENDPOINT": "http://mirror:8080", "HF_TOKEN": " secret "})
    assert (named.hub_url, named.hub_token) == ("http://mirror:8080", "secret")
    assert Origins.from_environment({"HF_TOKEN_PATH": str(tmp_path / "token")}).hub_token == "from-file"


def test_values_of_the_environment_that_cannot_be_used_are_named_but_never_shown(tmp_path: Path) -> None:
    with pytest.raises(DownloadFailed, match="HF_ENDPOINT is 'mirror'"):
        Origins.from_environment({"HF_ENDPOINT": "mirror"})
    for address in ("https://me:hidden@hub.example", "me:hidden@hub.example", "https://hub.example/?key=hidden"):
        with pytest.raises(DownloadFailed, match=r"HF_ENDPOINT is .*hub\.example.*without a password") as failure:
            Origins.from_environment({"HF_ENDPOINT": address})
        assert "hidden" not in str(failure.value)
    with pytest.raises(DownloadFailed, match=r"HF_TOKEN_PATH is .*absent"):
        Origins.from_environment({"HF_TOKEN_PATH": str(tmp_path / "absent")})
    with pytest.raises(DownloadFailed, match="HF_TOKEN is no token") as failure:
        Origins.from_environment({"HF_TOKEN": "two\nlines"})
    assert "two" not in str(failure.value)


@pytest.mark.parametrize(
    "hub", ["https://hub.example", "HTTPS://hub.example", "http://127.0.0.1:8080", "http://hub.lan"]
)
def test_a_token_goes_to_a_hub_by_https_or_within_a_private_network(hub: str) -> None:
    assert Origins.from_environment({"HF_ENDPOINT": hub, "HF_TOKEN": "secret"}).hub_token == "secret"


def test_a_token_never_travels_unencrypted_to_a_public_hub() -> None:
    with pytest.raises(DownloadFailed, match=r"unencrypted to http://hub\.example") as failure:
        Origins.from_environment({"HF_ENDPOINT": "http://hub.example", "HF_TOKEN": "secret"})
    assert "secret" not in str(failure.value)
    assert Origins.from_environment({"HF_ENDPOINT": "http://hub.example"}).hub_token is None
