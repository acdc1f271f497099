from __future__ import annotations

from importlib import metadata
from pathlib import Path

import pytest

from models.devices import detect
from models.torch_build import cuda_problem, problem_of, torch_build


def test_the_installed_torch_says_for_what_it_was_built() -> None:
    build = torch_build()
    assert build is not None
    assert build.version == metadata.version("torch")
    assert (build.cuda is None) == build.version.endswith("+cpu")


def test_without_a_gpu_torch_sees_none() -> None:
    if detect().gpus:
        pytest.skip("this machine has a GPU")
    assert cuda_problem(60.0) == "torch sees no GPU"


def test_a_torch_that_does_not_answer_is_not_waited_for() -> None:
    assert cuda_problem(0.0) == "torch did not say within 0 s whether it sees a GPU"


def test_a_gpu_that_torch_has_code_for_is_no_problem() -> None:
    assert problem_of([[8, 9], [9, 0]], ["sm_75", "sm_80", "sm_90", "compute_90"]) is None


def test_a_newer_gpu_than_torch_knows_runs_by_its_intermediate_code() -> None:
    assert problem_of([[12, 0]], ["sm_80", "sm_90", "compute_90"]) is None


def test_an_older_gpu_than_torch_has_code_for_is_named() -> None:
    said = problem_of([[9, 0], [7, 0]], ["sm_75", "sm_90"])
    assert said == "torch has no code for GPU 1, whose compute capability is 7.0"


def test_the_folder_it_is_called_in_cannot_stand_in_for_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "torch.py").write_text("raise SystemExit(3)")
    monkeypatch.chdir(tmp_path)
    assert "cannot be loaded" not in (cuda_problem(60.0) or "")
