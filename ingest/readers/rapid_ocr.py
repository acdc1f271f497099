"""RapidOCR: PaddleOCR's models by ONNX Runtime. The models lie in its wheel; nothing is fetched."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ingest.errors import Unsupported
from ingest.readers.ocr import Box, Recognised, RecognisedLine
from ingest.readers.reading_order import Placed, blocks
from ingest.readers.tesseract import lacking_languages
from ingest.readers.upright import Quad, before_left_turn, sideways, upright_boxes

if TYPE_CHECKING:
    from PIL.Image import Image

MODELS = {
    "Det": "PP-OCRv6_det_small.onnx",
    "Rec": "PP-OCRv6_rec_small.onnx",
}
# What the one recognition model of the wheel was trained for: Chinese, Japanese, and languages in Latin letters.
LATIN = (
    "en af az bs ca cs cy da de es et eu fi fr ga gl hr hu id is it ku la lb lt lv mi ms mt nl no nb nn oc pl pt qu rm "
    "ro sk sl sq sv sw tl tr uz vi"
)
LANGUAGES = frozenset({"zh", "ja", *LATIN.split()})
# Pictures are brought to this size: below, small print is not found; above, it costs memory and time only.
LONGEST_SIDE_PX = 2400
SHORTEST_SIDE_PX = 736
DETECTION_SIDE_PX = 960
# Shorter lines are filled up to this width. The library's own 320 costs time and reads no better.
NARROWEST_LINE = [3, 48, 96]
MOST_ENLARGED = 3.0
# Letters that touch the edge of a picture are found only with some white around them.
BORDER_PX = 24
LEAST_CONFIDENCE = 0.5
# Leaves and pebbles look like a letter or two.
SHORT_TEXT, LEAST_CONFIDENCE_OF_SHORT = 3, 0.8
# Around a line in large type, in multiples of its height: without it, spaces between its words get lost. Small print
# would lose more by it.
MARGIN = 0.1
LARGE_TYPE_PX = 72
SAMPLES, NO_DOUBT = 3, 0.9


class RapidOcr:
    """Works on one thread. Raises Unsupported when opened for a language that its models do not know."""

    def __init__(self, languages: Sequence[str], *, clock: Callable[[], float] = time.monotonic) -> None:
        require_languages(languages)
        files = require_files()
        import cv2
        from rapidocr import RapidOCR

        cv2.setNumThreads(1)
        self._clock = clock
        self._engine = RapidOCR(
            params={
                "Global.log_level": "critical",
                "Global.use_vertical_padding": False,
                "Global.use_cls": False,
                "EngineConfig.onnxruntime.intra_op_num_threads": 1,
                "EngineConfig.onnxruntime.inter_op_num_threads": 1,
                "Det.limit_type": "max",
                "Det.limit_side_len": DETECTION_SIDE_PX,
                # One line at a time: as fast on one thread, and a line need not be as wide as its neighbours.
                "Rec.rec_batch_num": 1,
                "Rec.rec_img_shape": NARROWEST_LINE,
                **{f"{part}.model_path": str(file) for part, file in files.items()},
            }
        )

    def recognise(self, image: Image, seconds: float) -> Recognised:
        until = self._clock() + seconds
        picture, scale = _prepared(image)
        quads, crops = self._detect(picture)
        turned = sideways(quads)
        if turned:
            # Lines that run up or down are found less well, so that the picture is turned left and looked at anew.
            quads, crops = self._detect(_turned_left(picture))
        down = {tall: self._upside_down(quads, crops, tall) for tall in (False, True)}
        boxes = upright_boxes(quads, down[False])
        placed: list[Placed] = []
        # From the top, so that what the time allows is the beginning of the page.
        for index in sorted(range(len(quads)), key=lambda index: boxes[index][1]):
            if self._clock() > until:
                return Recognised(blocks(placed), complete=False)
            quad, crop = quads[index], crops[index]
            text, confidence = self._read(crop[::-1, ::-1] if down[quad.tall] else crop)
            if text and confidence >= (LEAST_CONFIDENCE_OF_SHORT if len(text) <= SHORT_TEXT else LEAST_CONFIDENCE):
                box = before_left_turn(quad.box, picture.shape[1]) if turned else quad.box
                placed.append(
                    Placed(RecognisedLine(text, _original(box, scale, image.size), confidence), *boxes[index])
                )
        return Recognised(blocks(placed))

    def _detect(self, picture: Any) -> tuple[list[Quad], list[Any]]:
        """The lines of the picture, and each cut out; those that run down or up are turned to the left."""
        from rapidocr.main import RapidOCRError

        try:
            crops, found = self._engine.detect_and_crop(picture, {})
        except RapidOCRError:  # its word for "no text"
            return [], []
        return [Quad(tuple((float(x), float(y)) for x, y in corners)) for corners in found.boxes], crops

    def _upside_down(self, quads: Sequence[Quad], crops: Sequence[Any], tall: bool) -> bool:
        """Whether the lines that are (or are not) tall stand on their heads: the longest are read both ways, unless the
        first way leaves no doubt. The library's own classifier errs too often, even on whole pages."""
        chosen = sorted(
            (index for index, quad in enumerate(quads) if quad.tall == tall), key=lambda i: -quads[i].length
        )
        samples = [crops[index] for index in chosen[:SAMPLES]]
        sure = self._mean_confidence(samples)
        if not samples or sure >= NO_DOUBT:
            return False
        return self._mean_confidence([crop[::-1, ::-1] for crop in samples]) > sure

    def _mean_confidence(self, crops: Sequence[Any]) -> float:
        return sum(self._read(crop)[1] for crop in crops) / max(1, len(crops))

    def _read(self, crop: Any) -> tuple[str, float]:
        import cv2

        margin = round(MARGIN * crop.shape[0]) if crop.shape[0] >= LARGE_TYPE_PX else 0
        crop = cv2.copyMakeBorder(crop, margin, margin, margin, margin, cv2.BORDER_REPLICATE)
        found = self._engine.recognize_txt([crop])
        texts, scores = found.txts or ("",), found.scores or (0.0,)
        return " ".join(texts[0].split()), float(scores[0])


