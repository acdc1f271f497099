"""Salts: one for each user, the same each time, of the appliance's own secret."""

from __future__ import annotations

from rag.access import LOCAL_USER, Identity
from rag.salting import Salts

OTHER = Identity(2, "other")


def test_users_are_kept_apart_and_stay_themselves() -> None:
    salts = Salts()
    assert salts.of(LOCAL_USER) == salts.of(LOCAL_USER)
    assert salts.of(LOCAL_USER) != salts.of(OTHER)
    assert len(salts.of(LOCAL_USER)) == 64


def test_appliances_differ() -> None:
    assert Salts().of(LOCAL_USER) != Salts().of(LOCAL_USER)
