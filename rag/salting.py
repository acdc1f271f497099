"""A salt for each user: it keeps one user's cached prompts apart from another's, and does not tell who they are."""

from __future__ import annotations

import hashlib
import hmac
import secrets

from rag.access import Identity


class Salts:
    """Of a secret of its own, which lives as long as the appliance: after a restart, prompts are read anew."""

    def __init__(self) -> None:
        self._secret = secrets.token_bytes(32)

    def of(self, identity: Identity) -> str:
        """The same for the same user; nobody can make it, or the user of it, without the secret."""
        return hmac.new(self._secret, str(identity.user_id).encode(), hashlib.sha256).hexdigest()
