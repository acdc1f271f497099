"""Whether a model is let write answers by default: by what was measured, or by what is known of it."""

from __future__ import annotations

import pytest

from models.catalog import load_catalog
from models.interfaces import Engine
from rag.choices import choose_mode

CATALOG = load_catalog()


def here(model: str) -> Engine:
    return Engine("llama.cpp", model, "127.0.0.1", "local")


@pytest.mark.parametrize(
    ("model", "mode", "why"),
    [
        ("smollm2-135m-instruct", "quote", "answers only 20%"),
        ("qwen2.5-coder-1.5b-instruct", "generate", "answers 63%"),
        ("llama-3.1-8b-instruct-fp8", "generate", "not measured"),
        ("llama-3.2-1b-instruct-fp8", "quote", "never measured"),
    ],
)
def test_a_model_of_the_catalog_writes_if_it_is_able(model: str, mode: str, why: str) -> None:
    chosen, reason = choose_mode("auto", CATALOG.entry(model), here(model))
    assert chosen == mode
    assert why in reason


def test_an_engine_that_somebody_named_is_let_write() -> None:
    far = Engine("office", "llama", "10.0.0.5", "self-hosted")
    assert choose_mode("auto", None, far)[0] == "generate"


def test_without_an_engine_there_are_quotes() -> None:
    assert choose_mode("auto", None, None)[0] == "quote"


@pytest.mark.parametrize("wished", ["quote", "generate"])
def test_the_settings_decide(wished: str) -> None:
    assert choose_mode(wished, CATALOG.entry("smollm2-135m-instruct"), here("x")) == (wished, "as the settings say")
