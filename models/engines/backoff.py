"""How long a supervisor waits before it starts an engine again."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Backoff:
    """After each crash in a row: not at all after the first, then `first_s`, twice that, and so on up to `longest_s`. A
    process that was ready for `steady_after_s` was all right: its end counts as a first one."""

    first_s: float = 1.0
    longest_s: float = 60.0
    steady_after_s: float = 60.0

    def pause_s(self, crashes: int) -> float:
        return 0.0 if crashes < 2 else min(self.longest_s, self.first_s * 2.0 ** min(crashes - 2, 32))
