"""What a file is comes from its content; its name decides between kinds of text only."""

from __future__ import annotations

import errno
import io
import json
import os
import struct
import sys
import zipfile
from pathlib import Path

import pytest

from ingest.errors import Encrypted, IngestError, NotNow, Unreadable, Unsupported, Vanished
from ingest.formats import FORMATS, NOT_READ, SIGNED, SUFFIXES, detect
from ingest.readers.decoding import decode
from ingest.readers.registry import READERS

WORD = {"[Content_Types].xml": "<Types/>", "word/document.xml": "<document/>"}


def written(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def zipped(members: dict[str, str | bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def test_every_reader_and_every_reason_is_reachable() -> None:
    assert {format.reader for format in FORMATS.values()} <= READERS.keys()
    assert set(SUFFIXES.values()) <= FORMATS.keys()
    assert {kind for kind in SIGNED if kind not in FORMATS and kind not in SUFFIXES and kind not in NOT_READ} == {
        "encrypted"
    }


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"%PDF-1.7\n", "pdf"),
        (b"\n\n%PDF-1.4\n", "pdf"),
        (b"{\\rtf1 text}", "rtf"),
        (b"<!DOCTYPE html>\n<html><body>x</body></html>", "html"),
        (b"<?xml version='1.0'?><note>x</note>", "xml"),
        (b"<rss version='2.0'><channel/></rss>", "xml"),
        (b'{"name": "x"}', "json"),
        (b'{"name": "x"}\n{"name": "y"}\n', "jsonl"),
        (b"BEGIN:VCALENDAR\nEND:VCALENDAR", "calendar"),
        (b"From: a@b.c\nSubject: x\n\nHello", "eml"),
        (b"From a@b.c Mon Jan  1 00:00:00 2024\nFrom: a@b.c\nSubject: x\n\nHello", "mbox"),
        ("Grüße aus Köln".encode("utf-16"), "text"),
        ("<html><body>Größe</body></html>".encode("utf-16-le"), "html"),
        ("Договор аренды".encode("cp1251"), "text"),
        ("賃貸契約は三月に終わります。".encode("cp932"), "text"),
        (zipped(WORD), "docx"),
        (zipped({"a.txt": "x"}), "archive"),
        (b"\x78\x9f\x3e\x22" + bytes(20), "tnef"),
    ],
)
@pytest.mark.parametrize("name", ["unknown", "odd.ending", "photo.jpg", "report.docx", "sheet.xlsx", "paper.pdf"])
def test_content_counts_under_no_name_an_odd_name_and_a_wrong_name(
    tmp_path: Path, content: bytes, kind: str, name: str
) -> None:
    assert detect(written(tmp_path, name, content)).name == kind


@pytest.mark.parametrize(
    ("name", "kind"),
    [("a.md", "markdown"), ("a.py", "code"), ("a.csv", "csv"), ("a.srt", "subtitles"), ("a.txt", "text")],
)
def test_the_name_decides_between_kinds_of_text(tmp_path: Path, name: str, kind: str) -> None:
    assert detect(written(tmp_path, name, b"# Head\n\na,b\n1,2\n")).name == kind


def test_a_table_exported_under_the_name_of_a_spreadsheet_is_a_table(tmp_path: Path) -> None:
    assert detect(written(tmp_path, "export.xls", b"name\tsum\nNorth\t12\n")).name == "tsv"
    assert detect(written(tmp_path, "export.xlsx", b"name;sum\nNorth;12\n")).name == "csv"


def test_a_key_or_certificate_in_text_is_text_though_its_ending_is_that_of_a_presentation(tmp_path: Path) -> None:
    assert detect(written(tmp_path, "server.key", b"-----BEGIN PUBLIC KEY-----\nMFkw\n")).name == "text"


def test_an_archive_with_an_office_file_in_it_is_no_office_file(tmp_path: Path) -> None:
    path = written(tmp_path, "x.zip", zipped({"lease.docx": zipped(WORD), "b.txt": "x"}))
    assert detect(path).name == "archive"


