"""PDF pages: nothing lost, every line where it is seen, structure found, damage contained."""

from __future__ import annotations

import io
from pathlib import Path

import pypdfium2
import pytest

from ingest.elements import Page, Summary
from ingest.errors import LimitReached, Unreadable
from ingest.limits import Limits
from ingest.readers.page_ranges import page_ranges
from ingest.readers.pdf import read
from ingest.readers.pdf_image import render_page
from ingest.task import OcrOptions, Task

HANDBOOKS = "eval/hr-handbook/docs"


def pages_of(path: Path) -> list[Page]:
    return [item for item in read(path, Task()) if isinstance(item, Page)]


def summary_of(path: Path, limits: Limits | None = None) -> Summary:
    *_, last = read(path, Task(limits or Limits()))
    assert isinstance(last, Summary)
    return last


def four_grams(text: str) -> set[tuple[str, ...]]:
    words = text.split()
    return {tuple(words[at : at + 4]) for at in range(len(words) - 3)}


def by_hand(objects: list[bytes]) -> bytes:
    """A PDF of numbered objects; pdfium rebuilds the missing table of offsets."""
    body = b"".join(b"%d 0 obj\n%s\nendobj\n" % (number, content) for number, content in enumerate(objects, start=1))
    return b"%PDF-1.7\n" + body + b"trailer << /Root 1 0 R >>\n%%EOF"


def stream(content: bytes) -> bytes:
    return b"<< /Length %d >>\nstream\n%s\nendstream" % (len(content), content)


def one_page(content: bytes, page: bytes = b"", font: bytes = b"/Subtype /Type1 /BaseFont /Helvetica") -> bytes:
    return by_hand(
        [
            b"<< /Type /Catalog /Pages 2 0 R >>",
            b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 400 600] /Contents 4 0 R "
            b"/Resources << /Font << /F 5 0 R >> >> " + page + b" >>",
            stream(content),
            b"<< /Type /Font " + font + b" >>",
        ]
    )


def test_every_four_words_of_pdfiums_own_page_text_are_there(shared: Path) -> None:
    for path in (shared / HANDBOOKS).glob("*.pdf"):
        document = pypdfium2.PdfDocument(path)
        for page, source in zip(pages_of(path), document, strict=True):
            expected = source.get_textpage().get_text_range().replace("\ufffe", "-")
            # Hyphens end lines here and not in pdfium's text, so white space is no measure there.
            assert "".join(page.text.split()) == "".join(expected.split())
            if "\ufffe" not in source.get_textpage().get_text_range():
                assert four_grams(expected) <= four_grams(page.text)
        document.close()


def test_a_hyphen_at_a_line_end_in_a_table_is_one(tmp_path: Path) -> None:
    rows = b"".join(
        b"1 0 0 1 40 %d Tm (%s) Tj 1 0 0 1 200 %d Tm (%s) Tj 1 0 0 1 300 %d Tm (%s) Tj\n" % (y, a, y, b, y, c)
        for y, a, b, c in [
            (500, b"Year", b"2018", b"Non-"),
            (486, b"Sales", b"17", b"18"),
            (472, b"Costs", b"27", b"28"),
            (458, b"Taxes", b"37", b"38"),
        ]
    )
    path = tmp_path / "table.pdf"
    path.write_bytes(one_page(b"BT /F 10 Tf " + rows + b"ET"))
    (page,) = pages_of(path)
    assert "table" in {element.kind for element in page.elements}
    assert "Non-" in page.text
    assert "\ufffd" not in page.text


def test_a_page_with_a_rule_and_nothing_else_is_blank(tmp_path: Path) -> None:
    path = tmp_path / "rule.pdf"
    path.write_bytes(one_page(b"40 500 320 1 re f"))
    assert [page.text for page in pages_of(path)] == [""]
    assert not [omission for omission in summary_of(path).omissions if "none was recognised" in omission.reason]


