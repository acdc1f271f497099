"""Builds a page: texts go in one after the other, and the elements come out as slices of the page's text."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ingest.elements import Element, Kind, Line, Page

# Control characters and halves of surrogate pairs break databases and terminals. Each is replaced by one character,
# so that offsets into the text stay what they were.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\r\ud800-\udfff\ufffe\uffff]")
CELL_BREAK = " | "


def clean(text: str) -> str:
    """The same length, without characters that nobody can see or store; other line ends than "\\n" become spaces."""
    return _UNPRINTABLE.sub(lambda match: "\ufffd" if match.group() >= "\ud800" else " ", text)


def unix_lines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


class PageAssembly:
    def __init__(
        self,
        number: int | None = None,
        part: str | None = None,
        width: float | None = None,
        height: float | None = None,
    ) -> None:
        self._number, self._part, self._width, self._height = number, part, width, height
        self._pieces: list[str] = []
        self._length = 0
        self._elements: list[Element] = []
        self._lines: list[Line] = []

    @property
    def empty(self) -> bool:
        return not self._elements

    @property
    def length(self) -> int:
        """In characters."""
        return self._length

    def add(self, kind: Kind, text: str, *, level: int = 0, header_length: int = 0, lines: Sequence[Line] = ()) -> None:
        """Append an element; `lines` and `header_length` count from the start of `text`. Blank texts are left out."""
        if not text.strip():
            return
        start = self._begin(kind)
        end = start + len(text)
        self._pieces.append(clean(text))
        self._length = end
        self._elements.append(
            Element(kind, start, end, level=level, header_end=start + header_length if header_length else 0)
        )
        for line in lines:
            self._lines.append(Line(start + line.start, start + line.end, line.left, line.top, line.right, line.bottom))

    def page(self) -> Page:
        return Page(
            number=self._number,
            part=self._part,
            text="".join(self._pieces),
            elements=tuple(self._elements),
            lines=tuple(self._lines),
            width=self._width,
            height=self._height,
        )

    def _begin(self, kind: Kind) -> int:
        if self._elements:
            tight = kind == self._elements[-1].kind == "list_item"
            self._pieces.append("\n" if tight else "\n\n")
            self._length += 1 if tight else 2
        return self._length
