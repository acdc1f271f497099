"""Where an OpenAI-compatible engine listens: at a fixed place, or wherever its supervisor has just started it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from models.cancellation import CancelToken


@dataclass(frozen=True)
class Address:
    """`url` is without the `/v1` and without a slash at the end."""

    url: str
    api_key: str | None = field(default=None, repr=False)


class Endpoint(Protocol):
    def address(self, cancel: CancelToken) -> Address:
        """Where to send the next request, waiting for an engine that loads.

        Raises `EngineUnavailable`, `Cancelled`.
        """


@dataclass(frozen=True)
class FixedEndpoint:
    """An engine that somebody else runs. `base_url` may end in `/v1`, as the settings of other clients do."""

    base_url: str
    api_key: str | None = field(default=None, repr=False)

    def address(self, cancel: CancelToken) -> Address:
        cancel.check()
        return Address(self.base_url.rstrip("/").removesuffix("/v1"), self.api_key)
