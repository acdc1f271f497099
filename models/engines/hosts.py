"""Which hosts the text of documents may be sent to, and how far away they are."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from typing import Literal

from models.errors import EngineMisconfigured

Place = Literal["local", "self-hosted", "remote"]

PRIVATE_NETWORKS = tuple(
    ipaddress.ip_network(network) for network in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")
)
PRIVATE_ENDINGS = (".local", ".lan", ".internal")


def host_of(url: str) -> str:
    """The host that a request to `url` goes to, in lower case and in ASCII. It is read by the HTTP client's own
    parser, so that what is checked here is what will be connected to. Raises `EngineMisconfigured` for what is no plain
    http or https address."""
    import httpx

    # What stands before an “@” or after a “?” may be a secret.
    shown = url.rpartition("@")[2].partition("?")[0]
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as exc:
        raise EngineMisconfigured(f"{shown!r} is no address of an engine: {exc}") from None
    host = parsed.raw_host.decode("ascii").lower()
    if parsed.scheme not in ("http", "https") or not host:
        raise EngineMisconfigured(f"{shown!r} is no address of an engine: it must begin with http:// or https://")
    if parsed.port is not None and not 0 < parsed.port < 65536:
        raise EngineMisconfigured(f"{shown!r} is no address of an engine: there is no port {parsed.port}")
    if parsed.userinfo or parsed.query or parsed.fragment:
        raise EngineMisconfigured(
            f"the address of the engine at {host} holds a password, a “?” or a “#”: name its key by key_variable or "
            "key_file instead"
        )
    return host


def place_of(url: str) -> Place:
    """ "local" is this machine; "self-hosted" a private network or a name that only one can know; else "remote"."""
    host = host_of(url)
    address = _ip_address(host)
    if address is None:
        if host == "localhost":
            return "local"
        return "self-hosted" if "." not in host or host.endswith(PRIVATE_ENDINGS) else "remote"
    if address.is_loopback:
        return "local"
    return "self-hosted" if any(address in network for network in PRIVATE_NETWORKS) else "remote"


def require_allowed(url: str, allowed_hosts: Collection[str], *, has_key: bool) -> None:
    """Raise `EngineMisconfigured` unless text of documents may be sent there: to this machine always, elsewhere only
    where exactly that host was allowed; and a key never travels unencrypted beyond a private network."""
    host, place = host_of(url), place_of(url)
    if place == "local":
        return
    if host not in {allowed.lower() for allowed in allowed_hosts}:
        raise EngineMisconfigured(
            f"the engine at {host} is not on this machine, and nothing is sent there unless you allow it: "
            f"""LECTERN_ALLOW_CHAT='["{host}"]' in the environment, or allow_chat = ["{host}"] in lectern.toml"""
        )
    if has_key and place == "remote" and url.lower().startswith("http:"):
        raise EngineMisconfigured(
            f"the key of the engine at {host} would travel unencrypted: use its https:// address, or name no key"
        )


def _ip_address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address
