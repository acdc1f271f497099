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
    with pytest.raises(DownloadFailed, match=r"HF_TOKEN_PATH is .*absent"):
        Origins.from_environment({"HF_TOKEN_PATH": str(tmp_path / "absent")})
    with pytest.raises(DownloadFailed, match="HF_TOKEN is no token") as failure:
        Origins.from_environment({"HF_TOKEN": "two\nlines"})
    assert "two" not in str(failure.value)
