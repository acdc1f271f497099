"""A salt for each user: it keeps one user's cached prompts apart from another's, and does not tell who they are."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from pathlib import Path

from rag.access import Identity

SECRET_BYTES = 32


class Salts:
    """`file` holds this installation's secret; it is made when it is first needed, for its owner's eyes only."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def of(self, identity: Identity) -> str:
        """The same for the same user, and nobody can make it, or the user of it, without the secret. Raises OSError."""
        return hmac.new(self._secret(), str(identity.user_id).encode(), hashlib.sha256).hexdigest()

    def _secret(self) -> bytes:
        try:
            secret = self._file.read_bytes()
        except FileNotFoundError:
            secret = b""
        return secret if len(secret) == SECRET_BYTES else self._make()

    def _make(self) -> bytes:
        partial = self._file.with_suffix(".partial")
        partial.unlink(missing_ok=True)
        secret = secrets.token_bytes(SECRET_BYTES)
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
            stream.write(secret)
        partial.replace(self._file)
        return secret
