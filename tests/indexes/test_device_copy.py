"""Which copy suits a GPU: by number of vectors, memory, and what the FAISS wheel can do."""

from __future__ import annotations

import pytest

from indexes.device_copy import choose_device_copy, code_bytes, copy_bytes

MIB, GIB = 1 << 20, 1 << 30


@pytest.mark.parametrize(
    ("vectors", "dimension", "free", "has_cuvs", "kind"),
    [
        (0, 384, 8 * GIB, True, "cpu"),
        (1, 384, 8 * GIB, True, "flat"),
        (1_000_000, 384, GIB, False, "flat"),  # 732 MiB
        (1_500_000, 384, GIB, False, "ivf-pq"),  # 1,099 MiB
        (1_500_000, 384, 100 * MIB, False, "cpu"),
        (20_000, 384, 10 * MIB, False, "cpu"),  # too few to compress
        (1_000_000, 313, 200 * MIB, False, "cpu"),  # a prime
        (10_000_000, 384, 16 * GIB, False, "flat"),
        (10_000_000, 384, 16 * GIB, True, "flat"),  # the graph takes 23 GB
        (10_000_000, 384, 40 * GIB, True, "cagra"),
        (5_000_000, 384, 40 * GIB, True, "flat"),
        (10_000_000, 1024, 8 * GIB, True, "ivf-pq"),
    ],
)
def test_the_choice_by_size_memory_and_wheel(
    vectors: int, dimension: int, free: int, has_cuvs: bool, kind: str
) -> None:
    chosen, reason = choose_device_copy(vectors, dimension, free, has_cuvs=has_cuvs)
    assert chosen == kind
    assert reason
    assert copy_bytes(chosen, vectors, dimension) <= free


def test_the_reason_names_what_is_missing() -> None:
    assert choose_device_copy(1_500_000, 384, 100 * MIB)[1] == (
        "1,099 MiB for every vector in fp16 are not free (100 MiB are), nor 153 MiB for compressed ones"
    )


@pytest.mark.parametrize(("dimension", "expected"), [(384, 64), (768, 64), (1024, 64), (1536, 64), (320, 40), (8, 8)])
def test_a_code_is_as_long_as_faiss_has_a_kernel_for(dimension: int, expected: int) -> None:
    assert code_bytes(dimension) == expected


@pytest.mark.parametrize("dimension", [312, 313, 4096])
def test_a_dimension_without_a_kernel_is_not_compressed(dimension: int) -> None:
    assert code_bytes(dimension) is None
    assert choose_device_copy(1_000_000, dimension, 200 * MIB)[0] == "cpu"
