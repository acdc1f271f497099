"""Which engine recognises text: chosen by the settings, opened once a process, or a reason why it cannot be."""

from __future__ import annotations

from functools import cache

from ingest.errors import Unsupported
from ingest.readers.ocr import Engine
from ingest.task import OcrOptions


@cache
def open_engine(options: OcrOptions) -> Engine:
    """Kept for the life of the process: an engine holds some hundred MiB and takes a second to open.

    Raises Unsupported, with what to install or to set.
    """
    if options.engine == "rapidocr":
        from ingest.readers.rapid_ocr import RapidOcr

        return RapidOcr(options.languages)
    from ingest.readers.tesseract import Tesseract

    return Tesseract(options.languages)


def unavailable(options: OcrOptions) -> str | None:
    """Why text recognition would not work with these settings, for `doctor` and the start; None when it would.

    Cheap: no model is loaded.
    """
    if options.engine == "off":
        return None
    try:
        if options.engine == "rapidocr":
            from ingest.readers.rapid_ocr import require_files, require_languages

            require_languages(options.languages)
            require_files()
        else:
            from ingest.readers.tesseract import require_tesseract

            require_tesseract(options.languages)
    except Unsupported as exc:
        return str(exc)
    return None
