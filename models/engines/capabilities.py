"""Which optional fields of a request an engine takes: learnt from its refusals, remembered as long as it is used.

Some engines answer 400 or 422 to any field that is new to them (`trtllm-serve`, NIM), others ignore it, and none says
beforehand. So an optional field is simply sent. When the engine refuses, the request is repeated without the fields
that its message names, or without all that were never taken yet; if that one is taken, they are not sent again. A
refusal for another reason (a prompt that is too long) comes again without them, and teaches nothing.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable

from models.errors import EngineRefused

REFUSALS = frozenset({400, 422})

_log = logging.getLogger(__name__)


class Capabilities:
    """What one engine is known to take and to refuse. Thread-safe."""

    def __init__(self, engine: str) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._taken: set[str] = set()
        self._refused: set[str] = set()

    def worth_sending(self, fields: Iterable[str]) -> frozenset[str]:
        """Those of `fields` that it has not refused."""
        with self._lock:
            return frozenset(fields) - self._refused

    def to_drop(self, refusal: EngineRefused, sent: frozenset[str]) -> frozenset[str]:
        """Which of the optional fields `sent` to leave out when the request is repeated; none: do not repeat it."""
        if refusal.status not in REFUSALS:
            return frozenset()
        named = frozenset(field for field in sent if field in str(refusal))
        with self._lock:
            return named or sent - self._taken

    def learn(self, taken: frozenset[str], refused: frozenset[str]) -> None:
        """A request with the fields `taken` was answered, after it had been refused with `refused` beside them."""
        with self._lock:
            self._taken |= taken
            new = refused - self._refused
            self._refused |= refused
        if new:
            _log.info("%s does not take %s; it is not sent any more", self._engine, ", ".join(sorted(new)))
