"""What reading some files takes: engines of text recognition, LibreOffice, libarchive."""

from __future__ import annotations

import pytest

from ingest.readers import libreoffice
from ingest.task import OcrOptions
from rag.examination import installation


def test_the_engine_that_recognises_text_is_named_with_its_languages() -> None:
    found = installation.examine_text_recognition(OcrOptions("rapidocr", ("en", "de")))
    assert (found["severity"], found["detail"]) == ("ok", "RapidOCR, for en, de: reads scanned pages and pictures")


def test_a_language_that_the_engine_does_not_read_is_an_error() -> None:
    found = installation.examine_text_recognition(OcrOptions("rapidocr", ("en", "ko")))
    assert found["severity"] == "error"
    assert "'ko'" in found["detail"]
    assert "LECTERN_OCR_LANGUAGES" in found["remedy"]


def test_text_recognition_that_is_off_is_a_warning() -> None:
    assert installation.examine_text_recognition(OcrOptions("off"))["severity"] == "warning"


def test_without_libreoffice_the_kinds_of_files_that_need_it_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libreoffice, "program", lambda: None)
    found = installation.examine_office()
    assert found["severity"] == "warning"
    assert ".wpd" in found["detail"]


def test_without_libarchive_the_archives_that_need_it_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installation, "archive_library_problem", lambda: OSError("no library"))
    found = installation.examine_archives()
    assert found["severity"] == "warning"
    assert ".rar, .cab and .iso" in found["detail"]
