"""The one gate for access: every route, retrieval, page image, citation, export and cancel asks here first.

Authorise, then search. There is one local user by default, who may do everything; accounts and grants come later and
change this module, not its callers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rag.errors import Forbidden


@dataclass(frozen=True)
class Identity:
    """Who asks. `user_id` is the row in `user`."""

    user_id: int
    name: str


LOCAL_USER = Identity(user_id=1, name="local")


def readable_collections(identity: Identity, names: Sequence[str]) -> list[str]:
    """Those of `names` that the identity may read."""
    return list(names) if _is_local(identity) else []


def require_read(identity: Identity, collection: str) -> None:
    """Raises `Forbidden` unless the identity may read the collection."""
    if collection not in readable_collections(identity, [collection]):
        raise Forbidden(f"{identity.name} may not read the collection {collection!r}.")


def require_write(identity: Identity, collection: str) -> None:
    """Raises `Forbidden` unless the identity may add to, change or cancel work on the collection."""
    if not _is_local(identity):
        raise Forbidden(f"{identity.name} may not change the collection {collection!r}.")


def require_model(identity: Identity) -> None:
    """Raises `Forbidden` unless the identity may use the bare language model."""
    if not _is_local(identity):
        raise Forbidden(f"{identity.name} may not use the language model.")


def require_own(identity: Identity, user_id: int, what: str) -> None:
    """Raises `Forbidden` unless `what` belongs to the identity."""
    if identity.user_id != user_id:
        raise Forbidden(f"{what} belongs to somebody else.")


def _is_local(identity: Identity) -> bool:
    return identity == LOCAL_USER
