"""Bytes of a text file to text: by byte order mark, then UTF-8, then what the file declares, then by guess."""

from __future__ import annotations

import unicodedata
from pathlib import Path

from ingest.errors import LimitReached, Unreadable
from ingest.limits import Limits
from ingest.readers.assembly import unix_lines
from ingest.text_kind import BYTE_ORDER_MARKS, MOST_STRANGE_SHARE, strange_share, wide_encoding

GUESSED_FROM_BYTES = 1 << 17
JUDGED_CHARACTERS = 20_000
# What most programs of offices wrote for decades: the guess for it counts twice. Found best on sentences in 20
# languages, each in the encodings of its countries (docs/decisions/0011-detection.md).
USUAL, USUAL_WEIGHT = "windows-1252", 2.0
# Scripts that do without spaces stand beside Latin letters without harm.
MIXING_SCRIPTS = ("LATIN", "CJK", "HIRAGANA", "KATAKANA", "HANGUL", "FULLWIDTH", "HALFWIDTH", "THAI", "BOPOMOFO")


def read_text(path: Path, limits: Limits) -> str:
    """The whole file with "\\n" as line end. Raises Unreadable when it is not text, LimitReached when too large."""
    return unix_lines(decode(read_bytes(path, limits), path.name))


def read_bytes(path: Path, limits: Limits) -> bytes:
    # No character takes more than four bytes, so a larger file cannot be within the limit of characters.
    most = min(limits.file_bytes, 4 * limits.characters)
    try:
        with path.open("rb") as file:
            content = file.read(most + 1)
    except OSError as exc:
        raise Unreadable(f"{path.name} cannot be read ({exc.strerror}).") from exc
    if len(content) > most:
        raise LimitReached(f"{path.name} is larger than {most:,} bytes, the limit for a text file.")
    if not content.strip():
        raise Unreadable(f"{path.name} is empty.")
    return content


def decode(content: bytes, name: str, declared: str | None = None) -> str:
    """`declared` is what the file says of itself (HTML's meta tag); it is believed when it fits. Raises Unreadable."""
    marked = next((encoding for mark, encoding in BYTE_ORDER_MARKS if content.startswith(mark)), None)
    if marked is not None:
        return content.decode(marked, errors="replace")
    if content.isascii() and b"\x1b" not in content and b"\x00" not in content:
        return content.decode("ascii")
    wide = wide_encoding(content)
    if wide is not None:
        return _checked(content.decode(wide, errors="replace"), name)
    # What is not UTF-8 is hardly ever valid UTF-8; but old Japanese mail is ASCII with escapes.
    text = _decoded(content, "utf-8") if b"\x1b$" not in content else None
    if text is None:
        text = _decoded(content, declared)
        if text is not None and not _likely(text):
            text = None
    return text if text is not None and "\x00" not in text[:1024] else _guessed(content, name)


def _decoded(content: bytes, encoding: str | None) -> str | None:
    if encoding is None:
        return None
    try:
        return content.decode(encoding)
    except (UnicodeError, LookupError, ValueError, AssertionError):  # not all names are those of text encodings
        return None


def _guessed(content: bytes, name: str) -> str:
    """The likeliest encoding in which all of it can be read; or, as a file may have a damaged place, most of it."""
    import chardet

    if b"\x00" in content[:4096]:
        raise Unreadable(f"{name} is not text: it has zero bytes and fits no known encoding.")
    guesses = chardet.detect_all(content[:GUESSED_FROM_BYTES], ignore_threshold=True)
    weights: dict[str, float] = {}
    for guess in guesses:
        encoding = (guess["encoding"] or USUAL).lower()
        weights[encoding] = (guess["confidence"] or 0.0) * (USUAL_WEIGHT if encoding == USUAL else 1.0)
    ranked = sorted(weights, key=lambda encoding: -weights[encoding])
    for encoding in ranked:
        text = _decoded(content, encoding)
        if text is not None and _likely(text):
            return text
    return _checked(content.decode(_first_known(ranked), errors="replace"), name)


def _first_known(encodings: list[str]) -> str:
    return next((encoding for encoding in encodings if _decoded(b"a", encoding) is not None), USUAL)


def _likely(text: str) -> bool:
    """Words that mix the letters of two alphabets, such as "gr\u0446\u00dfe", come from a wrong guess."""
    foreign = mixed = 0
    for word in text[:JUDGED_CHARACTERS].split():
        if word.isascii():
            continue
        scripts = {unicodedata.name(char, "?").partition(" ")[0] for char in word if char.isalpha() and char > "\x7f"}
        if scripts.isdisjoint(MIXING_SCRIPTS) and scripts:
            foreign += 1
            mixed += any("a" <= char <= "z" for char in word.lower())
    return 2 * mixed <= foreign


def _checked(text: str, name: str) -> str:
    if strange_share(text[:JUDGED_CHARACTERS]) > MOST_STRANGE_SHARE:
        raise Unreadable(f"{name} is not text: it fits no known encoding.")
    return text
