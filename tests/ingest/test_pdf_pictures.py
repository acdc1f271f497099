"""Large pictures are seen in the bytes of a PDF file, and ticked off as they are met."""

from __future__ import annotations

from pathlib import Path

from ingest.readers.pdf_pictures import LargePictures


def file_of(folder: Path, *dictionaries: bytes) -> Path:
    path = folder / "pictures.pdf"
    objects = [b"%d 0 obj\n<< %s >>\nstream\n\nendstream\nendobj\n" % item for item in enumerate(dictionaries, start=1)]
    path.write_bytes(b"%PDF-1.7\n" + b"".join(objects))
    return path


def test_a_file_without_large_pictures_has_none_to_meet(tmp_path: Path) -> None:
    small = b"/Type /XObject /Subtype /Image /Width 20 /Height 30"
    assert not LargePictures(file_of(tmp_path, b"/Length 0", small)).some_are_unmet


def test_each_large_picture_is_met_once(tmp_path: Path) -> None:
    large = b"/Subtype/Image/Width 800/Height 600"
    pictures = LargePictures(file_of(tmp_path, large, large))
    pictures.meet(800, 600)
    pictures.meet(10, 10)
    assert pictures.some_are_unmet
    pictures.meet(800, 600)
    assert not pictures.some_are_unmet


def test_masks_are_no_pictures_of_their_own(tmp_path: Path) -> None:
    picture, mask = (b"/Subtype /Image /Width 800 /Height 600 " + rest for rest in (b"/SMask 2 0 R", b""))
    pictures = LargePictures(file_of(tmp_path, picture, mask))
    pictures.meet(800, 600)
    assert not pictures.some_are_unmet


def test_where_a_size_is_not_written_out_pages_are_always_searched(tmp_path: Path) -> None:
    pictures = LargePictures(file_of(tmp_path, b"/Subtype /Image /Width 7 0 R /Height 600"))
    pictures.meet(800, 600)
    assert pictures.some_are_unmet
