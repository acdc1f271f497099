"""Which large pictures a PDF file holds, seen in its bytes: so that pages, which may be drawn of thousands of objects,
are searched for pictures only as long as there are some that have not been met."""

from __future__ import annotations

import mmap
import re
from collections import Counter
from pathlib import Path

# At 40 dots an inch this is a quarter of a page; letters in it cannot be read.
LEAST_PIXELS = 40_000
LONGEST_DICTIONARY = 4_000
IMAGE = re.compile(rb"/Subtype\s*/Image\b")
SIDE = re.compile(rb"/(Width|Height)\s+(\d+)\b(?!\s+\d+\s+R)")
MASK = re.compile(rb"/S?Mask\s+(\d+)\s+\d+\s+R")
NUMBER = re.compile(rb"(\d+)\s+\d+\s*$")

Size = tuple[int, int]


class LargePictures:
    """Pictures that were not met yet. One that comes again, like a background, need not be read again.

    Streams stand outside of all others, so that their dictionaries can be seen in the file as it lies, even in one that
    is encrypted. Pictures that are written into a page itself are not counted; they are small.
    """

    def __init__(self, path: Path) -> None:
        self._unmet: Counter[Size] = Counter()
        self._unclear = False
        self._search(path)

    @property
    def some_are_unmet(self) -> bool:
        return self._unclear or bool(self._unmet)

    def meet(self, width: int, height: int) -> None:
        self._unmet -= Counter({(width, height): 1})

    def _search(self, path: Path) -> None:
        masks: set[int] = set()
        sizes: dict[int, Size] = {}
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            for found in IMAGE.finditer(content):
                begin = content.rfind(b"obj", max(0, found.start() - LONGEST_DICTIONARY), found.start())
                end = content.find(b"stream", found.end(), found.end() + LONGEST_DICTIONARY)
                dictionary = content[max(begin, 0) : end]
                number = NUMBER.search(content[max(0, begin - 24) : max(begin, 0)])
                sides = {name: int(value) for name, value in SIDE.findall(dictionary)}
                if begin < 0 or end < 0 or number is None or len(sides) != 2:
                    self._unclear = True
                    continue
                masks.update(map(int, MASK.findall(dictionary)))
                sizes[int(number[1])] = (sides[b"Width"], sides[b"Height"])
        shown = (size for number, size in sizes.items() if number not in masks)
        self._unmet.update(size for size in shown if size[0] * size[1] >= LEAST_PIXELS)
