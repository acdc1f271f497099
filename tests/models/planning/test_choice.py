from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from models.catalog import Entry, load_catalog
from models.devices import Devices, Gpu
from models.errors import ImpossibleProfile
from models.planning.cards import CARDS, match
from models.planning.checkpoint import Adapter
from models.planning.choice import choose_model, choose_profile, ranked_options
from models.planning.memory import kv_bytes_per_token, shape_of
from models.planning.options import FITS
from models.planning.wishes import Wishes

CATALOG = load_catalog()
LANGUAGE_MODELS = tuple(entry for entry in CATALOG.entries if entry.kind == "llm")
FAMILIES = ("llama-3.2-1b-instruct", "llama-3.2-3b-instruct", "llama-3.1-8b-instruct", "llama-3.3-70b-instruct")


def wishes(family: str = "llama-3.1-8b-instruct", **given: object) -> Wishes:
    return replace(Wishes(CATALOG.language_models(family), LANGUAGE_MODELS), **given)  # type: ignore[arg-type]  # by name


def machine(cards: str, memory_gib: int = 16) -> Devices:
    return match(cards, cores=8, memory_bytes=memory_gib << 30)[0]


def with_gpu(gib: float, capability: tuple[int, int], count: int = 1, held_gib: float = 0) -> Devices:
    total, held = int(gib * 2**30), int(held_gib * 2**30)
    gpus = tuple(Gpu(index, "a card", total, total - held, "", capability) for index in range(count))
    return Devices(8, 16 << 30, gpus)


def test_the_settings_may_name_a_profile_that_is_not_the_best() -> None:
    profile, reason = choose_profile(machine("4090"), wishes(profile="trtllm-bf16-tp1"))
    assert profile.name == "trtllm-bf16-tp1"
    assert "the profile that the settings name" in reason


def test_a_profile_that_does_not_fit_is_honoured_with_its_class_when_the_settings_name_it() -> None:
    profile, reason = choose_profile(machine("3060"), wishes(profile="trtllm-bf16-tp1"))
    assert (profile.name, profile.fit) == ("trtllm-bf16-tp1", "incompatible")
    assert "not on this 12 GB card" in reason


def test_a_precision_that_the_card_cannot_compute_in_is_refused_with_those_that_it_can() -> None:
    with pytest.raises(ImpossibleProfile, match=r"FP8 needs compute capability 8\.9.*trtllm-bf16-tp1, llamacpp-q4"):
        choose_profile(machine("a100"), wishes("llama-3.2-3b-instruct", profile="trtllm-fp8-tp1"))


def test_an_unknown_profile_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ImpossibleProfile, match=r"'vllm-fp8-tp1'.*possible here are: trtllm-fp8-tp1"):
        choose_profile(machine("4090"), wishes(profile="vllm-fp8-tp1"))


def test_a_named_gpu_is_taken_and_one_that_is_not_there_is_refused() -> None:
    profile, _ = choose_profile(machine("4090 + 3060"), wishes(gpus=(1,)))
    assert profile.gpus == (1,)
    with pytest.raises(ImpossibleProfile, match=r"GPU 7; this machine has: 0, 1"):
        choose_profile(machine("2x4090"), wishes(gpus=(7,)))


def test_of_unlike_gpus_the_one_that_serves_best_is_taken_and_they_are_not_joined() -> None:
    profile, _ = choose_profile(machine("3060 + 4090"), wishes())
    assert (profile.gpus, profile.tensor_parallel) == ((1,), 1)
    options = ranked_options(machine("3060 + 4090"), wishes())
    assert {option.profile.tensor_parallel for option in options} == {1}


def test_of_equal_gpus_the_emptiest_is_taken() -> None:
    first, second = with_gpu(24, (8, 9), count=2).gpus
    devices = Devices(8, 16 << 30, (replace(first, free_bytes=15 << 30), second))
    assert choose_profile(devices, wishes())[0].gpus == (1,)


def test_a_model_is_divided_among_several_gpus_only_when_one_is_too_small() -> None:
    assert choose_profile(machine("4x4090"), wishes())[0].tensor_parallel == 1
    assert choose_profile(machine("4x4090"), wishes("llama-3.3-70b-instruct"))[0].name == "trtllm-fp8-tp4"


def test_three_equal_gpus_serve_as_two() -> None:
    options = ranked_options(machine("3x4090"), wishes())
    assert {option.profile.tensor_parallel for option in options} == {1, 2}


