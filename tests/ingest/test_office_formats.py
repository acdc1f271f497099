"""Office formats, old and new: structure is kept, nothing is run, nothing that a file links is read."""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ingest.elements import Page, Summary
from ingest.errors import IngestError, Unsupported
from ingest.formats import detect
from ingest.readers import dbase, libreoffice, opendocument, rtf, slides, spreadsheet, word
from ingest.readers.iwork_archive import NotPacked, messages, strings, unpacked
from ingest.readers.registry import reader_named
from ingest.task import Task

Read = Callable[[Path, Task], Iterator[Page | Summary]]
W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
STRICT = 'xmlns:w="http://purl.oclc.org/ooxml/wordprocessingml/main"'
R = 'xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"'
EXTERNAL = 'TargetMode="External"'
RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"


def told(read: Read, path: Path) -> tuple[list[tuple[str, int, str]], Summary]:
    *pages, summary = read(path, Task())
    assert isinstance(summary, Summary)
    found = []
    for page in pages:
        assert isinstance(page, Page)
        found += [(element.kind, element.level, page.text[element.start : element.end]) for element in page.elements]
    return found, summary


def package(
    path: Path, main: str, parts: dict[str, str], relations: dict[str, tuple[str, str, bool]] | None = None
) -> Path:
    """A package with these parts; `relations` of the main part are (kind, target, external) by id."""
    folder, _, name = main.rpartition("/")
    links = "".join(
        f'<Relationship Id="{key}" Type="{RELATIONS}/{kind}" Target="{target}" {EXTERNAL * external}/>'
        for key, (kind, target, external) in (relations or {}).items()
    )
    with zipfile.ZipFile(path, "w") as container:
        container.writestr("[Content_Types].xml", "<Types/>")
        container.writestr(
            "_rels/.rels",
            f'<Relationships><Relationship Id="r1" Type="{RELATIONS}/officeDocument" Target="{main}"/></Relationships>',
        )
        container.writestr(f"{folder}/_rels/{name}.rels", f"<Relationships>{links}</Relationships>")
        for part, content in parts.items():
            container.writestr(part, content)
    return path


def docx(path: Path, body: str, *, namespace: str = W, styles: str = "", numbering: str = "", **more: str) -> Path:
    parts = {"word/document.xml": f"<w:document {namespace} {R}><w:body>{body}</w:body></w:document>"}
    relations = {}
    for kind, content in {"styles": styles, "numbering": numbering, **more}.items():
        parts[f"word/{kind}.xml"] = f"<w:{kind} {namespace}>{content}</w:{kind}>"
        relations[kind] = (kind, f"{kind}.xml", False)
    return package(path, "word/document.xml", parts, relations)


def paragraph(text: str, properties: str = "") -> str:
    return f"<w:p><w:pPr>{properties}</w:pPr><w:r><w:t>{text}</w:t></w:r></w:p>"


STYLES = (
    '<w:style w:styleId="H1"><w:name w:val="heading 1"/></w:style>'
    '<w:style w:styleId="Own"><w:name w:val="Clause"/><w:basedOn w:val="H1"/></w:style>'
    '<w:style w:styleId="T"><w:name w:val="Title"/></w:style>'
)
NUMBERING = (
    '<w:abstractNum w:abstractNumId="7"><w:lvl w:ilvl="0"><w:start w:val="1"/><w:numFmt w:val="decimal"/>'
    '<w:lvlText w:val="%1."/></w:lvl><w:lvl w:ilvl="1"><w:start w:val="1"/><w:numFmt w:val="lowerLetter"/>'
    '<w:lvlText w:val="%1.%2"/></w:lvl></w:abstractNum><w:num w:numId="3"><w:abstractNumId w:val="7"/></w:num>'
)


def number(level: int) -> str:
    return f'<w:numPr><w:ilvl w:val="{level}"/><w:numId w:val="3"/></w:numPr>'


@pytest.mark.parametrize("namespace", [W, STRICT])
@pytest.mark.parametrize("name", ["a.docx", "a.docm", "a.dotx"])
def test_word_styles_give_titles_headings_and_levels(tmp_path: Path, name: str, namespace: str) -> None:
    body = (
        paragraph("Lease", '<w:pStyle w:val="T"/>') + paragraph("Rent", '<w:pStyle w:val="Own"/>') + paragraph("Due.")
    )
    found, summary = told(word.read, docx(tmp_path / name, body, namespace=namespace, styles=STYLES))
    assert found == [("title", 0, "Lease"), ("heading", 1, "Rent"), ("paragraph", 0, "Due.")]
    assert summary.title == "Lease"


