"""Where sentences begin and end, as character spans: by punctuation, with the usual exceptions."""

from __future__ import annotations

import re

# A sentence may end after these, once closing quotes and brackets are taken along. Possessive, and never from within a
# run: a hostile file may hold a hundred thousand dots.
_END = re.compile(r"(?<![.!?…])[.!?…]++[\"'”’»)\]]*+(?=\s)|;(?=\s)|[。！？।؟]++[\"'”’»）」』]*+")
# Two line ends, or a line end before a bullet, a number with a dot, or a row of a table.
_HARD_BREAK = re.compile(
    r"\n\s*\n|\n(?=\s*+(?:[-*•●▪◦–·‣]\s|\(?\d{1,3}[.)]\s|\(?[a-z][.)]\s|\||[^\n]*\s\|\s))|(?<=\|)\n"
)
_ABBREVIATIONS = frozenset(
    re.findall(
        r"\S+",
        """mr mrs ms dr prof sr jr st vs etc e.g i.e cf fig figs no nos vol pp approx dept inc ltd co corp est ca art
        sec ch p jan feb mar apr jun jul aug sep sept oct nov dec u.s u.k a.m p.m bzw z.b d.h usw nr abs p.ej sig
        op al""",
    )
)
_LIST_NUMBER = re.compile(r"\(?(?:\d{1,3}|[a-z])\.")
_LONG_CHARACTERS = 300
_LAST_WORD = re.compile(r"([\w.]+)\.[\"'”’»)\]]*$")
_LONGEST_ABBREVIATION = 20


def sentence_spans(text: str) -> list[tuple[int, int]]:
    """Spans (start, end) of the sentences of `text`, in order, without the white space around them. List items, table
    rows and blocks parted by an empty line are sentences of their own. Every character but white space is covered."""
    spans = []
    start = 0
    for match in _HARD_BREAK.finditer(text):
        spans += _within_block(text, start, match.start())
        start = match.end()
    return spans + _within_block(text, start, len(text))


def _within_block(text: str, start: int, end: int) -> list[tuple[int, int]]:
    spans = []
    first = _behind_blanks(text, start, end)
    for match in _END.finditer(text, start, end):
        if _is_end(text, first, match):
            spans.append((first, match.end()))
            first = _behind_blanks(text, match.end(), end)
    spans.append((first, end))
    return [span for span in (_stripped(text, *span) for span in spans) if span[0] < span[1]]


def _is_end(text: str, first: int, match: re.Match[str]) -> bool:
    """A mark before a small letter ends nothing, nor does a full stop after an abbreviation or an initial; a semicolon
    ends what has grown too long to be read as one sentence (the enumerations of contracts and reports)."""
    if _LIST_NUMBER.fullmatch(text, first, match.end()):
        return False
    if match.group() == ";":
        return match.end() - first > _LONG_CHARACTERS
    following = text[match.end() : match.end() + 3].lstrip()
    if following[:1].islower():
        return False
    if not match.group().startswith("."):
        return True
    if match.end() - match.start() > _LONGEST_ABBREVIATION:
        return True
    word = _LAST_WORD.search(text[max(first, match.start() - _LONGEST_ABBREVIATION) : match.end()])
    if word is None:
        return True
    token = word.group(1)
    return not (token.lower() in _ABBREVIATIONS or (len(token) == 1 and token.isupper()))


def _behind_blanks(text: str, start: int, end: int) -> int:
    while start < end and text[start].isspace():
        start += 1
    return start


def _stripped(text: str, start: int, end: int) -> tuple[int, int]:
    start = _behind_blanks(text, start, end)
    while end > start and text[end - 1].isspace():
        end -= 1
    return start, end
