"""Texts to windows of tokens that a model can read at once: all of the tokens, none dropped."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from models.errors import ModelError


@dataclass(frozen=True)
class Window:
    """A stretch of a text, as token ids with the special tokens around it. `weight` is its count of text tokens."""

    text_index: int
    ids: tuple[int, ...]
    weight: int


class WindowTokenizer:
    """The tokenizer of a sentence-transformers folder, with its window. Thread-safe."""

    def __init__(self, folder: Path) -> None:
        from tokenizers import Tokenizer

        try:
            self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
            longest = json.loads((folder / "sentence_bert_config.json").read_text("utf-8"))["max_seq_length"]
        except Exception as exc:  # tokenizers raises bare Exception
            raise ModelError(f"the tokenizer in {folder} cannot be read: {exc}; pull the model again") from exc
        # The file asks for cutting at 128 tokens and padding to them; here nothing is ever cut.
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._around = self._tokenizer.encode("").ids
        # A document that spells out "[SEP]" means these letters.
        self._tokenizer.encode_special_tokens = True
        self.window_tokens = int(longest) - len(self._around)

    def windows(self, texts: Sequence[str]) -> list[Window]:
        """One window for a text that fits, else as few as are needed, of equal size; in the order of the texts."""
        encoded = self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        return [window for index, each in enumerate(encoded) for window in self._split(index, each.ids)]

    def token_offsets(self, text: str) -> list[tuple[int, int]]:
        """The character span (start, end) of each token, special tokens left out."""
        offsets: list[tuple[int, int]] = self._tokenizer.encode(text, add_special_tokens=False).offsets
        return offsets

    def _split(self, index: int, ids: list[int]) -> Iterator[Window]:
        count = max(1, -(-len(ids) // self.window_tokens))
        first, last = self._around
        for number in range(count):
            piece = ids[len(ids) * number // count : len(ids) * (number + 1) // count]
            yield Window(index, (first, *piece, last), len(piece))


def batches(windows: Sequence[Window], budget_tokens: int) -> Iterator[list[Window]]:
    """Windows in groups of like length, longest first; a group padded to its longest stays within the budget, and
    has one window at least."""
    ordered = sorted(windows, key=lambda window: -len(window.ids))
    while ordered:
        size = max(1, budget_tokens // len(ordered[0].ids))
        yield ordered[:size]
        ordered = ordered[size:]
