from __future__ import annotations

from pathlib import Path

import pytest

from models.devices import (
    Devices,
    Gpu,
    choose_embedder_device,
    choose_embedder_threads,
    choose_llama_threads,
    detect,
)

GIB = 1 << 30


def make_gpu(free_bytes: int = 8 * GIB, capability: tuple[int, int] = (8, 9)) -> Gpu:
    return Gpu(0, "RTX 4090", 24 * GIB, free_bytes, "580.1", capability)


def stand_in(folder: Path, prints: str, status: int = 0) -> str:
    program = folder / "nvidia-smi"
    program.write_text(f"#!/bin/sh\ncat <<'END'\n{prints}\nEND\nexit {status}\n")
    program.chmod(0o755)
    return str(program)


def test_this_machine_has_cores_and_memory() -> None:
    devices = detect()
    assert devices.cores >= 1
    assert devices.memory_bytes > GIB // 4


def test_a_container_has_only_what_its_limits_give(tmp_path: Path) -> None:
    (tmp_path / "cpu.max").write_text("50000 100000\n")
    (tmp_path / "memory.max").write_text(f"{GIB}\n")
    devices = detect(cgroup=tmp_path, nvidia_smi="/nowhere/nvidia-smi")
    assert devices == Devices(cores=1, memory_bytes=GIB)


def test_no_limit_is_no_limit(tmp_path: Path) -> None:
    unlimited = detect(cgroup=tmp_path)
    (tmp_path / "cpu.max").write_text("max 100000\n")
    (tmp_path / "memory.max").write_text("max\n")
    assert detect(cgroup=tmp_path) == unlimited


def test_gpus_are_read_from_the_drivers_tool_and_a_sick_one_is_left_out(tmp_path: Path) -> None:
    lines = "0, NVIDIA GeForce RTX 4090, 24564, 20000, 580.1, 8.9, GPU-a\n1, NVIDIA A2, [N/A], [N/A], 580.1, 8.6, GPU-b"
    gpus = detect(nvidia_smi=stand_in(tmp_path, lines), environment={}).gpus
    assert gpus == (Gpu(0, "NVIDIA GeForce RTX 4090", 24564 << 20, 20000 << 20, "580.1", (8, 9), "GPU-a"),)


@pytest.mark.parametrize(
    ("visible", "expected"),
    [
        (None, [(0, None), (1, None), (2, None)]),
        ("2,0", [(2, 0), (0, 1)]),
        (" 1 ", [(1, 0)]),
        ("GPU-22,GPU-11c1a2de-0000", [(2, 0), (1, 1)]),
        ("1,GPU-22", [(1, 0), (2, 1)]),
        ("", []),
        ("-1", []),
        ("1,-1,2", [(1, 0)]),
        ("1,7,2", [(1, 0)]),
        ("GPU-", []),
        ("MIG-22", []),
    ],
)
def test_gpus_that_are_hidden_from_cuda_are_not_there_for_anything(
    tmp_path: Path, visible: str | None, expected: list[tuple[int, int | None]]
) -> None:
    uuids = ("GPU-00", "GPU-11c1a2de-0000-0000", "GPU-22")
    lines = "\n".join(f"{index}, NVIDIA L4, 23034, 22000, 580.1, 8.9, {uuid}" for index, uuid in enumerate(uuids))
    environment = {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}
    gpus = detect(nvidia_smi=stand_in(tmp_path, lines), environment=environment).gpus
    assert [(gpu.index, gpu.cuda_number) for gpu in gpus] == expected


def test_a_driver_that_does_not_answer_means_no_gpu(tmp_path: Path) -> None:
    assert detect(nvidia_smi=stand_in(tmp_path, "NVIDIA-SMI has failed", status=9)).gpus == ()


def test_the_embedder_takes_a_gpu_only_when_it_is_new_and_free_enough() -> None:
    assert choose_embedder_device(Devices(4, GIB))[0] == "cpu"
    assert choose_embedder_device(Devices(4, GIB, (make_gpu(),))) == ("cuda", "8.0 GiB free on RTX 4090")
    assert choose_embedder_device(Devices(4, GIB, (make_gpu(capability=(6, 1)),)))[0] == "cpu"
    device, reason = choose_embedder_device(Devices(4, GIB, (make_gpu(free_bytes=GIB),)))
    assert device == "cpu"
    assert "1.0 GiB free" in reason


def test_llama_leaves_one_core_to_the_others() -> None:
    assert [choose_llama_threads(Devices(cores, GIB))[0].decode for cores in (1, 2, 8)] == [1, 1, 7]
    assert choose_embedder_threads(Devices(8, GIB))[0] == 8