def test_memory_that_other_programs_hold_is_a_part_and_leads_to_a_smaller_precision() -> None:
    profile, _ = choose_profile(with_gpu(24, (8, 9), held_gib=12), wishes())
    assert profile.memory[0].bytes_of("other programs") == 12 << 30
    assert profile.name == "trtllm-int4-awq-tp1"


def test_other_programs_are_told_when_nothing_fits_beside_them() -> None:
    on_gpu = tuple(entry for entry in CATALOG.language_models(FAMILIES[2]) if entry.backend == "tensorrt-llm")
    profile, reason = choose_profile(with_gpu(24, (8, 9), held_gib=20), wishes(models=on_gpu))
    assert profile.fit == "incompatible"
    assert "not on this 24 GB card, 20.0 GiB of it held by other programs" in reason


def test_nothing_of_lectern_is_planned_on_a_gpu_that_it_does_not_share() -> None:
    profile, _ = choose_profile(machine("4090"), wishes().on_cpu())
    names = {part.name for part in profile.memory[0].parts}
    assert names.isdisjoint({"embedder", "reranker", "vector index"})
    assert profile.fit == "runnable"
    assert not profile.shares_gpu


def test_embedder_reranker_and_index_are_planned_on_the_first_gpu_only() -> None:
    profile, _ = choose_profile(machine("4x4090"), wishes("llama-3.3-70b-instruct", reranker_bytes=1 << 30))
    first, *others = profile.memory
    assert first.bytes_of("reranker") == 1 << 30
    assert all(plan.bytes_of("embedder") == plan.bytes_of("vector index") == 0 for plan in others)


def test_a_card_older_than_ampere_gets_llama_cpp_on_the_gpu_where_its_cuda_build_is_installed() -> None:
    on_gpu, _ = choose_profile(machine("t4"), wishes(llama_cuda=True))
    assert (on_gpu.name, on_gpu.gpus) == ("llamacpp-q4", (0,))
    on_cpu, reason = choose_profile(machine("t4"), wishes())
    assert (on_cpu.name, on_cpu.gpus) == ("llamacpp-q4", ())
    assert "TensorRT-LLM needs compute capability 8.0, Tesla T4 has 7.5" in reason


def test_a_machine_that_does_not_tell_its_memory_is_taken_to_have_enough() -> None:
    assert choose_profile(Devices(8, 0), wishes())[0].fit == "runnable"


def test_a_model_is_planned_with_no_longer_a_context_than_it_was_made_for() -> None:
    profile, _ = choose_profile(Devices(8, 16 << 30), wishes("smollm2-135m-instruct", context_tokens=100_000))
    assert (profile.context_tokens, profile.fit) == (8192, "runnable")


def test_adapters_take_memory_by_their_rank() -> None:
    adapter = Adapter(Path("a"), 16, ("q_proj", "v_proj"))
    profile, _ = choose_profile(machine("4090"), wishes(adapters=(adapter, adapter)))
    # (4096 + 4096) + (4096 + 1024) numbers a layer and rank, 32 layers, 16 ranks, 2 bytes, 2 adapters
    assert profile.memory[0].bytes_of("LoRA adapters") == 2 * 2 * 16 * 32 * (8192 + 5120)


def test_kv_heads_that_are_fewer_than_the_gpus_are_copied_to_each() -> None:
    shape = replace(shape_of(LANGUAGE_MODELS[-1]), kv_heads=2)
    assert kv_bytes_per_token(shape, "bf16", 2) == kv_bytes_per_token(shape, "bf16", 8)


def test_taking_the_advice_makes_a_low_memory_profile_runnable() -> None:
    wished = wishes("llama-3.2-3b-instruct")
    reduced, reason = choose_profile(machine("3060"), wished)
    assert f"LECTERN_CONTEXT_TOKENS={reduced.context_tokens}" in reason
    again, _ = choose_profile(machine("3060"), replace(wished, context_tokens=reduced.context_tokens))
    assert (again.fit, again.memory) == ("runnable", reduced.memory)