def test_names_are_found_in_a_long_list_before_the_end_of_a_container(tmp_path: Path) -> None:
    names = {f"customXml/{'item' * 20}{number}.xml": "x" for number in range(2000)}
    assert detect(written(tmp_path, "x", zipped({**names, **WORD}))).name == "docx"


def test_a_damaged_container_counts_as_what_its_name_says(tmp_path: Path) -> None:
    assert detect(written(tmp_path, "x.docx", zipped(WORD)[:60])).name == "docx"


def test_an_old_tar_without_a_signature_is_known_by_its_checksum(tmp_path: Path) -> None:
    header = bytearray(512)
    header[:5] = b"a.txt"
    header[124:136] = b"00000000001\0"
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    assert detect(written(tmp_path, "x", bytes(header) + b"x" + bytes(511 + 1024))).name == "archive"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"ID3\x03" + bytes(20), "speech model"),
        (b"\xff\xfb\x90\x64" + bytes(400), "speech model"),
        (b"\0\0\0\x20ftypisom" + bytes(20), "speech model"),
        (b"\x1aE\xdf\xa3" + bytes(20), "speech model"),
        (b"SQLite format 3\x00" + bytes(20), "database"),
        (b"\x7fELF\x02" + bytes(20), "program"),
        (b"MZ\x90\x00" + bytes(200), "program"),
        (b"!BDN" + bytes(20), "mailbox of Outlook"),
        (zipped({"META-INF/MANIFEST.MF": "x", "A.class": b"\xca\xfe\xba\xbe"}), "program"),
        (bytes(range(256)) * 8, "not text"),
        (struct.pack("<200d", *(number / 7 for number in range(200))), "not text"),
    ],
)
def test_what_is_no_text_has_a_reason_for_people(tmp_path: Path, content: bytes, said: str) -> None:
    with pytest.raises(Unsupported, match=rf"^unknown is .*{said}"):
        detect(written(tmp_path, "unknown", content))


def test_an_empty_file_and_a_missing_one_say_so(tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match="empty"):
        detect(written(tmp_path, "x.txt", b""))
    with pytest.raises(Vanished, match=r"gone\.txt"):
        detect(tmp_path / "gone.txt")


def test_a_drive_that_does_not_answer_says_nothing_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = written(tmp_path, "x.txt", b"text")

    def refuse(*_: object) -> int:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(NotNow, match="Input/output error"):
        detect(file)


@pytest.mark.skipif(sys.platform == "win32", reason="pipes in folders are POSIX's")
def test_a_pipe_is_no_file_and_nobody_waits_for_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.txt")
    with pytest.raises(Unreadable, match="not a plain file"):
        detect(tmp_path / "x.txt")


@pytest.mark.parametrize(
    "hostile",
    [
        "<!---->",
        "<!-- ",
        "<!-->",
        "<?xml ",
        "<?xml?> ",
        "{ ",
        '{"',
        "[ ",
        "<a:",
        "<a ",
        "From ",
        "a:",
        "subject:\n",
        "\t",
    ],
)
def test_hostile_beginnings_are_looked_at_once(tmp_path: Path, hostile: str) -> None:
    """Some once took twice as long for each repetition: then this would not end."""
    assert detect(written(tmp_path, "x", (hostile * 8192)[:8192].encode() + b"x")).reader


def test_comments_before_a_page_do_not_hide_it(tmp_path: Path) -> None:
    content = b'<?xml version="1.0"?>\n<!-- one -->\n<!---->\n<!-- a -> b -- c -->\n<!DOCTYPE html><p>x'
    assert detect(written(tmp_path, "x", content)).name == "html"
    assert detect(written(tmp_path, "y", b"<!-- one --> just text")).name == "text"


# Kinds of text that only the name tells apart.
KINDS_OF_TEXT = {"text", "csv", "tsv", "markdown", "marked text", "subtitles", "code"}


