"""Fixtures that several packages share: where real documents and weights lie, and one appliance over real documents."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real documents beside the checkout; not part of the repository."""
    folder = ROOT.parent / "shared"
    if not folder.is_dir():
        pytest.skip(f"{folder} is not here: real documents lie beside the checkout, not in it")
    return folder


@pytest.fixture(scope="session")
def cache() -> Path:
    """Where the embedded weights lie; `make venv` puts them there."""
    import platformdirs

    named = os.environ.get("LECTERN_CACHE")
    return Path(named) if named else Path(platformdirs.user_cache_dir("lectern"))
