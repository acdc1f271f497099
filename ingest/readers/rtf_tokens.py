"""The pieces of an RTF file, and the code pages that its fonts stand for."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

TOKEN = re.compile(
    rb"\\([a-zA-Z]{1,32})(-?\d{1,10})? ?"  # a control word, its number, and the space that ends it
    rb"|\\'([0-9a-fA-F]{2})"  # a byte of text
    rb"|\\(.)"  # a control symbol
    rb"|([{}])"
    rb"|([^\\{}\r\n]+)",
    re.DOTALL,
)
TokenKind = Literal["word", "byte", "symbol", "open", "close", "text"]

CHARSETS = {
    77: "mac-roman",
    78: "shift_jis",
    128: "cp932",
    129: "cp949",
    130: "johab",
    134: "gb18030",
    136: "cp950",
    161: "cp1253",
    162: "cp1254",
    163: "cp1258",
    177: "cp1255",
    178: "cp1256",
    186: "cp1257",
    204: "cp1251",
    222: "cp874",
    238: "cp1250",
    254: "cp437",
    255: "cp850",
}
NAMED_CODE_PAGES = {"ansi": "cp1252", "mac": "mac-roman", "pc": "cp437", "pca": "cp850"}


@dataclass(frozen=True)
class Token:
    """`name` of a word or symbol, its `number`, or the bytes of text in `text`."""

    kind: TokenKind
    name: str = ""
    number: int | None = None
    text: bytes = b""


def tokens(content: bytes) -> Iterator[Token]:
    at = 0
    while match := TOKEN.search(content, at):
        at = match.end()
        word, number, byte, symbol, brace, text = match.groups()
        if word:
            value = int(number) if number else None
            if word == b"bin":
                # So many bytes of anything follow, braces too.
                at += max(0, value or 0)
                continue
            yield Token("word", word.decode("ascii"), value)
        elif byte:
            yield Token("byte", text=bytes((int(byte, 16),)))
        elif symbol:
            yield Token("symbol", symbol.decode("latin-1"))
        elif brace:
            yield Token("open" if brace == b"{" else "close")
        else:
            yield Token("text", text=text)


def code_page(number: int | None) -> str | None:
    """Python's name of a Windows code page, None when it has none."""
    import codecs

    names = {10000: "mac-roman", 65001: "utf-8", 936: "gb18030", 708: "iso8859-6", 1361: "johab"}
    name = names.get(number or 0, f"cp{number}")
    try:
        return codecs.lookup(name).name
    except LookupError:
        return None


def decoded(raw: bytes, encoding: str, fallback: str) -> str:
    """In the font's code page, unless the bytes do not fit it and do fit the document's."""
    for candidate in (encoding, fallback):
        try:
            return raw.decode(candidate)
        except UnicodeDecodeError:
            continue
    return raw.decode(encoding, errors="replace")
