"""How one file is to be read: within which limits, with which text recognition, and from which page on."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

from ingest.limits import Limits

OcrEngine = Literal["rapidocr", "tesseract", "off"]


@dataclass(frozen=True)
class OcrOptions:
    """Recognition of text in pictures and scanned pages. `languages` are ISO 639-1 codes, the most likely first."""

    engine: OcrEngine = "rapidocr"
    languages: tuple[str, ...] = ("en",)

    @property
    def identity(self) -> str:
        """Part of the recipe of what was read: with other options, files with pictures are read again."""
        return "no ocr" if self.engine == "off" else f"{self.engine} {'+'.join(self.languages)}"


@dataclass
class Unpacked:
    """What was unpacked so far of one file on the disk: counted over all its members, and theirs."""

    entries: int = 0
    bytes: int = 0


@dataclass(frozen=True)
class Task:
    """`first_page`: the pages before it (from 0, in reading order) were stored by a run that was killed. A reader
    yields them all the same, since the caller drops them, but may leave out what is dear in them, such as OCR.
    `depth`: how many archives or messages the file lies in; `unpacked` is one count for all of them."""

    limits: Limits = field(default_factory=Limits)
    ocr: OcrOptions = field(default_factory=OcrOptions)
    first_page: int = 0
    depth: int = 0
    unpacked: Unpacked = field(default_factory=Unpacked, compare=False)

    def inside(self) -> Task:
        """For a file that was found inside of this one."""
        return replace(self, first_page=0, depth=self.depth + 1)
