"""The old binary Word file (.doc, Word 6 to 2003) as [MS-DOC] describes it: characters, paragraphs, styles.

Nothing is run and nothing is fetched: macros are other streams, which are not opened.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

WORD_97 = 0xC1
# Where the first words of the file tell of things: offsets into the "file information block".
FLAGS, LANGUAGE, FIRST_BYTE, COUNTS, TABLES = 0x0A, 0x06, 0x18, 0x4C, 0x9A
COUNTS_6, PIECES_6, PAPERS_6 = 0x34, 0x160, 0xB8
STYLES, HEADERS, PAPERS, PIECES = 1, 11, 13, 33
COMPLEX, ENCRYPTED, SECOND_TABLE = 0x0004, 0x0100, 0x0200
SECTOR = 512
# Operations on a paragraph, by version: in a table, end of a row, outline level, number of a list.
IN_TABLE, ROW_END, OUTLINE, LIST = (0x2416, 0x2417, 0x2640, 0x460B)
OPERAND_BYTES = {0: 1, 1: 1, 2: 2, 3: 4, 4: 2, 5: 2, 7: 3}
# By the primary language of the file; all others are Western.
CODE_PAGES = {
    **dict.fromkeys((0x05, 0x0E, 0x15, 0x18, 0x1A, 0x1B, 0x1C, 0x24), "cp1250"),
    **dict.fromkeys((0x02, 0x19, 0x22, 0x23, 0x2F), "cp1251"),
    **{0x08: "cp1253", 0x1F: "cp1254", 0x0D: "cp1255", 0x01: "cp1256", 0x29: "cp1256", 0x1E: "cp874"},
    **dict.fromkeys((0x25, 0x26, 0x27), "cp1257"),
    **{0x11: "cp932", 0x12: "cp949", 0x04: "cp936"},
}


class NotWord(Exception):
    """The streams are not what a Word file has."""


class Locked(Exception):
    """The text is encrypted."""


@dataclass(frozen=True)
class Properties:
    """What a paragraph's properties say: `style` is the number of its style, `outline` is 9 for running text."""

    style: int = 0
    in_table: bool = False
    row_end: bool = False
    outline: int = 9
    listed: bool = False


@dataclass(frozen=True)
class _Piece:
    first: int
    last: int
    offset: int
    width: int


