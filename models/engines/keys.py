"""The keys of engines: read from the environment or a file at each use, kept nowhere, shown nowhere."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from models.cancellation import CancelToken
from models.engines.endpoint import Address
from models.engines.hosts import host_of
from models.errors import EngineMisconfigured

NVIDIA_VARIABLE = "NGC_API_KEY"
SHORTEST_SECRET = 8


@dataclass(frozen=True)
class KeyedEndpoint:
    """An engine that somebody else runs. `base_url` may end in `/v1`. The key is in the environment variable
    `key_variable` or in the file `key_file`; when neither is named, NVIDIA's own hosts get `NGC_API_KEY`."""

    name: str
    base_url: str
    key_variable: str = ""
    key_file: Path | None = None

    def address(self, cancel: CancelToken) -> Address:
        """Raises `EngineMisconfigured` for a key that is named and not there, `Cancelled`."""
        cancel.check()
        return Address(self.base_url.rstrip("/").removesuffix("/v1"), self._key())

    @property
    def has_key(self) -> bool:
        """Whether requests will carry a key, without looking for it."""
        return bool(self.key_file or self.key_variable or self._nvidia_variable())

    def _key(self) -> str | None:
        if self.key_file:
            return self._checked(self._file_text(self.key_file), f"the file {self.key_file}")
        variable = self.key_variable or self._nvidia_variable()
        if not variable:
            return None
        return self._checked(os.environ.get(variable, ""), f"the environment variable {variable}")

    def _nvidia_variable(self) -> str:
        host = host_of(self.base_url)
        is_nvidias = host == "nvidia.com" or host.endswith(".nvidia.com")
        return NVIDIA_VARIABLE if is_nvidias and os.environ.get(NVIDIA_VARIABLE) else ""

    def _file_text(self, file: Path) -> str:
        try:
            return file.read_text("utf-8")
        except (OSError, ValueError) as exc:
            why = exc.strerror if isinstance(exc, OSError) else "it is not text"
            raise EngineMisconfigured(f"the key of {self.name} cannot be read from the file {file}: {why}") from None

    def _checked(self, text: str, place: str) -> str:
        key = text.strip()
        if not key:
            raise EngineMisconfigured(f"the key of {self.name} is missing: {place} is empty or not there")
        # The HTTP library would show such a key in its own error.
        if not all("!" <= character <= "~" for character in key):
            raise EngineMisconfigured(f"the key of {self.name} is none: {place} holds spaces or letters beyond ASCII")
        return key


def without_key(text: str, key: str | None) -> str:
    """A complaint of an engine, which may have repeated the key. A word as short as “none” is no secret."""
    return text.replace(key, "[its key]") if key and len(key) >= SHORTEST_SECRET else text
