"""Where an OpenAI-compatible engine listens, which for one of ours is wherever its supervisor has just started it."""

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