@pytest.mark.parametrize(
    ("cards", "model", "profile"),
    [
        ("none", "llama-3.2-3b-instruct-gguf", "llamacpp-q4"),
        ("4060", "llama-3.2-3b-instruct-fp8", "trtllm-fp8-tp1"),
        ("3060", "llama-3.1-8b-instruct-int4-awq", "trtllm-int4-awq-tp1"),
        ("4090", "llama-3.1-8b-instruct-fp8", "trtllm-fp8-tp1"),
        ("2x4090", "llama-3.1-8b-instruct-fp8", "trtllm-fp8-tp1"),
        ("l40s", "llama-3.3-70b-instruct-int4-awq", "trtllm-int4-awq-tp1"),
        ("h100", "llama-3.3-70b-instruct-fp8", "trtllm-fp8-tp1"),
    ],
)
def test_the_largest_model_that_serves_well_is_chosen(cards: str, model: str, profile: str) -> None:
    chosen, _ = choose_model(machine(cards), Wishes(()), LANGUAGE_MODELS)
    assert (chosen.model, chosen.name) == (model, profile)


def test_no_model_too_slow_for_the_cpu_is_chosen_however_much_memory_there_is() -> None:
    assert choose_model(machine("none", 512), Wishes(()), LANGUAGE_MODELS)[0].model == "llama-3.2-3b-instruct-gguf"


def test_of_all_models_only_those_with_the_named_profile_are_chosen_from() -> None:
    chosen, _ = choose_model(machine("4090"), Wishes((), profile="trtllm-int4-awq-tp1"), LANGUAGE_MODELS)
    assert chosen.model == "llama-3.1-8b-instruct-int4-awq"
    with pytest.raises(ImpossibleProfile, match="trtllm-fp9"):
        choose_model(machine("4090"), Wishes((), profile="trtllm-fp9"), LANGUAGE_MODELS)


def test_without_a_model_there_is_nothing_to_choose() -> None:
    with pytest.raises(ImpossibleProfile, match="no language model"):
        choose_profile(machine("4090"), Wishes(()))


family_of = some.sampled_from(FAMILIES)
capabilities = some.sampled_from(sorted({card.compute_capability for card in CARDS}))
loads = some.builds(
    dict,
    context_tokens=some.integers(1024, 40_000),
    concurrency=some.integers(1, 32),
    vectors=some.sampled_from((0, 250_000, 5_000_000)),
)


@settings(deadline=None, max_examples=150)
@given(
    family_of,
    capabilities,
    some.floats(4, 200),
    some.floats(0, 200),
    some.sampled_from((1, 2, 3, 4, 8)),
    loads,
)
def test_more_memory_never_gives_a_worse_class(
    family: str, capability: tuple[int, int], gib: float, more: float, count: int, load: dict[str, int]
) -> None:
    wished = wishes(family, **load)
    less, _ = choose_profile(with_gpu(gib, capability, count), wished)
    enough, _ = choose_profile(with_gpu(gib + more, capability, count), wished)
    if less.gpus:  # from the CPU to a reduced profile on a GPU is better, though of another class
        assert FITS.index(enough.fit) <= FITS.index(less.fit)


@settings(deadline=None, max_examples=150)
@given(family_of, capabilities, some.floats(4, 200), some.sampled_from((1, 2, 3, 4, 6, 8)), loads)
def test_every_profile_keeps_its_promises(
    family: str, capability: tuple[int, int], gib: float, count: int, load: dict[str, int]
) -> None:
    devices = with_gpu(gib, capability, count)
    for option in ranked_options(devices, wishes(family, **load)):
        profile = option.profile
        entry: Entry = CATALOG.entry(profile.model)
        assert option.reason
        assert profile.tensor_parallel & (profile.tensor_parallel - 1) == 0
        assert shape_of(entry).heads % profile.tensor_parallel == 0
        assert len(set(profile.gpus)) == len(profile.gpus) <= count
        assert profile.context_tokens <= load["context_tokens"]
        assert profile.concurrency <= load["concurrency"]
        for plan in profile.memory:
            assert sum(part.bytes for part in plan.parts) == plan.needed_bytes
            assert all(part.bytes > 0 for part in plan.parts)
            if profile.fit != "incompatible":
                assert plan.left_bytes >= 0
        if profile.backend == "tensorrt-llm":
            held = sum(plan.bytes_of("weights") for plan in profile.memory)
            assert entry.total_bytes <= held < entry.total_bytes + profile.tensor_parallel
            cache = sum(plan.bytes_of("KV cache") for plan in profile.memory)
            assert cache == profile.kv_bytes_per_token * profile.context_tokens * profile.concurrency
