"""The answers under way, by browser tab: so that Stop, a closed tab and the end of the server reach their work."""

from __future__ import annotations

import threading

from models.cancellation import CancelToken


class Runs:
    """Thread-safe. A tab has at most one run: beginning another stops the one before."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tokens: dict[str, CancelToken] = {}

    def begin(self, tab: str) -> CancelToken:
        token = CancelToken()
        with self._lock:
            earlier = self._tokens.get(tab)
            self._tokens[tab] = token
        if earlier is not None:
            earlier.cancel()
        return token

    def is_current(self, tab: str, token: CancelToken) -> bool:
        """Whether `token` belongs to the tab's latest run."""
        with self._lock:
            return self._tokens.get(tab) is token

    def end(self, tab: str, token: CancelToken) -> None:
        """Cancel `token`, in case its work was left half done, and forget it."""
        with self._lock:
            if self._tokens.get(tab) is token:
                del self._tokens[tab]
        token.cancel()

    def stop(self, tab: str) -> None:
        with self._lock:
            token = self._tokens.get(tab)
        if token is not None:
            token.cancel()

    def stop_all(self) -> None:
        with self._lock:
            tokens = list(self._tokens.values())
        for token in tokens:
            token.cancel()
