"""Bytes of a text file to text: by byte order mark, then UTF-8, then by guess."""

from __future__ import annotations

import codecs
from pathlib import Path

from ingest.errors import LimitReached, Unreadable
from ingest.limits import Limits
from ingest.readers.assembly import unix_lines

# The longer mark first: UTF-32's begins with UTF-16's.
MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
GUESSED_FROM_BYTES = 1 << 18
# Tried when the guess is not sure: what offices in the West save by default. Every byte of Latin-1 is a character.
LAST_RESORTS = ("cp1252", "latin-1")


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
    for mark, encoding in MARKS:
        if content.startswith(mark):
            return content.decode(encoding, errors="replace")
    for candidate in ("utf-8", declared):
        text = _decoded(content, candidate)
        # Zero bytes are valid UTF-8, but then the text is UTF-16 without a mark.
        if text is not None and not (candidate == "utf-8" and "\x00" in text[:1024]):
            return text
    return _guessed(content, name)


def _decoded(content: bytes, encoding: str | None) -> str | None:
    if encoding is None:
        return None
    try:
        return content.decode(encoding)
    except (UnicodeDecodeError, LookupError):
        return None


def _guessed(content: bytes, name: str) -> str:
    from charset_normalizer import from_bytes

    best = from_bytes(content[:GUESSED_FROM_BYTES]).best()
    if best is None and b"\x00" in content[:4096]:
        raise Unreadable(f"{name} is not text: it has zero bytes and fits no known encoding.")
    if best is not None:
        # The sample may have cut a character in two, and the rest may hold a stray byte.
        return content.decode(best.encoding, errors="replace")
    return next(text for encoding in LAST_RESORTS if (text := _decoded(content, encoding)) is not None)
