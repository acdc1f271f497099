"""What pdfium says of one character of a page: its box, its baseline, its type.

pypdfium2's functions check each argument against its declared type, which takes three times as long as the call. These
are the same functions undeclared; what they are given is what `fpdf_text.h` asks for.
"""

from __future__ import annotations

import ctypes
import math
import re
import struct
from functools import lru_cache
from typing import Any, NamedTuple

BOLD_NAME = re.compile(rb"bold|black|heavy|demi|medi(?!um)|cmbx|-bd\b", re.IGNORECASE)
BOLD_WEIGHT = 600
LONGEST_FONT_NAME = 128


class Type(NamedTuple):
    """Size in points, whether the font is bold, and the way from the baseline up, as long as the size."""

    size: float
    bold: bool
    up: tuple[float, float]


class CharacterCalls:
    """For one text page, as long as it is open. `character_box(page, index, *slots)` leaves the ends of a character in
    `edges`, which `four(edges)` takes out: across the page as shown (near, far), then on the other axis (low, high).
    These stand open, not in a method, because there is nothing else that is asked for so often."""

    def __init__(self, page: Any, *, turned: bool) -> None:
        import pypdfium2.raw as pdfium

        self.page = page
        self.edges = (ctypes.c_double * 4)()
        # pdfium says left, right, bottom, top.
        order = (2, 3, 0, 1) if turned else (0, 1, 2, 3)
        self.slots = tuple(ctypes.byref(self.edges, 8 * at) for at in order)
        self.four = struct.Struct("4d").unpack
        self.character_box = _undeclared(pdfium.FPDFText_GetCharBox, ctypes.c_int)
        self._origin = _undeclared(pdfium.FPDFText_GetCharOrigin, ctypes.c_int)
        self._font_size = _undeclared(pdfium.FPDFText_GetFontSize, ctypes.c_double)
        self._font_weight = _undeclared(pdfium.FPDFText_GetFontWeight, ctypes.c_int)
        self._font_info = _undeclared(pdfium.FPDFText_GetFontInfo, ctypes.c_ulong)
        self._matrix_of = _undeclared(pdfium.FPDFText_GetMatrix, ctypes.c_int)
        self._x, self._y, self._matrix = ctypes.c_double(), ctypes.c_double(), pdfium.FS_MATRIX()
        self._name, self._flags = ctypes.create_string_buffer(LONGEST_FONT_NAME), ctypes.c_int()
        self._name_size = ctypes.c_ulong(LONGEST_FONT_NAME)

    def origin(self, index: int) -> tuple[float, float]:
        """Where the character stands on its baseline, in the page's own coordinates."""
        self._origin(self.page, index, ctypes.byref(self._x), ctypes.byref(self._y))
        return self._x.value, self._y.value

    def type(self, index: int) -> Type:
        size, matrix = self._font_size(self.page, index), self._matrix
        up = (0.0, size)
        if self._matrix_of(self.page, index, ctypes.byref(matrix)):
            # Many writers set size 1 and let the matrix scale it.
            up = (matrix.c * size, matrix.d * size)
        length = self._font_info(self.page, index, self._name, self._name_size, ctypes.byref(self._flags))
        # A longer name is not written.
        named = length <= LONGEST_FONT_NAME and _is_bold(self._name.value)
        bold = named or self._font_weight(self.page, index) >= BOLD_WEIGHT
        return Type(round(math.hypot(*up), 1), bold, up)


def _undeclared(function: Any, result: Any) -> Any:
    return ctypes.cast(function, ctypes.CFUNCTYPE(result))


@lru_cache(maxsize=1024)
def _is_bold(font_name: bytes) -> bool:
    return bool(BOLD_NAME.search(font_name))