def test_hyphens_at_line_ends_stay_as_they_are(shared: Path) -> None:
    first = pages_of(shared / "format-zoo/pdf/tracemonkey.pdf")[0]
    assert "are more difficult to com-\npile than statically typed ones" in first.text


def test_lines_cover_the_text_and_lie_inside_their_page(shared: Path) -> None:
    for path in (shared / HANDBOOKS).glob("*.pdf"):
        for page in pages_of(path):
            assert page.width is not None
            assert page.height is not None
            assert "".join("".join(page.text[line.start : line.end] for line in page.lines).split()) == "".join(
                page.text.split()
            )
            for line in page.lines:
                assert 0 <= line.left < line.right <= page.width
                assert 0 <= line.top < line.bottom <= page.height


@pytest.mark.parametrize("turn", [0, 90, 180, 270])
def test_boxes_hold_the_ink_of_their_line_on_turned_and_cropped_pages(tmp_path: Path, turn: int) -> None:
    path = tmp_path / "turned.pdf"
    path.write_bytes(
        one_page(
            b"BT /F 20 Tf 100 500 Td (First line) Tj 0 -200 Td (Second) Tj ET",
            page=b"/Rotate %d /CropBox [50 100 350 550]" % turn,
        )
    )
    page = pages_of(path)[0]
    assert page.width is not None
    assert page.height is not None
    from PIL import Image

    image = Image.open(io.BytesIO(render_page(path, 1, 900, Limits()))).convert("L")
    scale = image.width / page.width
    assert image.height == pytest.approx(page.height * scale, abs=2)
    assert len(page.lines) == 2
    for line in page.lines:
        box = [round(scale * edge) for edge in (line.left - 1, line.top - 1, line.right + 1, line.bottom + 1)]
        darkest, _ = image.crop((box[0], box[1], box[2], box[3])).getextrema()
        assert isinstance(darkest, int | float)
        assert darkest < 100
        image.paste(255, (box[0], box[1], box[2], box[3]))
    assert image.getextrema() == (255, 255), "ink outside of the boxes"


def test_letters_beyond_the_basic_plane_do_not_shift_the_lines_after_them(tmp_path: Path) -> None:
    to_unicode = stream(
        b"/CIDInit /ProcSet findresource begin 12 dict begin begincmap /CMapName /X def /CMapType 2 def\n"
        b"1 begincodespacerange <00> <FF> endcodespacerange\n"
        b"1 beginbfchar <41> <D83DDE00> endbfchar\n1 beginbfrange <61> <7A> <0061> endbfrange\nendcmap end end"
    )
    content = b"BT /F 20 Tf 100 500 Td (AAAA) Tj 0 -200 Td (below) Tj ET"
    font = b"/Subtype /Type1 /BaseFont /Helvetica /ToUnicode 6 0 R"
    path = tmp_path / "emoji.pdf"
    path.write_bytes(one_page(content, font=font).replace(b"trailer", b"6 0 obj\n" + to_unicode + b"\nendobj\ntrailer"))
    page = pages_of(path)[0]
    assert page.text.split() == ["\U0001f600" * 4, "below"]
    first, second = page.lines
    assert first.bottom < 150 < 280 < second.top
    assert second.right - second.left == pytest.approx(50, abs=10)


def test_headings_lists_and_page_numbers_are_told_from_paragraphs(shared: Path) -> None:
    pages = pages_of(shared / HANDBOOKS / "Northwind_Standard_Benefits_Details.pdf")
    found = {(element.kind, page.text[element.start : element.end]) for page in pages for element in page.elements}
    assert ("heading", "Summary of Benefits") in found
    assert any(kind == "list_item" and text.startswith("•") for kind, text in found)
    headings = [text for kind, text in found if kind == "heading"]
    assert all(len(text) <= 200 for text in headings)
    assert len(headings) < len(pages) * 5


def test_running_heads_are_told_apart(shared: Path) -> None:
    page = pages_of(shared / "eval/financebench/docs/AMERICANWATERWORKS_2021_10K.pdf")[39]
    kinds = {page.text[element.start : element.end]: element.kind for element in page.elements}
    assert kinds["Table of Contents"] == "header"
    assert kinds["38"] == "footer"


