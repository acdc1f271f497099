"""Opening pictures that may be hostile: size is checked before unpacking, and plain RGB comes out."""

from __future__ import annotations

import io
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ingest.errors import LimitReached, Unreadable
from ingest.limits import Limits

if TYPE_CHECKING:
    from PIL.Image import Image

# What Pillow may try. Not among them: formats for which it starts programs, or that no office holds.
FORMATS = (
    "PNG",
    "JPEG",
    "TIFF",
    "HEIF",
    "WEBP",
    "AVIF",
    "BMP",
    "DIB",
    "GIF",
    "ICO",
    "JPEG2000",
    "PSD",
)
# JPEG is unpacked in a smaller size at once, so that large photographs are no danger; up to this many times the limit.
SHRUNK_WHILE_READ = 4
SHRUNK_SIDE_PX = 2400
# What Pillow and its decoders raise for damaged pictures.
DAMAGED = (OSError, SyntaxError, ValueError, TypeError, IndexError, KeyError, EOFError, struct.error, OverflowError)


@contextmanager
def opened(source: Path | bytes, name: str, limits: Limits) -> Iterator[Image]:
    """Not unpacked yet. Raises Unreadable, LimitReached."""
    import PIL.Image

    _register_heif()
    with warnings.catch_warnings():
        # Both are said here, as errors of ours.
        warnings.simplefilter("ignore")
        try:
            image = PIL.Image.open(io.BytesIO(source) if isinstance(source, bytes) else source, formats=FORMATS)
        except PIL.Image.DecompressionBombError as exc:
            raise LimitReached(f"{name} has far more pixels than the {limits.pixels:,} allowed.") from exc
        except DAMAGED as exc:
            raise Unreadable(f"{name} is damaged, or not a picture of a known format ({_first_line(exc)}).") from exc
        with image:
            yield image


def plain(image: Image, name: str, limits: Limits) -> Image:
    """The current frame as people see it: upright, RGB, on white. Raises Unreadable, LimitReached."""
    from PIL import ImageOps

    size = image.size
    if image.format in ("JPEG", "MPO") and size[0] * size[1] <= SHRUNK_WHILE_READ * limits.pixels:
        image.draft("RGB", (SHRUNK_SIDE_PX, SHRUNK_SIDE_PX))
    if image.width * image.height > limits.pixels:
        raise LimitReached(
            f"{name} has {size[0]:,} × {size[1]:,} pixels; {limits.pixels:,} are allowed. Save it in a smaller size."
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            image.load()
            return _on_white(ImageOps.exif_transpose(image))
        except DAMAGED as exc:
            raise Unreadable(f"{name} is damaged ({_first_line(exc)}).") from exc


def _on_white(image: Image) -> Image:
    import PIL.Image

    if image.mode.startswith(("I", "F")):
        image = _eight_bits(image)
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
        white = PIL.Image.new("RGBA", image.size, "white")
        white.alpha_composite(image)
        image = white
    return image.convert("RGB")


def _eight_bits(image: Image) -> Image:
    """Pictures with more than 8 bits a pixel, from their darkest to their brightest."""
    import numpy
    import PIL.Image

    values = numpy.nan_to_num(numpy.asarray(image, dtype=numpy.float32))
    darkest, brightest = float(values.min()), float(values.max())
    scaled = (values - darkest) * (255 / max(brightest - darkest, 1e-6))
    return PIL.Image.fromarray(scaled.astype(numpy.uint8))


def _register_heif() -> None:
    import pi_heif

    pi_heif.register_heif_opener()


def _first_line(exc: BaseException) -> str:
    said = str(exc).splitlines()
    return said[0][:200] if said else type(exc).__name__
