"""What the appliance tells other programs of itself: the models that it serves, and whether it is ready."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ServedModel:
    """A model id of the HTTP API."""

    id: str
    owned_by: str
    created: int
    answers_from_documents: bool


@dataclass(frozen=True)
class Readiness:
    live: bool
    ready: bool
    detail: str
