"""Salts: one for each user, the same each time, of an installation's own secret."""

from __future__ import annotations

import stat
from pathlib import Path

from rag.access import LOCAL_USER, Identity
from rag.salting import Salts

OTHER = Identity(2, "other")


def test_users_are_kept_apart_and_stay_themselves(tmp_path: Path) -> None:
    salts = Salts(tmp_path / "salt.secret")
    assert salts.of(LOCAL_USER) == Salts(tmp_path / "salt.secret").of(LOCAL_USER)
    assert salts.of(LOCAL_USER) != salts.of(OTHER)
    assert len(salts.of(LOCAL_USER)) == 64


def test_installations_differ(tmp_path: Path) -> None:
    assert Salts(tmp_path / "one").of(LOCAL_USER) != Salts(tmp_path / "two").of(LOCAL_USER)


def test_the_secret_is_its_owners_alone_and_a_damaged_one_is_made_anew(tmp_path: Path) -> None:
    file = tmp_path / "salt.secret"
    file.write_bytes(b"cut off")
    Salts(file).of(LOCAL_USER)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert len(file.read_bytes()) == 32
    assert [path.name for path in tmp_path.iterdir()] == ["salt.secret"]
