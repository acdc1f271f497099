"""Text in pictures and scans is read in its order and with its place; what is not read is said."""

from __future__ import annotations

import base64
import io
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image, ImageDraw, ImageFont

from ingest.elements import Page, Summary
from ingest.errors import LimitReached, Unreadable, Unsupported
from ingest.formats import detect
from ingest.limits import Limits
from ingest.parser_pool import ParserPool
from ingest.readers import enclosed, html, pdf, picture
from ingest.readers.ocr import Block, Recognised, RecognisedLine, Recognition
from ingest.readers.ocr_engines import unavailable
from ingest.readers.reading_order import Placed, blocks
from ingest.readers.tesseract import installed_languages
from ingest.readers.upright import Quad, before_left_turn, sideways, upright_boxes
from ingest.task import OcrOptions, Task
from models.cancellation import CancelToken

FONT = "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf"
LETTER = [
    "The harbour office opens at seven",
    "Ships report their cargo by noon",
    "Fees are due within thirty days",
    "Complaints go to the warden",
]
LEFT = ["Apples are red and grow", "in the northern valley", "where the winters are", "long and quite severe"]
RIGHT = ["Pears are green and like", "the warmer slopes of the", "south, where nobody has", "seen any snow for years"]
OFF = Task(ocr=OcrOptions("off"))


@pytest.fixture(scope="module")
def font() -> ImageFont.FreeTypeFont:
    if not Path(FONT).exists():
        pytest.skip("needs Debian's fonts-dejavu-core")
    return ImageFont.truetype(FONT, 28)


Draw = Callable[..., Image.Image]


@pytest.fixture
def draw(font: ImageFont.FreeTypeFont) -> Draw:
    def drawn(
        *columns: list[str], size: tuple[int, int] = (1000, 500), left: int = 60, width: int = 480
    ) -> Image.Image:
        image = Image.new("RGB", size, "white")
        pen = ImageDraw.Draw(image)
        for column, lines in enumerate(columns):
            for row, line in enumerate(lines):
                pen.text((left + column * width, 50 + 42 * row), line, font=font, fill="black")
        return image

    return drawn


def read(path: Path, task: Task | None = None) -> tuple[list[Page], Summary]:
    *pages, summary = picture.read(path, task or Task())
    assert isinstance(summary, Summary)
    return [page for page in pages if isinstance(page, Page)], summary