def test_numbers_that_word_counts_stand_before_their_paragraphs(tmp_path: Path) -> None:
    body = "".join(
        paragraph(text, number(level)) for text, level in (("One", 0), ("sub", 1), ("sub", 1), ("Two", 0), ("sub", 1))
    )
    found, _ = told(word.read, docx(tmp_path / "a.docx", body, numbering=NUMBERING))
    assert [text for _, _, text in found] == ["1. One", "1.a sub", "1.b sub", "2. Two", "2.a sub"]


def test_deleted_text_is_gone_and_inserted_text_boxes_notes_and_comments_are_there(tmp_path: Path) -> None:
    run = "<w:r><w:t>{}</w:t></w:r>".format
    body = (
        f"<w:p>{run('Kept ')}<w:del><w:r><w:delText>gone</w:delText></w:r></w:del><w:ins>{run('new')}</w:ins>"
        '<w:r><w:footnoteReference w:id="2"/></w:r><w:r><w:commentReference w:id="5"/></w:r>'
        f"<w:r><w:txbxContent>{paragraph('boxed')}</w:txbxContent></w:r></w:p><w:sdt><w:sdtContent>"
        f"{paragraph('controlled')}</w:sdtContent></w:sdt>"
    )
    notes = f'<w:footnote w:id="2">{paragraph("a note")}</w:footnote>'
    comments = f'<w:comment w:id="5" w:author="Ann">{paragraph("why?")}</w:comment>'
    found, _ = told(word.read, docx(tmp_path / "a.docx", body, footnotes=notes, comments=comments))
    assert [text for _, _, text in found] == ["Kept new", "boxed", "a note", "Comment by Ann: why?", "controlled"]


def test_pages_are_those_that_word_has_marked(tmp_path: Path) -> None:
    turned = "<w:p><w:r><w:lastRenderedPageBreak/><w:t>{}</w:t></w:r></w:p>".format
    path = docx(tmp_path / "a.docx", paragraph("one") + turned("two") + paragraph("still two") + turned("three"))
    pages = [item for item in word.read(path, Task()) if isinstance(item, Page)]
    assert [(page.number, page.text) for page in pages] == [(1, "one"), (2, "two\n\nstill two"), (3, "three")]


@pytest.mark.parametrize("target", ["file:///etc/passwd", "http://127.0.0.1:9/never", "../../../../etc/passwd"])
def test_what_a_document_links_is_not_read(tmp_path: Path, target: str) -> None:
    body = (
        paragraph("text")
        + '<w:altChunk r:id="x"/><w:p><w:r><w:drawing><c:chart xmlns:c="c" r:id="x"/></w:drawing></w:r></w:p>'
    )
    parts = {"word/document.xml": f"<w:document {W} {R}><w:body>{body}</w:body></w:document>"}
    for external in (True, False):
        path = package(tmp_path / "a.docx", "word/document.xml", parts, {"x": ("aFChunk", target, external)})
        assert told(word.read, path)[0] == [("paragraph", 0, "text")]


