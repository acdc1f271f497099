"""Real files of every format: what must be found is found, what cannot be read says so, and nothing stops the pool."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from ingest.elements import Page, Summary
from ingest.errors import Encrypted, IngestError, Unreadable, Unsupported
from ingest.formats import detect
from ingest.limits import Limits
from ingest.parser_pool import ParserPool
from ingest.readers import libreoffice
from models.cancellation import CancelToken

# Works and WordPerfect: read by nothing but LibreOffice, which may be absent.
BY_LIBREOFFICE = (".wps", ".wp")
MOST_TEXT_OF_AN_ERROR = 100


def normal(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).split()).casefold()


def manifest(shared: Path) -> list[dict[str, object]]:
    lines = (shared / "format-zoo" / "manifest.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line) for line in lines]


def text_of(pool: ParserPool, path: Path) -> str:
    items = list(pool.parse(path, detect(path), CancelToken()))
    assert isinstance(items[-1], Summary)
    return "\n".join(item.text for item in items if isinstance(item, Page))


@pytest.fixture(scope="module")
def pool() -> Iterator[ParserPool]:
    pool = ParserPool(1, Limits(silence_s=60))
    yield pool
    pool.close()


def misses(pool: ParserPool, folder: Path, entries: list[dict[str, object]]) -> dict[str, str]:
    missed = {}
    for entry in entries:
        name = str(entry["file"])
        phrases = entry["contains"]
        assert isinstance(phrases, list)
        try:
            text = normal(text_of(pool, folder / name))
        except IngestError as exc:
            missed[name] = f"{type(exc).__name__}: {exc}"
            continue
        lacking = [phrase for phrase in phrases if normal(phrase) not in text]
        if lacking:
            missed[name] = f"lacks {lacking}"
    return missed


def test_every_expected_phrase_is_found(pool: ParserPool, shared: Path) -> None:
    entries = [entry for entry in manifest(shared) if entry["needs"] == "text"]
    if libreoffice.program() is None:
        entries = [entry for entry in entries if not str(entry["file"]).endswith(BY_LIBREOFFICE)]
    assert misses(pool, shared / "format-zoo", entries) == {}


def test_files_without_useful_text_never_stop_the_pool_and_yield_next_to_nothing(
    pool: ParserPool, shared: Path
) -> None:
    for entry in manifest(shared):
        path = shared / "format-zoo" / str(entry["file"])
        if entry["expect"] == "error":
            text = ""
            # Every kind of error is right here but one: the file must not have killed its process.
            with suppress(Unsupported, Encrypted, Unreadable):
                text = text_of(pool, path)
            assert len(text) < MOST_TEXT_OF_AN_ERROR, path.name


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("encrypted/password.pdf", Encrypted),
        ("encrypted/2206.01062_pg3.pdf", Encrypted),
        ("encrypted/password_protected.xlsx", Encrypted),
        ("encrypted/testODTEncrypted.odt", Encrypted),
        ("encrypted/testPPT_protected_passtika.pptx", Encrypted),
        ("encrypted/testWORD_protected_passtika.docx", Encrypted),
        ("encrypted/fake-encrypted.msg", Encrypted),
        ("broken/testWORD_truncated.docx", Unreadable),
        ("broken/issue9105_other.pdf", Unreadable),
        ("broken/empty.txt", Unreadable),
        ("broken/testXXE.xml", Unreadable),
        ("image/image.jpg", Unsupported),
        ("audio/silent_1s.wav", Unsupported),
        ("video/testMKV.mkv", Unsupported),
        ("broken/testZIP_corrupted_oom.zip", Unreadable),
    ],
)
def test_locked_damaged_and_foreign_files_say_what_is_wrong(
    pool: ParserPool, shared: Path, name: str, error: type[IngestError]
) -> None:
    path = shared / "format-zoo" / name
    with pytest.raises(error, match=r"\w+ \w+"):
        text_of(pool, path)


@pytest.mark.parametrize(
    ("name", "format_name"),
    [
        ("memo.docx", "pdf"),
        ("report.pdf", "docx"),
        ("table.xlsx", "xls"),
        ("message.txt", "eml"),
        ("seite.txt", "html"),
        ("no_extension", "docx"),
    ],
)
def test_content_overrules_a_wrong_suffix(shared: Path, name: str, format_name: str) -> None:
    assert detect(shared / "format-zoo" / "wrong-extension" / name).name == format_name


def test_every_page_of_every_format_keeps_the_invariants(pool: ParserPool, shared: Path) -> None:
    names = (
        "pdf/tracemonkey.pdf docx/docx-tables.docx pptx/test.pptx xlsx/stanley-cups.xlsx html/wiki_duck.html "
        "email/mime-multipart-digest.eml rtf/testRTFVarious.rtf xml/test_rss.xml json/test_notebook.ipynb "
        "text/README.md csv/csv-semicolon.csv"
    )
    for name in names.split():
        path = shared / "format-zoo" / name
        for page in pool.parse(path, detect(path), CancelToken()):
            if isinstance(page, Page):
                between = []
                position = 0
                for element in page.elements:
                    between.append(page.text[position : element.start])
                    assert page.text[element.start : element.end].strip(), name
                    position = element.end
                between.append(page.text[position:])
                assert not "".join(between).strip(), f"{name}: text outside of the elements"