class WordBinary:
    """`stream` is "WordDocument", `tables` gives the stream "0Table" or "1Table" by its name."""

    def __init__(self, stream: bytes, tables: dict[str, bytes]) -> None:
        if len(stream) < 0x200 or stream[:2] not in (b"\xec\xa5", b"\xdc\xa5", b"\x9b\xa5"):
            raise NotWord("the stream does not begin as Word's does")
        self._stream = stream
        (self._version,) = struct.unpack_from("<H", stream, 2)
        (flags,) = struct.unpack_from("<H", stream, FLAGS)
        if flags & ENCRYPTED:
            raise Locked
        self._table = tables.get("1Table" if flags & SECOND_TABLE else "0Table", b"") if self.modern else stream
        self._encoding = CODE_PAGES.get(struct.unpack_from("<H", stream, LANGUAGE)[0] & 0x3FF, "cp1252")
        self._pieces = self._read_pieces(bool(flags & COMPLEX))
        self._bounds, self._papers = self._read_papers()
        self.levels = self._heading_levels()

    @property
    def modern(self) -> bool:
        return bool(self._version >= WORD_97)

    def counts(self) -> list[int]:
        """Characters of the text, footnotes, headers, macros, comments, endnotes, text boxes, boxes in headers."""
        return list(struct.unpack_from("<8i", self._stream, COUNTS if self.modern else COUNTS_6))

    def paragraphs(self, first: int, last: int) -> Iterator[tuple[str, Properties]]:
        """Text and properties of each paragraph or cell between two character positions, with its end mark."""
        text = ""
        for piece in self._pieces:
            start, end = max(first, piece.first), min(last, piece.last)
            if start >= end:
                continue
            begin = piece.offset + (start - piece.first) * piece.width
            raw = self._stream[begin : begin + (end - start) * piece.width]
            said = raw.decode("utf-16-le", "replace") if piece.width == 2 else self._narrow(raw)
            done = 0
            for at, character in enumerate(said):
                if character in "\r\x07\x0c":
                    yield text + said[done : at + 1], self._properties(begin + at * piece.width)
                    text, done = "", at + 1
            text += said[done:]
        if text:
            yield text, Properties()

    def running_texts(self, first: int, last: int) -> Iterator[tuple[bool, int, int]]:
        """Headers and footers between two character positions: whether it is a footer, and where it begins and ends.

        Each section has six texts: header of even and odd pages, footers of both, header and footer of the first page;
        six separators of notes come before all.
        """
        offset, size = self._place(HEADERS) if self.modern else (0, 0)
        data = self._table[offset : offset + size]
        bounds = struct.unpack_from(f"<{len(data) // 4}I", data)
        if len(bounds) < 8:
            yield False, first, last
            return
        for index in range(6, len(bounds) - 2):
            start, end = first + bounds[index], min(last, first + bounds[index + 1])
            if start < end:
                yield index % 6 in (2, 3, 5), start, end

    def _narrow(self, raw: bytes) -> str:
        text = raw.decode(self._encoding if not self.modern else "cp1252", "replace")
        # Two bytes that were one character would move everything behind them.
        return text if len(text) == len(raw) else raw.decode("cp1252", "replace")

    def _read_pieces(self, is_complex: bool) -> list[_Piece]:
        offset, size = self._place(PIECES) if self.modern else struct.unpack_from("<II", self._stream, PIECES_6)
        data = self._table[offset : offset + size]
        at = 0
        while at + 5 <= len(data) and data[at] == 1:
            at += 3 + struct.unpack_from("<H", data, at + 1)[0]
        if at + 5 <= len(data) and data[at] == 2 and (self.modern or is_complex):
            (length,) = struct.unpack_from("<I", data, at + 1)
            return list(self._pieces_in(data[at + 5 : at + 5 + length]))
        first, last = struct.unpack_from("<II", self._stream, FIRST_BYTE)
        return [_Piece(0, max(0, last - first), first, 1)]

    def _pieces_in(self, data: bytes) -> Iterator[_Piece]:
        count = (len(data) - 4) // 12
        ends = struct.unpack_from(f"<{count + 1}I", data, 0)
        for index in range(count):
            (place,) = struct.unpack_from("<I", data, 4 * (count + 1) + 8 * index + 2)
            narrow = bool(place & 0x40000000) or not self.modern
            offset = (place & 0x3FFFFFFF) // (2 if narrow and self.modern else 1)
            yield _Piece(ends[index], ends[index + 1], offset, 1 if narrow else 2)

    def _read_papers(self) -> tuple[list[int], list[Properties]]:
        """Properties of all paragraphs, with the byte offset at which each begins."""
        offset, size = self._place(PAPERS) if self.modern else struct.unpack_from("<II", self._stream, PAPERS_6)
        entry = 4 if self.modern else 2
        data = self._table[offset : offset + size]
        count = max(0, (len(data) - 4) // (4 + entry))
        found: dict[int, Properties] = {}
        for index in range(count):
            at = 4 * (count + 1) + entry * index
            page = int.from_bytes(data[at : at + entry], "little") & 0x3FFFFF
            found.update(self._papers_on(self._stream[page * SECTOR : (page + 1) * SECTOR]))
        bounds = sorted(found)
        return bounds, [found[bound] for bound in bounds]

    def _papers_on(self, page: bytes) -> Iterator[tuple[int, Properties]]:
        if len(page) < SECTOR:
            return
        count = page[511]
        width = 13 if self.modern else 7
        for index in range(count):
            spot = 4 * (count + 1) + width * index
            if spot >= 511:
                return
            (start,) = struct.unpack_from("<I", page, 4 * index)
            yield start, self._properties_at(page, page[spot] * 2)

    def _properties_at(self, page: bytes, at: int) -> Properties:
        if not at or at >= 510:
            return Properties()
        size = page[at]
        if self.modern:
            at, size = (at + 2, page[at + 1] * 2) if size == 0 else (at + 1, size * 2 - 1)
            style = int.from_bytes(page[at : at + 2], "little")
            return _modern_properties(style, page[at + 2 : at + size])
        # Word 6: one byte of style, then six of the height; operations have one byte each.
        return _old_properties(page[at + 1], page[at + 8 : at + 1 + size * 2])

    def _properties(self, offset: int) -> Properties:
        index = bisect_right(self._bounds, offset) - 1
        return self._papers[index] if index >= 0 else Properties()

    def _place(self, index: int) -> tuple[int, int]:
        at = TABLES + 8 * index
        if at + 8 > len(self._stream):
            return 0, 0
        offset, size = struct.unpack_from("<II", self._stream, at)
        return offset, size

    def _heading_levels(self) -> dict[int, int]:
        """Level by the number of a style; the first nine after the first are always the headings. 0 is a title."""
        levels = {number: min(6, number) for number in range(1, 10)}
        if not self.modern:
            return levels
        offset, size = self._place(STYLES)
        data = self._table[offset : offset + size]
        if len(data) < 6:
            return levels
        (header, count, base) = struct.unpack_from("<HHH", data)
        at = 2 + header
        for number in range(count):
            if at + 2 > len(data):
                break
            (length,) = struct.unpack_from("<H", data, at)
            if length >= base >= 4 and at + 6 <= len(data):
                built_in, parent = struct.unpack_from("<HH", data, at + 2)
                if built_in & 0xFFF == 62:
                    levels[number] = 0
                elif (parent >> 4) in levels and number not in levels:
                    levels[number] = levels[parent >> 4]
            at += 2 + length + (length & 1)
        return levels


def _modern_properties(style: int, operations: bytes) -> Properties:
    values = {IN_TABLE: 0, ROW_END: 0, OUTLINE: 9, LIST: 0}
    at = 0
    while at + 2 <= len(operations):
        (code,) = struct.unpack_from("<H", operations, at)
        kind = code >> 13
        at += 2
        if kind == 6:
            size = operations[at] + 1 if at < len(operations) else 1
            if code in (0xD608, 0xD606):  # the widths of a table's columns: their length has two bytes
                size = int.from_bytes(operations[at : at + 2], "little") + 1
        else:
            size = OPERAND_BYTES[kind]
        if code in values:
            values[code] = int.from_bytes(operations[at : at + size], "little")
        at += size
    return Properties(style, bool(values[IN_TABLE]), bool(values[ROW_END]), values[OUTLINE], bool(values[LIST]))


def _old_properties(style: int, operations: bytes) -> Properties:
    # The two marks of a table come first, in the order of their codes, unless the paragraph is an ordinary one.
    pairs = {operations[at] for at in range(0, min(len(operations) - 1, 12))}
    return Properties(style, 24 in pairs, 25 in pairs and 24 in pairs)