def test_external_entities_stay_unread_in_every_package(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("password")
    entity = f'<!DOCTYPE a [<!ENTITY x SYSTEM "file://{secret}">]>'
    body = f"{entity}<w:document {W}><w:body>{paragraph('text &x;')}</w:body></w:document>"
    found, _ = told(word.read, package(tmp_path / "a.docx", "word/document.xml", {"word/document.xml": body}))
    assert "password" not in str(found)


def test_flat_packages_and_the_xml_of_word_2003_are_read(tmp_path: Path) -> None:
    flat = tmp_path / "flat.xml"
    document = f"<w:document {W}><w:body>{paragraph('flat text')}</w:body></w:document>"
    link = f'<Relationship Id="r1" Type="{RELATIONS}/officeDocument" Target="word/document.xml"/>'
    flat.write_text(
        '<?mso-application progid="Word.Document"?>'
        '<pkg:package xmlns:pkg="http://schemas.microsoft.com/office/2006/xmlPackage">'
        f'<pkg:part pkg:name="/_rels/.rels"><pkg:xmlData><Relationships>{link}</Relationships></pkg:xmlData></pkg:part>'
        f'<pkg:part pkg:name="/word/document.xml"><pkg:xmlData>{document}</pkg:xmlData></pkg:part></pkg:package>'
    )
    assert told(word.read, flat)[0] == [("paragraph", 0, "flat text")]
    old = tmp_path / "old.xml"
    old.write_text(
        '<?xml version="1.0"?><w:wordDocument xmlns:w="http://schemas.microsoft.com/office/word/2003/wordml">'
        f"<w:body><wx:sect xmlns:wx='wx'>{paragraph('old text')}</wx:sect></w:body></w:wordDocument>"
    )
    assert told(word.read, old)[0] == [("paragraph", 0, "old text")]


A = 'xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main"'


def shape(text: str, place: str, kind: str = "") -> str:
    offset = f'<p:spPr><a:xfrm><a:off x="0" y="{place}"/></a:xfrm></p:spPr>' if place else ""
    holder = f'<p:nvSpPr><p:nvPr><p:ph type="{kind}"/></p:nvPr></p:nvSpPr>' if kind else ""
    return f"<p:sp>{holder}{offset}<p:txBody><a:p><a:r><a:t>{text}</a:t></a:r></a:p></p:txBody></p:sp>"


@pytest.mark.parametrize("name", ["a.pptx", "a.ppsx", "a.potx", "a.pptm"])
def test_slides_come_in_the_order_of_the_show_title_first_then_from_top_to_bottom(tmp_path: Path, name: str) -> None:
    def slide(*shapes: str, hidden: str = "") -> str:
        return f'<p:sld xmlns:p="p" {A}{hidden}><p:cSld><p:spTree>{"".join(shapes)}</p:spTree></p:cSld></p:sld>'

    parts = {
        "ppt/presentation.xml": f'<p:presentation xmlns:p="p" {R}><p:sldIdLst><p:sldId r:id="b"/><p:sldId r:id="a"/>'
        "</p:sldIdLst></p:presentation>",
        "ppt/slides/slide1.xml": slide(
            shape("low", "9000000"), shape("high", "1000000"), shape("Head", "5000000", "title")
        ),
        "ppt/slides/slide2.xml": slide(shape("hidden words", "1"), hidden=' show="0"'),
    }
    relations = {"a": ("slide", "slides/slide1.xml", False), "b": ("slide", "slides/slide2.xml", False)}
    path = package(tmp_path / name, "ppt/presentation.xml", parts, relations)
    pages = [item for item in slides.read(path, Task()) if isinstance(item, Page)]
    assert [(page.number, page.text) for page in pages] == [(1, "hidden words"), (2, "Head\n\nhigh\n\nlow")]


OFFICE = (
    '<office:document xmlns:office="o" xmlns:text="t" xmlns:table="b" xmlns:draw="d" xmlns:presentation="p"><office:body>'  # noqa: E501
    "{}</office:body></office:document>"
)


def test_opendocument_texts_keep_headings_lists_tables_and_notes(tmp_path: Path) -> None:
    path = tmp_path / "a.fodt"
    body = (
        '<office:text><text:tracked-changes><text:p>gone</text:p></text:tracked-changes><text:h text:outline-level="2">Head</text:h>'  # noqa: E501
        "<text:p>a<text:s text:c='2'/>b<text:note><text:note-citation>1</text:note-citation><text:note-body><text:p>said"  # noqa: E501
        "</text:p></text:note-body></text:note></text:p><text:list><text:list-item><text:p>item</text:p></text:list-item>"
        "</text:list><table:table><table:table-row><table:table-cell><text:p>k</text:p></table:table-cell><table:table-cell>"
        "<text:p>v</text:p></table:table-cell></table:table-row><table:table-row><table:table-cell table:number-columns-"  # noqa: E501
        "repeated='2'><text:p>1</text:p></table:table-cell></table:table-row></table:table></office:text>"
    )
    path.write_text(OFFICE.format(body))
    found, summary = told(opendocument.read, path)
    assert found == [
        ("heading", 2, "Head"),
        ("paragraph", 0, "a  b"),
        ("paragraph", 0, "1 said"),
        ("list_item", 0, "item"),
        ("table", 0, "k | v\n1 | 1"),
    ]
    assert summary.title == "Head"


def test_a_sheet_that_declares_a_million_empty_rows_is_small(tmp_path: Path) -> None:
    path = tmp_path / "a.fods"
    cell = "<table:table-cell><text:p>{}</text:p></table:table-cell>".format
    empty = '<table:table-row table:number-rows-repeated="1048576"><table:table-cell table:number-columns-repeated="16384"/></table:table-row>'  # noqa: E501
    rows = f"<table:table-row>{cell('year')}{cell('sum')}</table:table-row><table:table-row>{cell('2024')}{cell('7')}</table:table-row>"  # noqa: E501
    path.write_text(
        OFFICE.format(
            f'<office:spreadsheet><table:table table:name="S">{rows}{empty}</table:table></office:spreadsheet>'
        )
    )
    page = next(opendocument.read(path, Task()))
    assert isinstance(page, Page)
    assert (page.part, page.text) == ("S", "year | sum\n2024 | 7")


@pytest.mark.parametrize(
    ("charset", "encoding", "text"),
    [
        (238, "cp1250", "Příliš žluťoučký kůň"),
        (204, "cp1251", "Съешь ещё этих булок"),
        (128, "cp932", "日本語の表"),
        (161, "cp1253", "Ελλάδα"),
    ],
)
def test_rtf_takes_the_code_page_of_each_font(tmp_path: Path, charset: int, encoding: str, text: str) -> None:
    escaped = "".join(f"\\'{byte:02x}" for byte in text.encode(encoding))
    path = tmp_path / "a.rtf"
    path.write_text(
        f"{{\\rtf1\\ansi\\ansicpg1252{{\\fonttbl{{\\f0\\fcharset0 Arial;}}{{\\f1\\fcharset{charset} Arial;}}}}\\f0 caf\\'e9 \\f1 {escaped}\\par}}"  # noqa: E501
    )
    assert told(rtf.read, path)[0] == [("paragraph", 0, f"café {text}")]


def test_rtf_keeps_headings_tables_unicode_and_notes_and_drops_what_is_not_shown(tmp_path: Path) -> None:
    path = tmp_path / "a.rtf"
    path.write_text(
        r"{\rtf1\ansi{\stylesheet{\s1 heading 1;}}{\info{\title Plan}}{\header top\par}\pard\s1 Head\par\pard "
        r"\u1046?uk{\v hidden}{\*\unknown secret}{\footnote note\par}{\field{\*\fldinst LINK}{\fldrslt shown}}\par"
        r"\trowd\intbl a\cell b\cell\row\intbl 1\cell 2\cell\row\pard end\par}"
    )
    found, summary = told(rtf.read, path)
    assert found == [
        ("header", 0, "top"),
        ("heading", 1, "Head"),
        ("paragraph", 0, "Жukshown"),
        ("paragraph", 0, "note"),
        ("table", 0, "a | b\n1 | 2"),
        ("paragraph", 0, "end"),
    ]
    assert summary.title == "Head"


def test_dbase_records_are_rows_without_the_deleted_ones(tmp_path: Path) -> None:
    fields = b"NAME\x00\x00\x00\x00\x00\x00\x00C\x00\x00\x00\x00\x06\x00" + bytes(14)
    fields += b"DAY\x00\x00\x00\x00\x00\x00\x00\x00D\x00\x00\x00\x00\x08\x00" + bytes(14)
    header = b"\x03\x7c\x01\x01" + struct.pack("<IHH", 3, 32 + len(fields) + 1, 15) + bytes(17) + b"\xc9" + bytes(2)
    records = b" " + "Иван  ".encode("cp1251") + b"20240131" + b"*Gone  20240131" + b" Anna  20240201"
    path = tmp_path / "a.dbf"
    path.write_bytes(header + fields + b"\r" + records)
    page = next(dbase.read(path, Task()))
    assert isinstance(page, Page)
    assert page.text == "NAME | DAY\nИван | 2024-01-31\nAnna | 2024-02-01"


def test_a_workbook_that_openpyxl_refuses_is_read_all_the_same(tmp_path: Path) -> None:
    import openpyxl

    book = openpyxl.Workbook()
    for row in (("name", "share"), ("bolt", 0.25)):
        book.active.append(row)
    book.active["B2"].number_format = "0%"
    book.save(tmp_path / "a.xlsx")
    assert told(spreadsheet.read, tmp_path / "a.xlsx")[0] == [("table", 0, "name | share\nbolt | 25%")]
    with zipfile.ZipFile(tmp_path / "a.xlsx") as whole, zipfile.ZipFile(tmp_path / "b.xlsx", "w") as damaged:
        for name in whole.namelist():
            damaged.writestr(name, whole.read(name).replace(b"<fonts", b"<fontz"))
    found, _ = told(spreadsheet.read, tmp_path / "b.xlsx")
    assert found[0][2].startswith("name | share\nbolt | ")


def test_old_files_need_no_other_program(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    for name in (
        "doc/testWORD.doc",
        "doc/testWORD6.doc",
        "ppt/testPPT.ppt",
        "xlsx/testEXCEL.xlsb",
        "other/testChm.chm",
    ):
        path = shared / "format-zoo" / name
        found, _ = told(reader_named(detect(path).reader).read, path)
        assert found, name


def test_old_word_keeps_headings_and_running_heads(shared: Path) -> None:
    path = shared / "format-zoo/doc/testWORD.doc"
    found, summary = told(reader_named("old word").read, path)
    assert found[0] == ("header", 0, "This is the header for our document")
    assert ("heading", 2, "Heading Level 2") in found
    assert summary.title == "Sample Word Document Title"


def test_a_table_of_old_word_is_a_table(shared: Path) -> None:
    found, _ = told(reader_named("old word").read, shared / "format-zoo/doc/legacy_sample.doc")
    (table,) = (text for kind, _, text in found if kind == "table")
    assert "Berries | Blueberry, Strawberry, Cranberry | 150" in table


def test_without_libreoffice_a_foreign_file_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    path = tmp_path / "a.wps"
    path.write_bytes(b"\x01\xfe\x32\x01 words of Works")
    with pytest.raises(Unsupported, match=r"a\.wps .* install LibreOffice .* or save the file as"):
        list(libreoffice.read_converted(path, Task(), "docx"))


def test_libreoffice_is_ended_when_it_takes_too_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "soffice"
    program.write_text("#!/bin/sh\nsleep 600 &\nsleep 600\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(libreoffice, "MOST_SECONDS", 0.3)
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "a.wps"
    path.write_bytes(b"words")
    with pytest.raises(IngestError, match=r"a\.wps was given up"):
        list(libreoffice.read_converted(path, Task(), "docx"))
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["a.wps", "soffice"]


def test_packed_archives_of_apple_are_unpacked_and_damaged_ones_refused() -> None:
    text = b"a long text, a long text"
    body = bytes((3 << 3 | 2, len(text))) + text
    info = bytes((1 << 3, 0xD1, 0x0F, 3 << 3, len(body)))
    header = bytes((2 << 3 | 2, len(info))) + info
    stream = bytes((len(header),)) + header + body
    # A literal up to the repetition, then a copy of what stands 13 bytes before.
    literal = stream[:-11]
    packed = bytes((len(stream), (len(literal) - 1) << 2)) + literal + bytes(((11 - 4) << 2 | 1, 13))
    chunk = b"\x00" + len(packed).to_bytes(3, "little") + packed
    assert [(kind, list(strings(found, (3,)))) for kind, found in messages(unpacked(chunk))] == [
        (2001, [text.decode()])
    ]
    with pytest.raises(NotPacked):
        unpacked(b"\x07" + chunk)


@pytest.mark.parametrize("name", ["doc", "ppt", "rtf", "hwp", "chm", "one", "xls", "dbf", "pub", "key"])
def test_damaged_files_of_every_age_end_in_a_reason(
    shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Cut off, and with bytes turned over: an error of ours or some text, never an error of a library."""
    monkeypatch.setenv("PATH", "")
    monkeypatch.chdir(tmp_path)
    source = next(path for path in sorted((shared / "format-zoo").rglob(f"*.{name}")) if "encrypted" not in path.parts)
    reader = reader_named(detect(source).reader)
    whole = source.read_bytes()
    for step in range(1, 12):
        damaged = bytearray(whole[: len(whole) * step // 12] if step % 2 else whole)
        for at in range(step * 37, len(damaged), 997):
            damaged[at] ^= 0x5A
        path = tmp_path / f"a.{name}"
        path.write_bytes(damaged)
        reasons = []
        try:
            list(reader.read(path, Task()))
        except IngestError as exc:
            reasons.append(str(exc))
        assert all(f"a.{name}" in reason for reason in reasons)
