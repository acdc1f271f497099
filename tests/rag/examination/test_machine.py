from __future__ import annotations

import pytest

from models.devices import Devices
from models.torch_build import TorchBuild
from rag.examination import installation, machine
from tests.rag.examination.conftest import GIB, NO_GPU, severities, with_gpu

CUDA_BUILD = TorchBuild("2.15.0", "13.2")
CPU_BUILD = TorchBuild("2.13.0+cpu", None)


def test_little_memory_is_a_warning() -> None:
    found = list(machine.examine_machine(Devices(cores=2, memory_bytes=2 * GIB)))
    assert severities(found)["memory"] == "warning"


def test_a_gpu_is_told_with_its_capability_and_driver() -> None:
    [found] = [each for each in machine.examine_machine(with_gpu()) if each["check"] == "GPU 0"]
    assert found["severity"] == "ok"
    assert "compute capability 8.9" in found["detail"]
    assert "driver 580.65.06" in found["detail"]


@pytest.mark.parametrize("facts", [{"compute_capability": (6, 1)}, {"free_bytes": 2 * GIB}])
def test_a_gpu_that_is_too_old_or_too_full_is_a_warning(facts: dict[str, object]) -> None:
    assert severities(list(machine.examine_machine(with_gpu(**facts))))["GPU 0"] == "warning"


def not_asked() -> str | None:
    raise AssertionError("torch was loaded without need")


@pytest.mark.parametrize("wished", ["auto", "cpu"])
def test_without_a_gpu_torch_is_not_loaded(wished: str) -> None:
    assert machine.examine_cuda(NO_GPU, wished, CUDA_BUILD, not_asked)["severity"] == "ok"


@pytest.mark.parametrize(("wished", "severity"), [("auto", "warning"), ("cuda", "error")])
@pytest.mark.parametrize(
    ("devices", "build", "said", "detail"),
    [
        (with_gpu(), CPU_BUILD, None, "a build for the CPU"),
        (with_gpu(driver="535.154.05"), CUDA_BUILD, None, "needs driver 580, and this is 535.154.05"),
        (with_gpu(), CUDA_BUILD, "torch sees no GPU", "torch sees no GPU"),
    ],
)
def test_a_torch_that_cannot_use_the_gpu_is_worse_where_it_was_asked_for(
    devices: Devices, build: TorchBuild, said: str | None, detail: str, wished: str, severity: str
) -> None:
    found = machine.examine_cuda(devices, wished, build, lambda: said)
    assert found["severity"] == severity
    assert detail in found["detail"]
    assert found["remedy"]


def test_a_torch_that_sees_the_gpu_is_well() -> None:
    found = machine.examine_cuda(with_gpu(), "auto", CUDA_BUILD, lambda: None)
    assert (found["severity"], found["detail"]) == ("ok", "torch 2.15.0, a build for CUDA 13.2, sees the GPU")


def test_a_faiss_for_the_cpu_beside_a_gpu_is_a_warning() -> None:
    from indexes.faiss_library import load_faiss

    if hasattr(load_faiss(), "StandardGpuResources"):
        pytest.skip("the installed FAISS is a build for the GPU")
    assert [found["severity"] for found in installation.examine_faiss(with_gpu(), "auto")] == ["warning"]
    assert [found["severity"] for found in installation.examine_faiss(with_gpu(), "cpu")] == ["ok"]
