"""Tesseract, the program: for languages that RapidOCR's models do not know. Found on the PATH, run once a picture."""

from __future__ import annotations

import csv
import io
import shutil
import subprocess
from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from ingest.errors import Unreadable, Unsupported
from ingest.readers.ocr import Block, Recognised, RecognisedLine

if TYPE_CHECKING:
    from PIL.Image import Image

PROGRAM = "tesseract"
# Tesseract's names for the codes of ISO 639-1; other codes are handed on as they are.
CODES = {
    "af": "afr", "ar": "ara", "be": "bel", "bg": "bul", "bn": "ben", "ca": "cat", "cs": "ces", "da": "dan",
    "de": "deu", "el": "ell", "en": "eng", "es": "spa", "et": "est", "eu": "eus", "fa": "fas", "fi": "fin",
    "fr": "fra", "ga": "gle", "gl": "glg", "he": "heb", "hi": "hin", "hr": "hrv", "hu": "hun", "hy": "hye",
    "id": "ind", "is": "isl", "it": "ita", "ja": "jpn", "ka": "kat", "ko": "kor", "la": "lat", "lt": "lit",
    "lv": "lav", "mk": "mkd", "ms": "msa", "mt": "mlt", "nb": "nor", "nl": "nld", "nn": "nor", "no": "nor",
    "pl": "pol", "pt": "por", "ro": "ron", "ru": "rus", "sk": "slk", "sl": "slv", "sq": "sqi", "sr": "srp",
    "sv": "swe", "sw": "swa", "ta": "tam", "te": "tel", "th": "tha", "tl": "tgl", "tr": "tur", "uk": "ukr",
    "ur": "urd", "vi": "vie", "zh": "chi_sim",
}  # fmt: skip
# What finds out how a page is turned, a "language" of its own.
ORIENTATION = "osd"
LONGEST_SIDE_PX = 3600
SHORTEST_SIDE_PX = 736
MOST_ENLARGED = 3.0
LEAST_CONFIDENCE = 0.3
LIST_S = 20.0
WORD_LEVEL = "5"


class Tesseract:
    """Raises Unsupported when opened without the program, or without one of the languages."""

    def __init__(self, languages: Sequence[str]) -> None:
        installed = require_tesseract(languages)
        self._languages = "+".join(dict.fromkeys(map(tesseract_code, languages)))
        # 1: with the page's orientation found out first; 3: as it lies.
        self._layout = "1" if ORIENTATION in installed else "3"

    def recognise(self, image: Image, seconds: float) -> Recognised:
        """Raises Unreadable when the program fails."""
        longest, shortest = max(image.size), max(1, min(image.size))
        scale = min(LONGEST_SIDE_PX / longest, max(1.0, min(SHORTEST_SIDE_PX / shortest, MOST_ENLARGED)))
        if scale != 1.0:
            image = image.resize((max(1, round(image.width * scale)), max(1, round(image.height * scale))))
        picture = io.BytesIO()
        image.save(picture, "PPM")
        command = [PROGRAM, "-", "-", "-l", self._languages, "--psm", self._layout, "tsv"]
        try:
            done = subprocess.run(command, input=picture.getvalue(), capture_output=True, timeout=seconds, check=False)
        except subprocess.TimeoutExpired:
            return Recognised(complete=False)
        if done.returncode:
            said = done.stderr.decode("utf-8", errors="replace").strip().splitlines()
            raise Unreadable(f"Tesseract failed: {said[-1][:200] if said else f'status {done.returncode}'}")
        return Recognised(_blocks(done.stdout.decode("utf-8", errors="replace"), scale))


def tesseract_code(language: str) -> str:
    return CODES.get(language, language)


def installed_languages() -> frozenset[str]:
    """Tesseract's names of them; empty when the program is not there."""
    if shutil.which(PROGRAM) is None:
        return frozenset()
    try:
        done = subprocess.run([PROGRAM, "--list-langs"], capture_output=True, timeout=LIST_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return frozenset()
    # The first line says where they lie.
    return frozenset(done.stdout.decode("utf-8", errors="replace").split("\n", 1)[-1].split())


def lacking_languages(languages: Sequence[str]) -> list[str]:
    """Tesseract's names of those that it does not have installed."""
    installed = installed_languages()
    return [code for code in map(tesseract_code, languages) if code not in installed]


def require_tesseract(languages: Sequence[str]) -> frozenset[str]:
    """The installed languages. Raises Unsupported, with what to install."""
    installed = installed_languages()
    if not installed:
        raise Unsupported(
            f"LECTERN_OCR=tesseract needs the program {PROGRAM}, which is not on the PATH; install it (Debian: "
            "tesseract-ocr), or set LECTERN_OCR=rapidocr"
        )
    missing = [code for code in map(tesseract_code, languages) if code not in installed]
    if missing:
        raise Unsupported(
            f"Tesseract has no data for the language {', '.join(map(repr, missing))}; install it (Debian: "
            f"tesseract-ocr-{missing[0].replace('_', '-')}), or leave it out of LECTERN_OCR_LANGUAGES"
        )
    return installed


def _blocks(table: str, scale: float) -> tuple[Block, ...]:
    """Tesseract's paragraphs, in its own reading order."""
    rows = csv.DictReader(io.StringIO(table), delimiter="\t", quoting=csv.QUOTE_NONE)
    words = [row for row in rows if row["level"] == WORD_LEVEL and (row["text"] or "").strip()]
    blocks = []
    for _, paragraph in groupby(words, key=lambda row: (row["block_num"], row["par_num"])):
        lines = [_line(list(line), scale) for _, line in groupby(paragraph, key=lambda row: row["line_num"])]
        kept = tuple((line,) for line in lines if line.confidence >= LEAST_CONFIDENCE)
        if kept:
            blocks.append(Block(kept))
    return tuple(blocks)


def _line(words: Sequence[dict[str, str]], scale: float) -> RecognisedLine:
    boxes = [[float(word[name]) / scale for name in ("left", "top", "width", "height")] for word in words]
    text = " ".join(word["text"] for word in words)
    weighted = sum(len(word["text"]) * float(word["conf"]) / 100 for word in words)
    box = (
        min(box[0] for box in boxes),
        min(box[1] for box in boxes),
        max(box[0] + box[2] for box in boxes),
        max(box[1] + box[3] for box in boxes),
    )
    return RecognisedLine(text, box, max(0.0, weighted / sum(len(word["text"]) for word in words)))