def words(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "bmp", "gif", "tiff", "avif", "jp2"])
def test_a_picture_of_any_format_gives_its_lines_and_their_places(draw: Draw, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"letter.{suffix}"
    draw(LETTER).save(path)
    (page,), summary = read(path)
    assert page.text.split("\n") == LETTER
    assert (page.width, page.height, page.number, summary.pages_total) == (1000, 500, None, 1)
    assert page.confidence is not None
    assert page.confidence > 0.9
    first = page.lines[0]
    assert page.text[first.start : first.end] == LETTER[0]
    assert 40 < first.left < 80
    assert 30 < first.top < first.bottom < 100


def test_a_picture_is_known_by_its_content_whatever_its_name(draw: Draw, tmp_path: Path) -> None:
    path = tmp_path / "letter.jpg"
    draw(LETTER).save(path, "PNG")
    assert detect(path).reader == "picture"
    assert read(path)[0][0].text.startswith(LETTER[0])


@pytest.mark.parametrize("angle", [90, 180, 270, 7])
def test_a_turned_or_crooked_page_is_read_from_its_top(draw: Draw, tmp_path: Path, angle: int) -> None:
    path = tmp_path / "turned.png"
    draw(LETTER).rotate(angle, expand=True, fillcolor="white").save(path)
    (page,), _ = read(path)
    assert words(page.text) == " ".join(LETTER)
    for line in page.lines:
        assert 0 <= line.left < line.right <= (page.width or 0)
        assert 0 <= line.top < line.bottom <= (page.height or 0)


def test_a_photograph_that_says_how_it_was_held_is_turned_first(draw: Draw, tmp_path: Path) -> None:
    path = tmp_path / "held.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6
    draw(LETTER).rotate(90, expand=True).save(path, exif=exif)
    (page,), _ = read(path)
    assert (page.width, page.height) == (1000, 500)
    assert page.text.split("\n") == LETTER


def test_columns_are_read_one_after_the_other(draw: Draw, tmp_path: Path) -> None:
    path = tmp_path / "columns.png"
    draw(LEFT, RIGHT).save(path)
    assert words(read(path)[0][0].text) == " ".join(LEFT + RIGHT)


def test_the_rows_of_a_table_stay_rows(draw: Draw, tmp_path: Path) -> None:
    path = tmp_path / "table.png"
    draw(["Item", "Paper", "Ink"], ["Amount", "120.00", "307.35"]).save(path)
    assert read(path)[0][0].text.split("\n") == ["Item Amount", "Paper 120.00", "Ink 307.35"]


def test_a_picture_without_text_says_so_and_is_not_called_damaged(tmp_path: Path) -> None:
    path = tmp_path / "blank.png"
    Image.new("RGB", (640, 480), "navy").save(path)
    with pytest.raises(Unsupported, match=r"No text was recognised in blank\.png \(640 × 480 pixels\)") as said:
        read(path)
    assert said.value.state == "skipped"
    assert "vision model" in str(said.value)


def test_what_the_maker_wrote_into_the_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "holiday.jpg"
    exif = Image.Exif()
    exif[0x010E] = "The pier at Whitby in spring"
    Image.new("RGB", (640, 480), "navy").save(path, exif=exif)
    (page,), _ = read(path)
    assert page.text == "The pier at Whitby in spring"
    assert page.elements[0].kind == "caption"
    assert page.confidence is None


def test_each_page_of_a_tiff_is_a_page(draw: Draw, tmp_path: Path) -> None:
    path = tmp_path / "fax.tiff"
    blank = Image.new("RGB", (1000, 500), "white")
    draw(LETTER[:2]).save(path, save_all=True, append_images=[blank, draw(LETTER[2:])])
    pages, summary = read(path)
    assert [(page.number, words(page.text)) for page in pages] == [
        (1, " ".join(LETTER[:2])),
        (2, ""),
        (3, " ".join(LETTER[2:])),
    ]
    assert summary.pages_total == 3


def test_pages_that_were_stored_before_are_not_recognised_again(draw: Draw, tmp_path: Path) -> None:
    path = tmp_path / "fax.tiff"
    draw(LETTER[:2]).save(path, save_all=True, append_images=[draw(LETTER[2:])])
    pages, _ = read(path, Task(first_page=1))
    assert [words(page.text) for page in pages] == ["", " ".join(LETTER[2:])]


def test_see_through_and_deep_pictures_are_read_like_others(draw: Draw, tmp_path: Path) -> None:
    ink = draw(LETTER).convert("L").point(lambda value: 255 - value)
    clear = Image.new("RGBA", ink.size, (0, 0, 0, 0))
    clear.putalpha(ink)
    clear.save(tmp_path / "clear.png")
    deep = draw(LETTER).convert("L").convert("I").point(lambda value: value * 200)
    deep.convert("I;16").save(tmp_path / "deep.png")
    for name in ("clear.png", "deep.png"):
        assert read(tmp_path / name)[0][0].text.split("\n") == LETTER


def test_a_bomb_of_pixels_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "bomb.png"
    Image.new("1", (12_000, 12_000)).save(path)
    with pytest.raises(LimitReached, match=r"bomb\.png has 12,000 × 12,000 pixels; 40,000,000 are allowed"):
        read(path)
    Image.new("1", (30_000, 30_000)).save(path)
    with pytest.raises(LimitReached, match=r"bomb\.png has far more pixels"):
        read(path)


def test_a_damaged_picture_says_that_it_is_damaged(draw: Draw, tmp_path: Path) -> None:
    path = tmp_path / "torn.png"
    draw(LETTER).save(path)
    path.write_bytes(path.read_bytes()[:600])
    with pytest.raises(Unreadable, match=r"torn\.png is damaged"):
        read(path)


def test_with_recognition_off_the_reason_says_how_to_turn_it_on(draw: Draw, tmp_path: Path) -> None:
    path = tmp_path / "letter.png"
    draw(LETTER).save(path)
    with pytest.raises(Unsupported, match=r"letter\.png .* set LECTERN_OCR=rapidocr"):
        read(path, OFF)


def test_a_language_that_the_models_do_not_know_is_named_with_what_to_do() -> None:
    said = unavailable(OcrOptions("rapidocr", ("en", "ko"))) or ""
    assert "'ko'" in said
    assert "LECTERN_OCR=tesseract" in said
    assert "'xx'" in (unavailable(OcrOptions("tesseract", ("xx",))) or "'xx'")
    assert unavailable(OcrOptions("rapidocr", ("de", "en", "ja"))) is None
    assert unavailable(OcrOptions("off", ("ko",))) is None


def test_a_missing_program_is_named_with_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "tesseract-ocr" in (unavailable(OcrOptions("tesseract")) or "")


@pytest.mark.parametrize("angle", [0, 180])
def test_tesseract_reads_the_same(draw: Draw, tmp_path: Path, angle: int) -> None:
    if "eng" not in installed_languages():
        pytest.skip("needs Debian's tesseract-ocr")
    path = tmp_path / "letter.png"
    lines = LETTER * 3  # it wants more text than four lines to see how a page lies
    draw(lines, size=(1000, 600)).rotate(angle).save(path)
    (page,), _ = read(path, Task(ocr=OcrOptions("tesseract")))
    assert words(page.text) == " ".join(lines)
    assert page.confidence is not None
    assert page.confidence > 0.8
    assert page.lines[0].top < 100 if angle == 0 else page.lines[0].bottom > 500


# Scanned PDFs


def scanned(tmp_path: Path, *pages: Image.Image) -> Path:
    path = tmp_path / "scan.pdf"
    pages[0].save(path, save_all=True, append_images=list(pages[1:]), resolution=100)
    return path


def read_pdf(path: Path, task: Task | None = None) -> tuple[list[Page], Summary]:
    *pages, summary = pdf.read(path, task or Task())
    assert isinstance(summary, Summary)
    return [page for page in pages if isinstance(page, Page)], summary


def test_a_scanned_pdf_gives_lines_where_they_are_seen(draw: Draw, tmp_path: Path) -> None:
    pages, summary = read_pdf(scanned(tmp_path, draw(LETTER[:2]), draw(LETTER[2:])))
    assert [page.text.split("\n") for page in pages] == [LETTER[:2], LETTER[2:]]
    assert summary.omissions == ()
    assert all((page.confidence or 0) > 0.9 for page in pages)
    first = pages[0].lines[0]
    # 100 dots an inch: the line that stands 60 pixels from the left begins 43 points from it.
    assert abs(first.left - 60 * 0.72) < 12
    assert first.bottom < 80


def test_a_scanned_page_is_not_recognised_again_when_it_was_stored(draw: Draw, tmp_path: Path) -> None:
    pages, _ = read_pdf(scanned(tmp_path, draw(LETTER[:2]), draw(LETTER[2:])), Task(first_page=1))
    assert pages[0].text == ""
    assert pages[1].text.split("\n") == LETTER[2:]


def test_a_scan_with_recognition_off_says_so_by_page(draw: Draw, tmp_path: Path) -> None:
    _, summary = read_pdf(scanned(tmp_path, draw(LETTER), draw(LETTER)), OFF)
    ((what, reason),) = [(omission.what, omission.reason) for omission in summary.omissions]
    assert what == "pages 1–2"
    assert "LECTERN_OCR=rapidocr" in reason


def test_a_scanned_page_without_text_is_an_omission(tmp_path: Path) -> None:
    _, summary = read_pdf(scanned(tmp_path, Image.new("RGB", (1000, 500), "navy")))
    assert [omission.reason for omission in summary.omissions] == ["it holds no text, and none was recognised on it"]


# Pictures inside of documents


def png(image: Image.Image) -> bytes:
    stored = io.BytesIO()
    image.save(stored, "PNG")
    return stored.getvalue()


def page_with(path: Path, *pictures: bytes, text: str = "<p>Report of the year</p>") -> Path:
    shown = "".join(f'<img src="data:image/png;base64,{base64.b64encode(one).decode()}">' for one in pictures)
    path.write_text(f"<html><body>{text}{shown}</body></html>")
    return path


def read_document(path: Path, task: Task | None = None) -> tuple[list[Page], Summary]:
    *pages, summary = enclosed.read_with_enclosed(html.read, path, task or Task())
    assert isinstance(summary, Summary)
    return [page for page in pages if isinstance(page, Page)], summary


def test_text_in_a_picture_of_a_document_follows_its_own(draw: Draw, tmp_path: Path) -> None:
    pages, summary = read_document(page_with(tmp_path / "report.html", png(draw(LETTER))))
    assert [page.text.split("\n") for page in pages] == [["Report of the year"], LETTER]
    assert {element.kind for element in pages[1].elements} == {"picture"}
    assert (pages[1].part or "").startswith("picture ")
    assert (pages[1].confidence or 0) > 0.9
    assert summary.pages_total == 2


def test_small_and_repeated_pictures_are_passed_over(draw: Draw, tmp_path: Path) -> None:
    big, small = png(draw(LETTER)), png(draw(LETTER).resize((100, 50)))
    pages, summary = read_document(page_with(tmp_path / "report.html", small, big, small, big))
    assert len(pages) == 2
    assert summary.omissions == ()


def test_pictures_beyond_the_limit_are_counted(draw: Draw, tmp_path: Path) -> None:
    task = Task(replace(Limits(), ocr_pictures=1))
    drawn = [png(draw([line])) for line in LETTER[:3]]
    pages, summary = read_document(page_with(tmp_path / "report.html", *drawn), task)
    assert len(pages) == 2
    assert [(omission.what, omission.reason) for omission in summary.omissions] == [
        ("2 pictures", "the limit of 1 pictures in one document is reached")
    ]


def test_a_document_of_pictures_alone_is_read(draw: Draw, tmp_path: Path) -> None:
    path = page_with(tmp_path / "report.html", png(draw(LETTER)), text="")
    pages, summary = read_document(path)
    assert [page.text.split("\n") for page in pages] == [LETTER]
    assert summary.omissions[0].what == "the document's own text"
    with pytest.raises(Unreadable, match="LECTERN_OCR=rapidocr"):
        read_document(path, OFF)


def test_a_damaged_picture_does_not_cost_the_document(tmp_path: Path) -> None:
    pages, summary = read_document(page_with(tmp_path / "report.html", b"\x89PNG no more"))
    assert pages[0].text == "Report of the year"
    assert "damaged" in summary.omissions[0].reason


def test_a_picture_on_a_slide_is_read_with_its_slide(draw: Draw, tmp_path: Path) -> None:
    from pptx import Presentation

    deck = Presentation()
    for text in ("Opening", "Harbour rules"):
        slide = deck.slides.add_slide(deck.slide_layouts[5])
        slide.shapes.title.text = text
    slide.shapes.add_picture(io.BytesIO(png(draw(LETTER))), 0, 0)
    path = tmp_path / "deck.pptx"
    deck.save(str(path))
    from ingest.readers.registry import reader_named

    *pages, _ = reader_named(detect(path).reader).read(path, Task())
    first, second = (page for page in pages if isinstance(page, Page))
    assert LETTER[0] not in first.text
    assert second.number == 2
    assert second.text.startswith("Harbour rules")
    start = second.elements[-1].start
    assert second.text[start:].split("\n") == LETTER
    assert second.elements[-1].kind == "picture"


def test_a_drawing_of_strokes_is_counted_as_left_out(tmp_path: Path) -> None:
    from ingest.readers.embedded_pictures import embedded_pictures

    path = tmp_path / "book.epub"
    with zipfile.ZipFile(path, "w") as package:
        package.writestr("media/plan.emf", b"strokes")
        package.writestr("docProps/thumbnail.png", b"preview")
    assert [picture.name for picture in embedded_pictures(path, Task())] == ["plan.emf"]

    def nothing_else(path: Path, task: Task) -> Iterator[Page | Summary]:
        yield Page(None, None, str(path), ())
        yield Summary(None, 1 + task.depth)

    *_, summary = enclosed.read_with_enclosed(nothing_else, path, Task())
    assert isinstance(summary, Summary)
    assert "EMF or WMF" in summary.omissions[0].reason


# In its process, and by the clock


def test_recognition_works_inside_of_the_sandbox(draw: Draw, tmp_path: Path, parsers: ParserPool) -> None:
    path = tmp_path / "letter.png"
    draw(LETTER).save(path)
    page, _ = parsers.parse(path, detect(path), CancelToken())
    assert isinstance(page, Page)
    assert page.text.split("\n") == LETTER
    assert parsers.peak_bytes < 1536 << 20


class SlowEngine:
    """Needs ten seconds for a picture and tells the time by it."""

    def __init__(self) -> None:
        self.now = 0.0
        self.given: list[float] = []

    def recognise(self, image: Image.Image, seconds: float) -> Recognised:
        assert image.size
        self.given.append(seconds)
        self.now += min(10.0, seconds)
        return Recognised(blocks((placed("text", 0, 0, 100, 10),)), complete=seconds >= 10)


def test_the_pictures_of_a_page_share_its_time_and_a_file_has_an_end() -> None:
    engine = SlowEngine()
    limits = Limits(ocr_page_s=25, ocr_s=60)
    recognition = Recognition(Task(limits), clock=lambda: engine.now, engine=engine)
    for shade in range(4):
        recognition.picture(Image.new("RGB", (400, 400), (shade, 0, 0)))
    assert engine.given == [25, 15, 5]
    recognition.begin_page()
    recognition.picture(Image.new("RGB", (400, 400), (9, 0, 0)))
    assert engine.given[-1] == 25
    assert sum("took longer than 25 s" in omission.reason for omission in recognition.omissions()) == 1
    engine.now, used = 100.0, [recognition.page(lambda: Image.new("RGB", (400, 400))) for _ in range(4)]
    assert used[-1] == "the limit of 60 s of text recognition in one file is reached"


# Order, without an engine


def placed(text: str, left: float, top: float, right: float, bottom: float) -> Placed:
    return Placed(RecognisedLine(text, (left, top, right, bottom), 1.0), left, top, right, bottom)


def told(found: tuple[Block, ...]) -> list[str]:
    return [" ".join(line.text for row in block.rows for line in row) for block in found]


def test_a_heading_over_two_columns_is_read_first_and_a_foot_last() -> None:
    lines = [placed("A heading over both of them", 100, 0, 900, 40)]
    for row in range(6):
        # The right column stands a little lower, as scans do.
        lines.append(placed(f"left column, row {row}", 0, 100 + 30 * row, 480, 125 + 30 * row))
        lines.append(placed(f"right column, row {row}", 500, 110 + 30 * row, 980, 135 + 30 * row))
    lines.append(placed("7", 480, 400, 500, 425))
    order = " ".join(told(blocks(lines)))
    assert order.startswith("A heading over both of them left column, row 0 left column, row 1")
    assert order.index("left column, row 5") < order.index("right column, row 0")
    assert order.endswith("right column, row 5 7")


def test_large_type_is_a_heading_and_a_wide_gap_ends_a_paragraph() -> None:
    lines = [placed("Chapter", 0, 0, 300, 50)]
    lines += [placed(f"row {row}", 0, top, 400, top + 20) for row, top in enumerate([70, 95, 120, 170, 195])]
    assert [(block.kind, len(block.rows)) for block in blocks(lines)] == [
        ("heading", 1),
        ("paragraph", 3),
        ("paragraph", 2),
    ]


def test_a_picture_that_lies_on_its_side_is_known_by_its_lines() -> None:
    upright = Quad(((0, 0), (100, 0), (100, 10), (0, 10)))
    running_up = Quad(((0, 0), (10, 0), (10, 100), (0, 100)))
    crooked = Quad(((0, 0), (17, 98), (7, 100), (-10, 2)))
    assert not sideways([upright, upright, running_up])
    assert sideways([running_up, crooked])


def test_lines_of_a_picture_on_its_head_are_ordered_from_its_end() -> None:
    first, last = (Quad(((0, top), (100, top), (100, top + 10), (0, top + 10))) for top in (80, 0))
    boxes = upright_boxes([first, last], upside_down=True)
    assert boxes[0][1] < boxes[1][1]


def test_a_box_finds_back_to_the_picture_before_it_was_turned() -> None:
    # The top right corner of a picture 300 wide is the top left one after a turn to the left.
    assert before_left_turn((0, 0, 20, 50), 300) == (250, 0, 300, 20)


def test_a_word_document_of_a_scan_alone_is_read(draw: Draw, tmp_path: Path) -> None:
    docx = pytest.importorskip("docx")
    document = docx.Document()
    document.add_picture(io.BytesIO(png(draw(LETTER))))
    path = tmp_path / "scan.docx"
    document.save(path)
    assert any(name.startswith("word/media/") for name in zipfile.ZipFile(path).namelist())
    from ingest.readers.registry import reader_named

    pages = [item for item in reader_named(detect(path).reader).read(path, Task()) if isinstance(item, Page)]
    assert pages[-1].text.split("\n") == LETTER
