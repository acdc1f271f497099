"""What pdfium says of single characters of a page: their boxes, baselines and types.

pypdfium2's functions check each argument against its declared type, which takes three times as long as the call. These
are the same functions undeclared; what they are given is what `fpdf_text.h` asks for.
"""

from __future__ import annotations

import ctypes
import math
import re
from array import array
from collections.abc import Sequence
from functools import lru_cache
from itertools import repeat
from typing import Any, NamedTuple

BOLD_NAME = re.compile(rb"bold|black|heavy|demi|medi(?!um)|cmbx|-bd\b", re.IGNORECASE)
BOLD_WEIGHT = 600
LONGEST_FONT_NAME = 128
BATCH = 512


class Type(NamedTuple):
    """Size in points, whether the font is bold, and the way from the baseline up, as long as the size."""

    size: float
    bold: bool
    up: tuple[float, float]


class Ends(NamedTuple):
    """Of several characters, in the page's own coordinates."""

    left: list[float]
    right: list[float]
    bottom: list[float]
    top: list[float]


class CharacterCalls:
    """`page` is an open text page of pdfium, an index one of its characters. One object serves any number of pages."""

    def __init__(self) -> None:
        import pypdfium2.raw as pdfium

        self._box = _undeclared(pdfium.FPDFText_GetCharBox, ctypes.c_int)
        self._origin = _undeclared(pdfium.FPDFText_GetCharOrigin, ctypes.c_int)
        self._font_size = _undeclared(pdfium.FPDFText_GetFontSize, ctypes.c_double)
        self._font_weight = _undeclared(pdfium.FPDFText_GetFontWeight, ctypes.c_int)
        self._font_info = _undeclared(pdfium.FPDFText_GetFontInfo, ctypes.c_ulong)
        self._matrix_of = _undeclared(pdfium.FPDFText_GetMatrix, ctypes.c_int)
        self._x, self._y, self._matrix = ctypes.c_double(), ctypes.c_double(), pdfium.FS_MATRIX()
        self._name, self._flags = ctypes.create_string_buffer(LONGEST_FONT_NAME), ctypes.c_int()
        self._name_size = ctypes.c_ulong(LONGEST_FONT_NAME)
        self._sides = [array("d", bytes(8 * BATCH)) for _ in Ends._fields]
        self._slots = [_places(side) for side in self._sides]

    def ends(self, page: Any, indices: Sequence[int]) -> Ends:
        """pdfium is asked for nothing as often as for these, so that the loop over them is `map`'s."""
        ends = Ends([], [], [], [])
        for begin in range(0, len(indices), BATCH):
            batch = indices[begin : begin + BATCH]
            count = len(list(map(self._box, repeat(page), batch, *self._slots)))
            for values, side in zip(ends, self._sides, strict=True):
                values += side[:count]
        return ends

    def origin(self, page: Any, index: int) -> tuple[float, float]:
        """Where the character stands on its baseline, in the page's own coordinates."""
        self._origin(page, index, ctypes.byref(self._x), ctypes.byref(self._y))
        return self._x.value, self._y.value

    def type(self, page: Any, index: int) -> Type:
        size, matrix = self._font_size(page, index), self._matrix
        up = (0.0, size)
        if self._matrix_of(page, index, ctypes.byref(matrix)):
            # Many writers set size 1 and let the matrix scale it.
            up = (matrix.c * size, matrix.d * size)
        length = self._font_info(page, index, self._name, self._name_size, ctypes.byref(self._flags))
        # A longer name is not written.
        named = 0 < length <= LONGEST_FONT_NAME and _is_bold(self._name.value)
        bold = named or self._font_weight(page, index) >= BOLD_WEIGHT
        return Type(round(math.hypot(*up), 1), bold, up)


def _undeclared(function: Any, result: Any) -> Any:
    return ctypes.cast(function, ctypes.CFUNCTYPE(result))


def _places(values: array[float]) -> list[Any]:
    """Where each of the values lies, for a function to write it there."""
    memory = (ctypes.c_double * len(values)).from_buffer(values)
    return [ctypes.byref(memory, 8 * at) for at in range(len(values))]


@lru_cache(maxsize=1024)
def _is_bold(font_name: bytes) -> bool:
    return bool(BOLD_NAME.search(font_name))
