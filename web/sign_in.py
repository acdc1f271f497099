"""Who is asking: one local user until accounts exist. Every route and page handler asks here, so one place changes."""

from __future__ import annotations

from rag.access import LOCAL_USER, Identity


def signed_in() -> Identity:
    """The identity of the present request; also a FastAPI dependency."""
    return LOCAL_USER