def test_the_title_comes_from_the_metadata_or_the_title_page(shared: Path) -> None:
    assert summary_of(shared / HANDBOOKS / "employee_handbook.pdf").title == "Contoso Electronics Employee Handbook"
    northwind = summary_of(shared / HANDBOOKS / "Northwind_Standard_Benefits_Details.pdf")
    assert northwind.title == "Contoso Electronics Northwind Health Standard Plan"


def test_pages_without_text_are_empty_and_named_when_recognition_is_off(shared: Path) -> None:
    path = shared / "format-zoo/scanned/nemotron_multipage.pdf"
    *pages, summary = read(path, Task(ocr=OcrOptions("off")))
    assert [(page.number, page.text) for page in pages if isinstance(page, Page)] == [(n, "") for n in range(1, 5)]
    assert isinstance(summary, Summary)
    (omission,) = summary.omissions
    assert omission.what == "pages 1\u20134"
    assert "LECTERN_OCR" in omission.reason


def test_one_bad_page_leaves_the_others(shared: Path) -> None:
    path = shared / "format-zoo/broken/Pages-tree-refs.pdf"
    assert "Testcase" in pages_of(path)[0].text
    assert summary_of(path).omissions[0].what == "page 2"


def test_a_file_whose_index_had_to_be_rebuilt_says_so(tmp_path: Path) -> None:
    path = tmp_path / "damaged.pdf"
    path.write_bytes(one_page(b"BT /F 20 Tf 100 500 Td (Still here) Tj ET"))
    assert "Still here" in pages_of(path)[0].text
    assert "damaged" in summary_of(path).omissions[0].reason


def test_streams_that_are_packed_as_pictures_and_are_none_are_named(tmp_path: Path) -> None:
    path = tmp_path / "bomb.pdf"
    packed = b"<< /Length 4 /Filter /JBIG2Decode >>\nstream\nbomb\nendstream"
    path.write_bytes(
        one_page(b"BT /F 20 Tf 100 500 Td (Text) Tj ET").replace(
            b"trailer", b"6 0 obj\n" + packed + b"\nendobj\ntrailer"
        )
    )
    assert "1 stream" in [omission.what for omission in summary_of(path).omissions]


def test_pages_are_the_same_wherever_a_run_was_resumed(shared: Path) -> None:
    path = shared / HANDBOOKS / "employee_handbook.pdf"
    resumed = [item for item in read(path, Task(first_page=6)) if isinstance(item, Page)]
    assert resumed == pages_of(path)


def test_notes_and_filled_fields_are_read(shared: Path) -> None:
    assert "Hello World from Okular" in pages_of(shared / "format-zoo/pdf/freetexts.pdf")[0].text


def test_pages_beyond_the_limit_are_named(shared: Path) -> None:
    items = list(read(shared / HANDBOOKS / "employee_handbook.pdf", Task(Limits(pages=3))))
    assert len(items) == 4
    summary = items[-1]
    assert isinstance(summary, Summary)
    assert summary.pages_total == 11
    assert summary.omissions[0].what == "the pages after page 3, up to 11"


def test_a_page_that_is_not_there_or_too_large_is_not_drawn(shared: Path) -> None:
    path = shared / HANDBOOKS / "employee_handbook.pdf"
    with pytest.raises(Unreadable, match="11 pages"):
        render_page(path, 12, 400, Limits())
    with pytest.raises(LimitReached):
        render_page(path, 1, 4000, Limits(pixels=1000))


def test_ranges_of_pages_are_written_as_people_write_them() -> None:
    assert page_ranges([2], most=9) == "page 2"
    assert page_ranges([1, 3, 4, 5, 9], most=9) == "pages 1, 3\u20135, 9"
    assert page_ranges([1, 3, 4, 5, 9], most=1) == "pages 1 and 4 more"
