"""Asks an OpenAI-compatible engine which models it serves, by the one route that costs it nothing."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, cast

from models.engines.endpoint import Address
from models.engines.hosts import host_of, require_allowed
from models.engines.keys import without_key
from models.engines.reply import Reply
from models.errors import EngineUnavailable


def served_models(engine: str, address: Address, allowed_hosts: Collection[str], *, wait_s: float) -> tuple[str, ...]:
    """The names of its models. Its key goes to an allowed host only. Raises `EngineMisconfigured`, `EngineUnavailable`,
    `EngineRefused`."""
    import httpx

    require_allowed(address.url, allowed_hosts, has_key=address.api_key is not None)
    headers = {"Authorization": f"Bearer {address.api_key}"} if address.api_key else {}
    try:
        with (
            httpx.Client(timeout=wait_s, trust_env=False, follow_redirects=False) as client,
            client.stream("GET", f"{address.url}/v1/models", headers=headers) as response,
        ):
            reply = Reply(engine, response, address.api_key)
            reply.require_success()
            models = reply.json()
    except httpx.HTTPError as exc:
        host = host_of(address.url)
        raise EngineUnavailable(f"{engine} at {host} cannot be reached: {exc or type(exc).__name__}") from exc
    return tuple(without_key(name, address.api_key) for name in _names(engine, models))


def _names(engine: str, models: object) -> list[str]:
    try:
        return [str(model["id"]) for model in cast("Any", models)["data"]]
    except (KeyError, TypeError) as exc:
        raise EngineUnavailable(
            f"{engine} does not list its models as OpenAI's API does; is its address right?"
        ) from exc
