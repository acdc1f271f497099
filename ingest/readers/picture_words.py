"""What the maker of a picture wrote into its file: a title and descriptions, from EXIF, IPTC and PNG's own fields."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ingest.readers.images import DAMAGED

if TYPE_CHECKING:
    from PIL.Image import Image

# Numbers of EXIF fields. Windows writes its own in UTF-16.
EXIF_DESCRIPTION = 0x010E
EXIF_WINDOWS = (0x9C9B, 0x9C9F, 0x9C9C, 0x9C9E)  # title, subject, comment, keywords
IPTC_TITLE, IPTC_HEADLINE, IPTC_CAPTION = (2, 5), (2, 105), (2, 120)
PNG_TITLE, PNG_TEXTS = "Title", ("Description", "Comment", "Caption")
LONGEST = 5_000
LONGEST_TITLE = 300


@dataclass(frozen=True)
class Words:
    title: str | None = None
    texts: tuple[str, ...] = ()


def words_of(image: Image) -> Words:
    """Fields that cannot be read are as good as none: the picture is what counts."""
    titles: list[str] = []
    texts: list[str] = []
    for read in (_exif, _iptc, _png):
        try:
            for is_title, text in read(image):
                (titles if is_title else texts).append(text)
        except DAMAGED:
            continue
    titles, texts = (
        [" ".join(text.split())[:LONGEST] for text in found if any(map(str.isalpha, text))] for found in (titles, texts)
    )
    title = titles[0][:LONGEST_TITLE] if titles else None
    return Words(title, tuple(dict.fromkeys([*titles, *texts])))


def _exif(image: Image) -> Iterator[tuple[bool, str]]:
    exif = image.getexif()
    for tag in EXIF_WINDOWS:
        value = exif.get(tag)
        if isinstance(value, bytes):
            yield tag == EXIF_WINDOWS[0], value.decode("utf-16-le", errors="replace").rstrip("\x00")
    description = exif.get(EXIF_DESCRIPTION)
    if isinstance(description, str):
        yield False, description


def _iptc(image: Image) -> Iterator[tuple[bool, str]]:
    from PIL.IptcImagePlugin import getiptcinfo

    # Declared for two kinds of image files; it looks what it was given.
    fields = getiptcinfo(image) or {}  # type: ignore[arg-type]
    for tag in (IPTC_TITLE, IPTC_HEADLINE, IPTC_CAPTION):
        value = fields.get(tag)
        if isinstance(value, bytes):
            yield tag != IPTC_CAPTION, value.decode("utf-8", errors="replace")


def _png(image: Image) -> Iterator[tuple[bool, str]]:
    texts = image.info if image.format == "PNG" else {}
    for name in (PNG_TITLE, *PNG_TEXTS):
        if isinstance(texts.get(name), str):
            yield name == PNG_TITLE, str(texts[name])
