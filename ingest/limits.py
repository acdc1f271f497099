"""How much of the machine one file may take: the numbers that every reader, sandbox and pool obeys."""

from __future__ import annotations

from dataclasses import dataclass

MEBIBYTE = 1 << 20


@dataclass(frozen=True)
class Limits:
    """`memory_bytes` bounds the address space of a parser process; the sets of libraries alone take about 1 GiB of it.
    `silence_s` is the longest wait for the next page, `wall_s` the sum of all waits for one file (the time that the
    caller spends between pages does not count); `cpu_s` is the processor time of one file.
    `ocr_page_s` bounds the text recognition of one page, well within `silence_s`; `ocr_s` that of a whole file, which
    `ocr_pages` and `ocr_pictures` (inside of pages of text) bound too. Pictures of fewer than `ocr_smallest_px` pixels,
    or with a side shorter than `ocr_narrowest_px`, are ornaments.
    `message_bytes` bounds what a parser process says at once (its parent needs many times that to check it), and
    `mail_bytes` one letter of a mailbox.
    `unpacked_bytes`, `unpacked_ratio` and `entries` are checked before a zip container is opened by any library.
    """

    memory_bytes: int = 2048 * MEBIBYTE
    cpu_s: int = 600
    wall_s: float = 900.0
    silence_s: float = 120.0
    written_bytes: int = 256 * MEBIBYTE
    open_files: int = 256
    file_bytes: int = 1024 * MEBIBYTE
    pages: int = 20_000
    characters: int = 20_000_000
    message_bytes: int = 32 * MEBIBYTE
    mail_bytes: int = 256 * MEBIBYTE
    unpacked_bytes: int = 1024 * MEBIBYTE
    unpacked_ratio: int = 1000
    entries: int = 20_000
    nesting: int = 5
    pixels: int = 40_000_000
    ocr_page_s: float = 70.0
    ocr_s: float = 7200.0
    ocr_pages: int = 2000
    ocr_pictures: int = 100
    ocr_smallest_px: int = 30_000
    ocr_narrowest_px: int = 60
