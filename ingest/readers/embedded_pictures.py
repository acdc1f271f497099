"""The pictures that lie in a document's file, in its order: parts of a ZIP package, or data addresses in HTML."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import unquote_to_bytes

from ingest.elements import Omission
from ingest.errors import IngestError
from ingest.readers.decoding import read_bytes
from ingest.readers.markup import descendants
from ingest.readers.office_package import Package
from ingest.task import Task

PICTURE = re.compile(r"\.(png|jpe?g|jfif|gif|bmp|tiff?|webp|heic|heif|avif|jp2|emf|wmf)$", re.IGNORECASE)
# Small previews say again what the document says.
PREVIEW = re.compile(r"(^|/)(thumbnails?|docProps|ObjectReplacements)[/.]", re.IGNORECASE)
DATA_ADDRESS = re.compile(rb"""src\s*=\s*["']?data:image/(?!svg)[\w.+-]+(;base64)?[^,"'>]{0,60},([^"'>]+)""", re.I)
ZIP_START = b"PK\x03\x04"


@dataclass(frozen=True)
class Embedded:
    """`number` is that of its slide. `content` gives the bytes of its file, or None when they are missing."""

    name: str
    number: int | None
    content: Callable[[], bytes | None]


def pictures_left_out(count: int) -> tuple[Omission, ...]:
    """Of formats whose pictures are counted, and not read."""
    what = f"{count} picture{'s'[: count > 1]}"
    return (Omission(what, "text in pictures of this format is not read"),) if count else ()


def embedded_pictures(path: Path, task: Task) -> list[Embedded]:
    """Empty for a file that is damaged: its reader says so. Nothing is unpacked yet."""
    try:
        with path.open("rb") as file:
            packed = file.read(len(ZIP_START)) == ZIP_START
        return list(_of_package(path, task) if packed else _of_html(read_bytes(path, task.limits)))
    except (IngestError, OSError):
        return []


def _of_package(path: Path, task: Task) -> Iterator[Embedded]:
    with closing(Package(path, task)) as package:
        slides = _slide_numbers(package)
        names = [name for name in package.names() if PICTURE.search(name) and not PREVIEW.search(name)]
    names.sort(key=lambda name: (slides.get(name, 0), _natural(name)))
    for name in names:
        yield Embedded(name.rpartition("/")[2], slides.get(name), partial(_content, path, task, name))


def _content(path: Path, task: Task, name: str) -> bytes | None:
    with closing(Package(path, task)) as package:
        return package.content(name)


def _slide_numbers(package: Package) -> dict[str, int]:
    """The first slide that shows a picture, by the picture's name; pictures of masters and layouts have none."""
    main = package.main_part() or ""
    root, relations = package.root(main), package.relations(main)
    numbers: dict[str, int] = {}
    slides = descendants(root, "sldId") if root is not None else iter(())
    for number, slide in enumerate(slides, start=1):
        parts = [relations[str(value)][1] for value in slide.attrib.values() if str(value) in relations]
        for part in parts:
            for picture in package.related(part, "image"):
                numbers.setdefault(picture, number)
    return numbers


def _natural(name: str) -> list[tuple[int, str]]:
    """So that image10 comes after image9."""
    return [(int(piece) if piece.isdigit() else -1, piece) for piece in re.split(r"(\d+)", name)]


def _of_html(source: bytes) -> Iterator[Embedded]:
    for count, match in enumerate(DATA_ADDRESS.finditer(source), start=1):
        yield Embedded(f"{count} of the page", None, partial(_decoded, match.group(2), bool(match.group(1))))


def _decoded(text: bytes, is_base64: bool) -> bytes | None:
    if not is_base64:
        return unquote_to_bytes(text)
    try:
        return base64.b64decode(unquote_to_bytes(text))
    except binascii.Error:
        return None
