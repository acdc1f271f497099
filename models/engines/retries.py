"""When a request is sent again: to a closed door or a busy engine, a few times, never once a reply has begun."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Retries:
    """Pauses that double, each shortened by up to a half at random, so that those who were refused together do not come
    again together. `jitter` gives 0 to 1."""

    times: int = 2
    first_pause_s: float = 0.25
    longest_pause_s: float = 4.0
    jitter: Callable[[], float] = random.random

    def pauses_s(self) -> Iterator[float | None]:
        """A pause to make after each try that failed; None after the last one."""
        for n in range(self.times):
            yield min(self.longest_pause_s, self.first_pause_s * 2.0**n) * (0.5 + self.jitter() / 2)
        yield None

    def asked_for(self, pause_s: float, retry_after: str | None) -> float | None:
        """The pause that the engine's `Retry-After` header wishes, if it is longer; None when it wishes too long a one.
        A date, which the header may also hold, is not read."""
        asked_s = float(retry_after) if retry_after and retry_after.strip().isdecimal() else 0.0
        return None if asked_s > self.longest_pause_s else max(pause_s, asked_s)


NEVER = Retries(times=0)
