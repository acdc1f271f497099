"""Texts to windows of tokens that a model can read at once: all of the tokens, none dropped."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from models.errors import ModelError

Side = Literal["query", "passage"]

LONGEST_WINDOW = 512
"""Tokens of one window at most, special tokens counted: some models take 32,768, and a passage of that size could not
be told from its neighbours."""


@dataclass(frozen=True)
class Window:
    """A stretch of a text, as token ids with the special tokens around it. `weight` is its count of text tokens."""

    text_index: int
    ids: tuple[int, ...]
    weight: int


class WindowTokenizer:
    """The tokenizer of a sentence-transformers folder, with its window, and its prompts where it has some ("query: "
    before a question). Thread-safe. Raises `ModelError`."""

    def __init__(self, folder: Path) -> None:
        from tokenizers import Tokenizer

        try:
            self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
            longest = min(LONGEST_WINDOW, _longest(folder))
            prompts = _read(folder / "config_sentence_transformers.json").get("prompts") or {}
        except Exception as exc:  # tokenizers raises bare Exception
            raise ModelError(f"the tokenizer in {folder} cannot be read: {exc}; pull the model again") from exc
        # The file asks for cutting at 128 tokens and padding to them; here nothing is ever cut.
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._before, self._after = self._special_tokens()
        # A document that spells out "[SEP]" means these letters.
        self._tokenizer.encode_special_tokens = True
        self._prompts: dict[Side, str] = {
            "query": prompts.get("query") or "",
            "passage": prompts.get("document") or prompts.get("passage") or "",
        }
        self._prompt_ids = {side: self._ids(prompt) for side, prompt in self._prompts.items()}
        around = len(self._before) + len(self._after) + max(map(len, self._prompt_ids.values()))
        self.window_tokens = longest - around

    def windows(self, texts: Sequence[str], side: Side = "passage") -> list[Window]:
        """One window for a text that fits, else as few as are needed, of equal size, each with the prompt of that side;
        in the order of the texts."""
        # Encoded together with its prompt, a text has the tokens that the model was trained on.
        prompted = [self._prompts[side] + text for text in texts]
        encoded = self._tokenizer.encode_batch_fast(prompted, add_special_tokens=False)
        return [window for index, each in enumerate(encoded) for window in self._split(index, each.ids, side)]

    def token_offsets(self, text: str) -> list[tuple[int, int]]:
        """The character span (start, end) of each token, special tokens left out."""
        offsets: list[tuple[int, int]] = self._tokenizer.encode(text, add_special_tokens=False).offsets
        return offsets

    def _split(self, index: int, ids: list[int], side: Side) -> Iterator[Window]:
        prompt, ids = ids[: len(self._prompt_ids[side])], ids[len(self._prompt_ids[side]) :]
        count = max(1, -(-len(ids) // self.window_tokens))
        for number in range(count):
            piece = ids[len(ids) * number // count : len(ids) * (number + 1) // count]
            yield Window(index, (*self._before, *prompt, *piece, *self._after), len(piece))

    def _special_tokens(self) -> tuple[list[int], list[int]]:
        """Those before and those after a text: a BERT has one of each, others none, or one at the end."""
        probe = self._tokenizer.encode("a")
        text = [place for place, special in enumerate(probe.special_tokens_mask) if not special]
        return probe.ids[: text[0]], probe.ids[text[-1] + 1 :]

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return ids


def batches(windows: Sequence[Window], budget_tokens: int) -> Iterator[list[Window]]:
    """Windows in groups of like length, longest first; a group padded to its longest stays within the budget, and
    has one window at least."""
    ordered = sorted(windows, key=lambda window: -len(window.ids))
    while ordered:
        size = max(1, budget_tokens // len(ordered[0].ids))
        yield ordered[:size]
        ordered = ordered[size:]


def _longest(folder: Path) -> int:
    """How many tokens the model takes, special ones counted: as sentence-transformers was told, else as its tokenizer
    was, else as many as it has positions for."""
    told = _read(folder / "sentence_bert_config.json").get("max_seq_length")
    told = told or _read(folder / "tokenizer_config.json").get("model_max_length")
    config = _read(folder / "config.json")
    positions = usable_positions(config.get("max_position_embeddings"), config.get("model_type"))
    return int(min(known for known in (told, positions, LONGEST_WINDOW) if known))


def usable_positions(positions: int | None, model_type: str | None) -> int | None:
    """How many tokens a model has positions for: RoBERTa's family begins to count at 2."""
    if positions and model_type in ("roberta", "xlm-roberta", "camembert"):
        return positions - 2
    return positions


def _read(file: Path) -> dict[str, Any]:
    """A JSON object; empty where there is no such file."""
    content: dict[str, Any] = json.loads(file.read_text("utf-8")) if file.is_file() else {}
    return content
