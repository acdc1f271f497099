"""How many tokens a text has, where the engine itself cannot be asked."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from models.errors import ModelError

if TYPE_CHECKING:
    from tokenizers import Tokenizer


def open_tokenizer(file: Path) -> Tokenizer:
    """A Hugging Face `tokenizer.json`. Raises `ModelError`."""
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_file(str(file))
    except Exception as exc:  # tokenizers raises bare Exception
        raise ModelError(f"the tokenizer {file} cannot be read: {exc}") from exc
    # Some files ask for every text to be filled up or cut to one length.
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def most_tokens(text: str) -> int:
    """A number that the tokens of `text` cannot exceed: the tokenizers of today's language models work on bytes, so a
    token is at least one of them; some put a space in front. For English it is about four times too many."""
    return len(text.encode("utf-8", "replace")) + 1