def require_languages(languages: Sequence[str]) -> None:
    """Raises Unsupported for a language that the models were not trained for."""
    unknown = [language for language in languages if language not in LANGUAGES]
    if not unknown:
        return
    lacking = lacking_languages(unknown)
    advice = (
        "set LECTERN_OCR=tesseract, which is installed with it"
        if not lacking
        else f"install Tesseract ({', '.join(lacking)}) and set LECTERN_OCR=tesseract"
    )
    raise Unsupported(
        f"RapidOCR's model does not read the language {', '.join(map(repr, unknown))}; {advice}, "
        "or leave it out of LECTERN_OCR_LANGUAGES"
    )


def require_files() -> dict[str, Path]:
    """The models by part. Raises Unsupported when the package or one of its models is not there."""
    spec = find_spec("rapidocr")
    if spec is None or spec.origin is None:
        raise Unsupported(
            "the package rapidocr is not installed; install requirements.txt again, or set LECTERN_OCR=off"
        )
    folder = Path(spec.origin).parent / "models"
    files = {part: folder / name for part, name in MODELS.items()}
    missing = [file.name for file in files.values() if not file.is_file()]
    if missing:
        raise Unsupported(f"the package rapidocr lacks its model {missing[0]}; install requirements.txt again")
    return files


def _prepared(image: Image) -> tuple[Any, float]:
    """The picture in a useful size, with a white border, blue first as OpenCV has it; and its scale."""
    import numpy
    from PIL import ImageOps

    longest, shortest = max(image.size), max(1, min(image.size))
    scale = min(LONGEST_SIDE_PX / longest, max(1.0, min(SHORTEST_SIDE_PX / shortest, MOST_ENLARGED)))
    if scale != 1.0:
        image = image.resize((max(1, round(image.width * scale)), max(1, round(image.height * scale))))
    bordered = ImageOps.expand(image, BORDER_PX, fill="white")
    return numpy.ascontiguousarray(numpy.asarray(bordered)[:, :, ::-1]), scale


def _turned_left(picture: Any) -> Any:
    import numpy

    return numpy.ascontiguousarray(numpy.rot90(picture))


def _original(box: Box, scale: float, size: tuple[int, int]) -> Box:
    """From the prepared picture to the original one, and inside of it."""
    left, top, right, bottom = ((edge - BORDER_PX) / scale for edge in box)
    width, height = size
    return (
        min(max(left, 0.0), width),
        min(max(top, 0.0), height),
        min(max(right, 0.0), width),
        min(max(bottom, 0.0), height),
    )
