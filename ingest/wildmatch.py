"""One line of a gitignore file, as git reads it: which paths it means.

Written anew because the library for it (pathspec) matches a path together with its parents, and so differs from git
where a line brings something back: with `*`, `!*/`, `!*.pdf` it lets every file in a folder pass.
Two differences from git are wanted: a name counts by its characters, not by its bytes, and in one Unicode form (NFC);
and a line that can never match is an error instead of a line without effect.
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections.abc import Iterator, Sequence

_CLASSES = {
    "alpha": string.ascii_letters,
    "digit": string.digits,
    "alnum": string.ascii_letters + string.digits,
    "upper": string.ascii_uppercase,
    "lower": string.ascii_lowercase,
    "space": string.whitespace,
    "blank": " \t",
    "punct": string.punctuation,
    "xdigit": string.hexdigits,
    "print": string.ascii_letters + string.digits + string.punctuation + " ",
    "graph": string.ascii_letters + string.digits + string.punctuation,
    "cntrl": "".join(map(chr, range(32))) + "\x7f",
}


class Line:
    """A line with a meaning. `brings_back` when it begins with "!"; `name` is a regular expression for the last part
    of a path, or None when the line names a place and the whole path has to be looked at."""

    def __init__(self, text: str) -> None:
        """Raises ValueError, which says what is wrong."""
        self.text = text
        self.brings_back = text.startswith("!")
        pattern = text.removeprefix("!")
        self.folders_only = pattern.endswith("/")
        pattern = unicodedata.normalize("NFC", pattern.removesuffix("/"))
        if not pattern.strip("/"):
            raise ValueError("it names nothing")
        self.name = None if "/" in pattern else _part(pattern)
        self._name = None if self.name is None else re.compile(self.name)
        # Two stars or more between slashes stand for any number of folders: None.
        parts = pattern.removeprefix("/").split("/")
        self._place = [None if len(part) > 1 and not part.strip("*") else re.compile(_part(part)) for part in parts]

    def matches(self, path: str, *, is_folder: bool) -> bool:
        """Whether it means this very path (NFC, with "/"), not whether it means a folder above it."""
        if self.folders_only and not is_folder:
            return False
        if self._name is not None:
            return self._name.fullmatch(path, path.rfind("/") + 1) is not None
        return _matches_place(self._place, path.split("/"))


def meaningful(text: str) -> str | None:
    """The line without the blanks at its end that no backslash keeps; None for a comment or nothing."""
    line = text.rstrip("\r\n")
    bare = line.rstrip(" ")
    backslashes = len(bare) - len(bare.rstrip("\\"))
    line = bare + line[len(bare) : len(bare) + backslashes % 2]
    return None if not line or line.startswith("#") else line


def _matches_place(place: Sequence[re.Pattern[str] | None], names: Sequence[str]) -> bool:
    """As `*` is matched in a string, here over whole names: go back to the last None only, so time stays bounded."""
    at = name = 0
    back: tuple[int, int] | None = None
    while name < len(names):
        part = place[at] if at < len(place) else None
        if at < len(place) and part is None:
            if at == len(place) - 1:
                return True  # at the end it stands for at least one name, and there is one
            back = (at, name)
            at += 1
        elif part is not None and part.fullmatch(names[name]):
            at, name = at + 1, name + 1
        elif back is not None:
            back = (back[0], back[1] + 1)
            at, name = back[0] + 1, back[1]
        else:
            return False
    return at == len(place)


def _part(pattern: str) -> str:
    """A regular expression for one name. What stands between two stars is taken where it first fits and never tried
    again, which is right because a star takes the rest, and keeps hostile lines from running for ever."""
    runs = [""]
    for token in _tokens(pattern):
        if token != "*":
            runs[-1] += token
        elif runs[-1] or len(runs) == 1:
            runs.append("")
    first, *middle, last = runs if len(runs) > 1 else ("", *runs)
    star = ".*" if len(runs) > 1 else ""
    return f"(?s:{first}{''.join(f'(?>.*?{run})' for run in middle)}{star}{last})"


def _tokens(pattern: str) -> Iterator[str]:
    """Regular expressions for one character each, and "*"."""
    at = 0
    while at < len(pattern):
        character = pattern[at]
        at += 1
        if character == "*":
            yield "*"
        elif character == "?":
            yield "."
        elif character == "[":
            token, at = _bracket(pattern, at)
            yield token
        elif character == "\\":
            if at == len(pattern):
                raise ValueError("a backslash at the end has nothing to keep; write \\\\ for the character itself")
            yield re.escape(pattern[at])
            at += 1
        else:
            yield re.escape(character)


def _bracket(pattern: str, at: int) -> tuple[str, int]:
    """The class that begins behind "[" at `at`, and the place behind its "]"."""
    negated = pattern[at : at + 1] in ("!", "^")
    at += negated
    members = ""
    first = True
    while first or pattern[at : at + 1] != "]":
        first = False
        if named := re.compile(r"\[:(\w*):\]").match(pattern, at):
            if named[1] not in _CLASSES:
                raise ValueError(f"there is no class [:{named[1]}:]")
            members += re.escape(_CLASSES[named[1]])
            at = named.end()
            continue
        low, at = _member(pattern, at)
        members += re.escape(low)
        if pattern[at : at + 1] == "-" and pattern[at + 1 : at + 2] not in ("]", ""):
            high, at = _member(pattern, at + 1)
            members += f"{re.escape(low)}-{re.escape(high)}" if low <= high else ""
    return f"[{'^' if negated else ''}{members}]", at + 1


def _member(pattern: str, at: int) -> tuple[str, int]:
    if pattern[at : at + 1] == "\\":
        at += 1
    if at >= len(pattern):
        raise ValueError("a “[” is not closed; write \\[ for the character itself")
    return pattern[at], at + 1
