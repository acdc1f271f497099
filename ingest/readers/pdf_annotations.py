"""What stands on a PDF page without being in its text: notes, free text, and the values of form fields."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from typing import Any

from ingest.readers.pdf_lines import PdfLine, TextPage

LONGEST_VALUE_BYTES = 1 << 20


def annotation_lines(page: Any, text_page: TextPage) -> Iterator[PdfLine]:
    """Each annotation's text as one line with its box: its `Contents`, or "field: value" for a filled form field.

    Not read: appearances that hold more than the contents, attached files, sound, and buttons without a value.
    """
    import pypdfium2.raw as pdfium

    written = {pdfium.FPDF_ANNOT_TEXT, pdfium.FPDF_ANNOT_FREETEXT, pdfium.FPDF_ANNOT_HIGHLIGHT, pdfium.FPDF_ANNOT_STAMP}
    for index in range(pdfium.FPDFPage_GetAnnotCount(page)):
        annotation = pdfium.FPDFPage_GetAnnot(page, index)
        if not annotation:
            continue
        try:
            kind = pdfium.FPDFAnnot_GetSubtype(annotation)
            if kind == pdfium.FPDF_ANNOT_WIDGET:
                text = _field(annotation)
            else:
                text = _string(annotation, b"Contents") if kind in written else ""
            if text.strip():
                yield _line(text, annotation, text_page)
        finally:
            pdfium.FPDFPage_CloseAnnot(annotation)


def _field(annotation: Any) -> str:
    value = _string(annotation, b"V").strip()
    name = (_string(annotation, b"TU") or _string(annotation, b"T")).strip()
    if not value or value == "Off":
        return ""
    return f"{name}: {value}" if name else value


def _string(annotation: Any, key: bytes) -> str:
    import pypdfium2.raw as pdfium

    length = pdfium.FPDFAnnot_GetStringValue(annotation, key, None, 0)
    if not 2 < length <= LONGEST_VALUE_BYTES:
        return ""
    buffer = (ctypes.c_ushort * (length // 2))()
    pdfium.FPDFAnnot_GetStringValue(annotation, key, buffer, length)
    return bytes(buffer).decode("utf-16-le", errors="replace").rstrip("\x00")


def _line(text: str, annotation: Any, text_page: TextPage) -> PdfLine:
    import pypdfium2.raw as pdfium

    place = pdfium.FS_RECTF()
    pdfium.FPDFAnnot_GetRect(annotation, place)
    left, top, right, bottom = text_page.box(place.left, place.bottom, place.right, place.top)
    return PdfLine(" ".join(text.split()), left, top, right, bottom, size=0.0, bold=False)
