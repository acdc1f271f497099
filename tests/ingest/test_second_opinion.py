"""What our own reader of a format fails on, `unstructured` reads; when both fail, the first reason is told."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from ingest.elements import Page, Summary
from ingest.errors import Encrypted, LimitReached, Unreadable, Unsupported
from ingest.formats import detect
from ingest.limits import Limits
from ingest.parser_pool import ParserPool
from ingest.readers import registry, second_opinion
from ingest.readers.registry import reader_named
from ingest.task import Task
from models.cancellation import CancelToken

if TYPE_CHECKING:
    from PIL.Image import Image

Read = Callable[[Path, Task], Iterator[Page | Summary]]
MOST_RESIDENT_BYTES = 1536 << 20


def failing(error: Exception) -> Read:
    def read(path: Path, task: Task) -> Iterator[Page | Summary]:
        del path, task
        raise error
        yield

    return read


def silent(path: Path, task: Task) -> Iterator[Page | Summary]:
    del path, task
    yield Summary(None, 1)


def opinion(name: str, read: Read, path: Path) -> tuple[list[Page], Summary]:
    *pages, summary = second_opinion.read_with_second_opinion(name, read, path, Task())
    assert isinstance(summary, Summary)
    return [page for page in pages if isinstance(page, Page)], summary


def document(path: Path) -> Path:
    import docx

    made = docx.Document()
    made.add_heading("The harbour", 1)
    made.add_paragraph("Ships wait at the pier until the tide turns.")
    made.add_paragraph("A crane", style="List Bullet")
    table = made.add_table(2, 2)
    for cell, text in zip(table._cells, ("ship", "berth", "Aurora", "seven"), strict=True):
        cell.text = text
    made.save(str(path))
    return path


def rewritten(path: Path, name: str, change: Callable[[bytes], bytes]) -> Path:
    """The same package with one part changed."""
    other = path.with_name(f"odd-{path.name}")
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(other, "w") as target:
        for entry in source.namelist():
            content = source.read(entry)
            target.writestr(entry, change(content) if entry == name else content)
    return other


def test_a_bug_in_the_reader_of_a_format_does_not_cost_the_document(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ingest.readers import word

    monkeypatch.setattr(word, "read", failing(KeyError("w:val")))
    [page, summary] = reader_named("word").read(document(tmp_path / "harbour.docx"), Task())
    assert isinstance(page, Page)
    assert isinstance(summary, Summary)
    kinds = {element.kind: page.text[element.start : element.end] for element in page.elements}
    assert kinds == {
        "heading": "The harbour",
        "paragraph": "Ships wait at the pier until the tide turns.",
        "list_item": "A crane",
        "table": "ship | berth\nAurora | seven",
    }
    assert summary.title == "The harbour"
    assert summary.omissions[0].reason == (
        "read by the general reader, after its own reader failed (KeyError: 'w:val'): it may be less exact"
    )


def test_a_text_nested_deeper_than_our_reader_goes_is_read_all_the_same(tmp_path: Path) -> None:
    depth = 2000
    spans = "<text:span>" * depth + "The tide turns at noon." + "</text:span>" * depth
    names = 'xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0"'
    names += ' xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0"'
    names += ' xmlns:style="urn:oasis:names:tc:opendocument:xmlns:style:1.0"'
    styles = "<office:font-face-decls/><office:styles/><office:automatic-styles/><office:master-styles/>"
    body = f"<office:body><office:text><text:p>{spans}</text:p></office:text></office:body>"
    path = tmp_path / "deep.odt"
    with zipfile.ZipFile(path, "w") as container:
        container.writestr("mimetype", "application/vnd.oasis.opendocument.text")
        container.writestr("content.xml", f"<office:document-content {names}>{body}</office:document-content>")
        container.writestr("styles.xml", f"<office:document-styles {names}>{styles}</office:document-styles>")
    [page, summary] = reader_named("opendocument").read(path, Task())
    assert isinstance(page, Page)
    assert page.text == "The tide turns at noon."
    assert isinstance(summary, Summary)
    assert "RecursionError" in summary.omissions[0].reason


def test_a_reader_that_finds_no_text_is_not_the_last_word(tmp_path: Path) -> None:
    pages, summary = opinion("word", silent, document(tmp_path / "harbour.docx"))
    assert "until the tide turns" in pages[0].text
    assert "(it found no text)" in summary.omissions[0].reason


def test_nothing_is_left_in_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = document(tmp_path / "harbour.docx")
    monkeypatch.chdir(tmp_path)
    opinion("word", silent, Path(path.name))
    assert list(tmp_path.iterdir()) == [path]


def test_when_both_fail_the_first_reason_is_told(tmp_path: Path) -> None:
    path = document(tmp_path / "harbour.docx")
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(Unreadable, match="not a complete ZIP container"):
        list(reader_named("word").read(path, Task()))


@pytest.mark.parametrize("error", [Encrypted("locked"), Unsupported("unknown"), LimitReached("too long")])
def test_what_is_locked_unknown_or_too_large_stays_so(tmp_path: Path, error: Exception) -> None:
    with pytest.raises(type(error)):
        opinion("word", failing(error), document(tmp_path / "harbour.docx"))


def test_a_reader_that_fails_after_its_first_page_is_not_asked_again(tmp_path: Path) -> None:
    def halfway(path: Path, task: Task) -> Iterator[Page | Summary]:
        del path, task
        yield Page(1, None, "the first page", ())
        raise Unreadable("the second page is damaged")

    with pytest.raises(Unreadable, match="second page"):
        opinion("word", halfway, document(tmp_path / "harbour.docx"))


def test_a_document_too_long_for_the_time_is_not_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(second_opinion, "MOST_BYTES", 100)
    with pytest.raises(Unreadable, match="damaged"):
        opinion("word", failing(Unreadable("it is damaged")), document(tmp_path / "harbour.docx"))


def test_external_entities_are_not_fetched_by_the_general_reader_either(tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("the key is under the mat")
    path = tmp_path / "x.xml"
    path.write_text(f'<!DOCTYPE a [<!ENTITY e SYSTEM "{secret.as_uri()}">]><a><b>&e;</b><c>open words</c></a>')
    pages, _ = opinion("xml", failing(ValueError()), path)
    assert [page.text for page in pages] == ["open words"]


@pytest.mark.parametrize(
    ("name", "file", "content", "kinds"),
    [
        ("html", "x.html", "<h2>Head</h2><p>Some words.</p><ul><li>one</li></ul>", "heading paragraph list_item"),
        ("markdown", "x.md", "# Head\n\nSome words.\n\n- one\n", "heading paragraph list_item"),
        ("marked", "x.rst", "Head\n====\n\nSome words.\n\n* one\n", "heading paragraph list_item"),
        ("marked", "x.org", "* Head\n\nSome words.\n\n- one\n", "heading paragraph list_item"),
        ("rtf", "x.rtf", r"{\rtf1 Some words.\par}", "paragraph"),
        ("table", "x.csv", "ship,berth\nAurora,7\nBorea,8\n", "table"),
        ("table", "x.tsv", "ship\tberth\nAurora\t7\nBorea\t8\n", "table"),
        ("message", "x.eml", "From: a@b.example\nSubject: Tides\n\nSome words.\n", "paragraph paragraph"),
    ],
)
def test_each_format_is_asked_by_its_name_and_keeps_its_structure(
    tmp_path: Path, name: str, file: str, content: str, kinds: str
) -> None:
    path = tmp_path / file
    path.write_text(content)
    pages, _ = opinion(name, failing(ValueError()), path)
    assert [element.kind for page in pages for element in page.elements] == kinds.split()


def test_a_message_keeps_its_header_lines_and_says_that_attachments_were_not_opened(tmp_path: Path) -> None:
    path = tmp_path / "x.eml"
    path.write_text("From: Ada <a@b.example>\nTo: c@d.example\nSubject: Tides\n\nSome words.\n")
    pages, summary = opinion("message", failing(ValueError()), path)
    assert pages[0].text == "From: Ada <a@b.example>\nTo: c@d.example\nSubject: Tides\n\nSome words."
    assert [omission.what for omission in summary.omissions] == ["structure", "attachments"]


def test_templates_and_macros_that_python_docx_refuses_go_through_pandoc(tmp_path: Path) -> None:
    made = document(tmp_path / "harbour.docx")
    kind = b"application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"
    macros = b"application/vnd.ms-word.document.macroEnabled.main+xml"
    path = rewritten(made, "[Content_Types].xml", lambda xml: xml.replace(kind, macros))
    pages, _ = opinion("word", failing(ValueError()), path)
    assert "Ships wait at the pier" in pages[0].text


def test_every_reader_that_has_a_second_opinion_exists() -> None:
    assert set(second_opinion.PARTITIONERS) <= set(registry.READERS)


def test_the_parser_stays_within_its_memory(tmp_path: Path) -> None:
    """In a real parser process, whose memory is limited: the general reader beside the recognition of text."""
    path = tmp_path / "nothing.html"
    path.write_text("<html><body><script>1</script></body></html>")
    pool = ParserPool(1, Limits())
    try:
        with pytest.raises(Unreadable, match="holds no text"):
            list(pool.parse(path, detect(path), CancelToken()))
        picture = tmp_path / "x.png"
        drawn().save(picture)
        items = list(pool.parse(picture, detect(picture), CancelToken()))
        assert "harbour" in "".join(item.text for item in items if isinstance(item, Page)).lower()
        [process_id] = pool.process_ids()
        assert psutil.Process(process_id).memory_info().rss < MOST_RESIDENT_BYTES
    finally:
        pool.close()


def drawn() -> Image:
    import PIL.Image
    from PIL import ImageDraw, ImageFont

    image = PIL.Image.new("RGB", (900, 200), "white")
    ImageDraw.Draw(image).text((40, 60), "THE HARBOUR", fill="black", font=ImageFont.load_default(size=80))
    return image
