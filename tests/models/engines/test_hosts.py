"""Where text may go: this machine, what was allowed by name, nowhere else; keys never unencrypted into the world."""

from __future__ import annotations

import pytest

from models.engines.hosts import Place, host_of, place_of, require_allowed
from models.errors import EngineMisconfigured


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("http://127.0.0.1:8000", "local"),
        ("http://127.8.9.1", "local"),
        ("http://[::1]:8000/v1", "local"),
        ("http://LocalHost", "local"),
        ("http://[::ffff:127.0.0.1]", "local"),
        ("http://10.0.0.5", "self-hosted"),
        ("http://172.31.255.1", "self-hosted"),
        ("http://192.168.1.2", "self-hosted"),
        ("http://[fd00::5]", "self-hosted"),
        ("http://engine:8000", "self-hosted"),
        ("http://gpu.office.lan", "self-hosted"),
        ("http://gpu.local", "self-hosted"),
        ("http://nim.corp.internal", "self-hosted"),
        ("https://integrate.api.nvidia.com/v1", "remote"),
        ("http://172.32.0.1", "remote"),
        ("http://8.8.8.8", "remote"),
        ("http://0.0.0.0", "remote"),
        ("http://169.254.169.254", "remote"),
        ("http://100.64.0.1", "remote"),
        # What only looks like this machine is not taken for it.
        ("http://localhost.", "remote"),
        ("http://127.0.0.1.evil.example", "remote"),
        ("http://localhost.evil.example", "remote"),
        ("http://127.1", "remote"),
        ("http://2130706433", "self-hosted"),
    ],
)
def test_a_host_is_here_or_ones_own_or_far_away(url: str, place: Place) -> None:
    assert place_of(url) == place


@pytest.mark.parametrize(
    "url",
    [
        "ftp://127.0.0.1",
        "127.0.0.1:8000",
        "//127.0.0.1",
        "http://",
        "http://:8000",
        "http://127.0.0.1:99999",
        "http://127.0.0.1:port",
        "http://user:secret@127.0.0.1",
        "http://user:secret@127.0.0.1:port",
        "http://127.0.0.1/v1?key=secret",
        "http://localhost\\@evil.example/",
    ],
)
def test_what_is_no_plain_address_is_refused_without_showing_a_secret(url: str) -> None:
    with pytest.raises(EngineMisconfigured) as refused:
        host_of(url)
    assert "secret" not in str(refused.value)


def test_this_machine_needs_no_permission() -> None:
    require_allowed("http://127.0.0.1:1234", (), has_key=True)


@pytest.mark.parametrize("url", ["http://10.0.0.5:8000/v1", "http://engine", "https://api.example.com"])
def test_elsewhere_is_refused_until_exactly_that_host_is_allowed(url: str) -> None:
    host = host_of(url)
    for allowed in ((), ("example.com",), (f"not-{host}",), ("*",), (host[:-1],)):
        with pytest.raises(EngineMisconfigured, match=rf"LECTERN_ALLOW_CHAT='\[\"{host}\"\]'"):
            require_allowed(url, allowed, has_key=False)
    require_allowed(url, ("other", host.upper()), has_key=False)


def test_a_key_goes_unencrypted_into_a_private_network_at_most() -> None:
    require_allowed("http://10.0.0.5", ("10.0.0.5",), has_key=True)
    require_allowed("https://api.example.com", ("api.example.com",), has_key=True)
    require_allowed("http://api.example.com", ("api.example.com",), has_key=False)
    for url in ("http://api.example.com", "HTTP://api.example.com"):
        with pytest.raises(EngineMisconfigured, match="unencrypted"):
            require_allowed(url, ("api.example.com",), has_key=True)
