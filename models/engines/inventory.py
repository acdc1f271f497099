"""Asks an OpenAI-compatible engine which models it serves, by the one route that costs it nothing."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import TYPE_CHECKING

from models.engines.complaints import reply_error
from models.engines.endpoint import Address
from models.engines.hosts import host_of, require_allowed
from models.engines.keys import without_key
from models.errors import EngineUnavailable

if TYPE_CHECKING:
    import httpx

MOST_BYTES = 1 << 20


def served_models(engine: str, address: Address, allowed_hosts: Collection[str], *, wait_s: float) -> tuple[str, ...]:
    """The names of its models. Its key goes to an allowed host only. Raises `EngineMisconfigured`, `EngineUnavailable`,
    `EngineRefused`."""
    import httpx

    require_allowed(address.url, allowed_hosts, has_key=address.api_key is not None)
    headers = {"Authorization": f"Bearer {address.api_key}"} if address.api_key else {}
    try:
        with (
            httpx.Client(timeout=wait_s, trust_env=False, follow_redirects=False) as client,
            client.stream("GET", f"{address.url}/v1/models", headers=headers) as reply,
        ):
            body = _start(reply)
            if not reply.is_success:
                raise reply_error(
                    engine, reply.status_code, without_key(body.decode("utf-8", "replace"), address.api_key)
                )
    except httpx.HTTPError as exc:
        host = host_of(address.url)
        raise EngineUnavailable(f"{engine} at {host} cannot be reached: {exc or type(exc).__name__}") from exc
    return tuple(without_key(name, address.api_key) for name in _names(engine, body))


def _names(engine: str, body: bytes) -> list[str]:
    try:
        return [str(model["id"]) for model in json.loads(body)["data"]]
    except (ValueError, KeyError, TypeError) as exc:
        raise EngineUnavailable(
            f"{engine} does not list its models as OpenAI's API does; is its address right?"
        ) from exc


def _start(reply: httpx.Response) -> bytes:
    """The reply's body, cut where no list of models ends."""
    body = bytearray()
    for block in reply.iter_bytes():
        body += block
        if len(body) > MOST_BYTES:
            break
    return bytes(body[:MOST_BYTES])