def test_of_the_real_files_all_but_plain_kinds_of_text_are_known_without_their_names(
    shared: Path, tmp_path: Path
) -> None:
    """The same answer, or the same refusal, under the real name and under none."""
    differing = []
    for line in (shared / "format-zoo" / "manifest.jsonl").read_text("utf-8").splitlines():
        path = shared / "format-zoo" / json.loads(line)["file"]
        answers = []
        for asked in (path, written(tmp_path, "file", path.read_bytes())):
            try:
                answers.append(detect(asked).name)
            except (Unsupported, Encrypted, Unreadable) as exc:
                answers.append(type(exc).__name__)
        if answers[0] != answers[1] and not (answers[0] in KINDS_OF_TEXT and answers[1] == "text"):
            differing.append((path.name, *answers))
    assert {name for name, *_ in differing} <= {
        "empty.eml",  # 13 bytes that say nothing
        "fake-incomplete-json.txt",  # text by its name, JSON by its beginning
        "testWORD_truncated.docx",  # only the name is left of it
        "testOneNote-fuzz1.one",  # damaged from its first byte on
        "testWORKS2000.wps",  # a stream named CONTENTS, as many programs have
    }, differing


# Encodings.

SENTENCES = {
    "Все люди рождаются свободными и равными в своём достоинстве и правах.": "cp1251 koi8-r cp866 iso8859-5",
    "Договор аренды №5; срок: 12 месяцев; сумма 15000 руб.": "cp1251 cp866",
    "Όλοι οι άνθρωποι γεννιούνται ελεύθεροι και ίσοι στην αξιοπρέπεια.": "cp1253 iso8859-7",
    "כל בני האדם נולדו בני חורין ושווים בערכם ובזכויותיהם.": "cp1255",
    "يولد جميع الناس أحرارا متساوين في الكرامة والحقوق. وقد وهبوا عقلا وضميرا.": "cp1256 iso8859-6",
    "Bütün insanlar hür, haysiyet ve haklar bakımından eşit doğarlar.": "cp1254",
    "Wszyscy ludzie rodzą się wolni i równi pod względem swej godności i swych praw.": "cp1250 iso8859-2",
    "Všichni lidé rodí se svobodní a sobě rovní co do důstojnosti a práv. Příliš žluťoučký kůň.": "cp1250 cp852",
    "Alle Menschen sind frei und gleich an Würde und Rechten geboren. Größe, Ärger, Öl.": "cp1252 cp850 latin-1",
    "Gehälter;Müller;Straße\n12;14;15\n": "cp1252",
    "Tous les êtres humains naissent libres et égaux en dignité et en droits. 5 €.": "cp1252",
    "Ain’t “quoted” text – with a dash and 5 € and £3…": "cp1252",
    "すべての人間は、生まれながらにして自由であり、かつ、尊厳と権利とについて平等である。": "cp932 euc-jp iso2022-jp",
    "氏名,住所,電話\n佐藤太郎,東京都,03-1234\n": "cp932",
    "人人生而自由,在尊严和权利上一律平等。他们赋有理性和良心。": "gb18030",
    "人人生而自由,在尊嚴和權利上一律平等。他們賦有理性和良心。": "big5",
    "모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다.": "cp949",
    "มนุษย์ทั้งหลายเกิดมามีอิสระและเสมอภาคกันในเกียรติศักดิ์และสิทธิ": "cp874",
    "Hamburgers are delicious, and müsli is, too.": "utf-16-le utf-16-be utf-32-le utf-32-be",
    "Все люди рождаются свободными и равными. ": "utf-16-le utf-16-be",
    "すべての人間は、自由であり、平等である。\r\n第二条": "utf-16-le utf-16-be",
}


@pytest.mark.parametrize(
    ("sentence", "encoding"), [(text, name) for text, names in SENTENCES.items() for name in names.split()]
)
def test_undeclared_encodings_are_guessed_from_one_sentence(sentence: str, encoding: str) -> None:
    assert decode(sentence.encode(encoding, errors="ignore"), "x") == sentence


def test_a_wrong_declaration_is_not_believed_when_words_would_mix_alphabets() -> None:
    text = "Größe und Übermut müssen für Würde bürgen."
    assert decode(text.encode("cp1252"), "x", "windows-1251") == text


def test_bytes_of_no_encoding_are_refused() -> None:
    with pytest.raises(IngestError, match="not text"):
        decode(bytes(range(256)) * 8, "x")
