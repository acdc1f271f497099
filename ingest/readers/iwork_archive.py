"""The packed archives (.iwa) of Apple's office programs: snappy without check sums, and protocol buffers in it."""

from __future__ import annotations

from collections.abc import Iterator

MOST_BYTES = 1 << 28


class NotPacked(Exception):
    """The bytes are not what the format has."""


def unpacked(content: bytes) -> bytes:
    """All chunks: each is a zero, three bytes of length, and snappy's raw format."""
    whole = bytearray()
    at = 0
    while at + 4 <= len(content):
        if content[at] != 0:
            raise NotPacked("a chunk of an unknown kind")
        length = int.from_bytes(content[at + 1 : at + 4], "little")
        whole += _chunk(content[at + 4 : at + 4 + length])
        at += 4 + length
        if len(whole) > MOST_BYTES:
            raise NotPacked("more than any document holds")
    return bytes(whole)


def _chunk(data: bytes) -> bytes:
    length, at = number(data, 0)
    out = bytearray()
    while at < len(data) and len(out) < length:
        tag = data[at]
        at += 1
        if tag & 3 == 0:
            size, at = _literal_size(data, tag, at)
            out += data[at : at + size]
            at += size
            continue
        size, offset, at = _copy(data, tag, at)
        if not 0 < offset <= len(out):
            raise NotPacked("a copy from before the beginning")
        for _ in range(size):  # a copy may overlap what it writes
            out.append(out[-offset])
    return bytes(out)


def _literal_size(data: bytes, tag: int, at: int) -> tuple[int, int]:
    size = tag >> 2
    if size < 60:
        return size + 1, at
    width = size - 59
    return int.from_bytes(data[at : at + width], "little") + 1, at + width


def _copy(data: bytes, tag: int, at: int) -> tuple[int, int, int]:
    """Size, offset and where the next tag stands."""
    if tag & 3 == 1:
        return (tag >> 2 & 7) + 4, (tag >> 5) << 8 | data[at], at + 1
    width = 2 if tag & 3 == 2 else 4
    return (tag >> 2) + 1, int.from_bytes(data[at : at + width], "little"), at + width


def messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    """(kind, body): an archive is told by a header, which names the kinds and lengths of the messages behind it."""
    at = 0
    while at < len(data):
        length, at = number(data, at)
        header = data[at : at + length]
        at += length
        for field, info in fields(header):
            if field == 2 and isinstance(info, bytes):
                inner = dict(fields(info))
                kind, size = inner.get(1, 0), inner.get(3, 0)
                if isinstance(kind, int) and isinstance(size, int):
                    yield kind, data[at : at + size]
                    at += size


def strings(data: bytes, path: tuple[int, ...]) -> Iterator[str]:
    """Texts at the fields of `path`, one inside the other."""
    for field, value in fields(data):
        if field != path[0] or not isinstance(value, bytes):
            continue
        if len(path) > 1:
            yield from strings(value, path[1:])
            continue
        try:
            yield value.decode("utf-8")
        except UnicodeDecodeError:
            continue


def fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Fields of a protocol buffer; stops at the first that cannot be one."""
    at = 0
    while at < len(data):
        key, at = number(data, at)
        kind = key & 7
        if kind == 0:
            value, at = number(data, at)
            yield key >> 3, value
        elif kind == 2:
            length, at = number(data, at)
            yield key >> 3, data[at : at + length]
            at += length
        elif kind in (1, 5):
            at += 8 if kind == 1 else 4
        else:
            return


def number(data: bytes, at: int) -> tuple[int, int]:
    """A number of variable length, and where it ends."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80 or shift > 63:
            return value, at
        shift += 7
