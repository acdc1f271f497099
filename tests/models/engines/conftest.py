"""Engines on the strict stand-in for `trtllm-serve`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from models.engines.backoff import Backoff
from models.engines.tensorrt_llm import TensorRtLlm
from models.planning.profile import Profile
from tests.standins.supervised import Standin, a_profile, a_standin


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    folder = tmp_path / "some-checkpoint"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    return folder


@pytest.fixture
def standin(tmp_path: Path, checkpoint: Path) -> Iterator[Callable[..., Standin]]:
    """Makes engines; the names of STANDIN's variables are keywords: `standin(LOADING_S=1)`."""
    made: list[Standin] = []

    def make(
        profile: Profile | None = None,
        adapters: tuple[Path, ...] = (),
        health_every_s: float = 0.1,
        patience_s: float = 30.0,
        start_limit_s: float = 60.0,
        **told: object,
    ) -> Standin:
        diary = tmp_path / f"diary-{len(made)}"
        diary.mkdir()
        folder = tmp_path / f"engine-{len(made)}"
        engine = TensorRtLlm(
            profile or a_profile(),
            checkpoint,
            "tiny-llama",
            a_standin(folder / "trtllm-serve", FOLDER=diary, **told),
            folder,
            adapters=adapters,
            patience_s=patience_s,
            start_limit_s=start_limit_s,
            backoff=Backoff(first_s=0.01, longest_s=0.05),
            health_every_s=health_every_s,
        )
        made.append(Standin(engine, diary))
        return made[-1]

    yield make
    for each in made:
        each.engine.stop()
        for process in each.processes:
            process.kill()
