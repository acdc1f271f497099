"""Files that mean harm: they fetch nothing, run nothing, read no other file, and hold up none of the others."""

from __future__ import annotations

import io
import os
import pickle
import signal
import socket
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ingest.elements import Page, Summary
from ingest.errors import IngestError, LimitReached, ParserKilled
from ingest.formats import detect
from ingest.limits import MEBIBYTE, Limits
from ingest.parser_pool import ParserPool
from models.cancellation import CancelToken
from tests.standins.small_pdf import small_pdf

SECRET = "the-secret-of-another-file"


@contextmanager
def pool_with(limits: Limits, network: str = "namespace") -> Iterator[ParserPool]:
    pool = ParserPool(1, limits, network=network)  # type: ignore[arg-type]  # one of its words
    try:
        yield pool
    finally:
        pool.close()


@pytest.fixture(scope="module")
def unguarded() -> Iterator[ParserPool]:
    """Its processes may use the network: whoever fetches nothing there would not do so in a sandbox that fails."""
    with pool_with(Limits(silence_s=60), network="none") as pool:
        yield pool


@pytest.fixture
def note(tmp_path: Path) -> Path:
    path = tmp_path / "note.txt"
    path.write_text("A file like any other.")
    return path


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret.txt"
    path.write_text(SECRET)
    return path


class Listener:
    """A web server that notes who comes."""

    def __init__(self) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self._server.settimeout(0.1)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()
        self.asked: list[bytes] = []
        self.url = f"http://127.0.0.1:{self._server.getsockname()[1]}"

    def _listen(self) -> None:
        while not self._ended.is_set():
            try:
                connection, _ = self._server.accept()
            except TimeoutError:
                continue
            with connection:
                connection.settimeout(2)
                self.asked.append(connection.recv(200))
                connection.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n")

    def close(self) -> None:
        self._ended.set()
        self._thread.join()
        self._server.close()


@pytest.fixture
def listener() -> Iterator[Listener]:
    listener = Listener()
    yield listener
    listener.close()


def text_of(pool: ParserPool, path: Path) -> str:
    """What is read of it; for a file that is refused, the reason."""
    try:
        items = list(pool.parse(path, detect(path), CancelToken()))
    except IngestError as exc:
        return str(exc)
    summary = items[-1]
    assert isinstance(summary, Summary)
    return "\n".join(item.text for item in items if isinstance(item, Page)) + (summary.title or "")


def zipped(members: dict[str, str]) -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in members.items():
            archive.writestr(name, text)
    return written.getvalue()


def word_file(body: str, *, document_type: str = "", relations: str = "", settings: str = "") -> bytes:
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006"
    word = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
    types = (
        f'<Types xmlns="{package}/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        '<Default Extension="xml" ContentType="application/xml"/><Override PartName="/word/document.xml" ContentType='
        '"application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"/></Types>'
    )
    return zipped(
        {
            "[Content_Types].xml": types,
            "_rels/.rels": f'<Relationships xmlns="{package}/relationships"><Relationship Id="r1" '
            f'Type="{office}/officeDocument" Target="word/document.xml"/></Relationships>',
            "word/_rels/document.xml.rels": f'<Relationships xmlns="{package}/relationships">{relations}'
            "</Relationships>",
            "word/settings.xml": settings or f'<w:settings xmlns:w="{word}"/>',
            "word/document.xml": f'<?xml version="1.0"?>{document_type}<w:document xmlns:w="{word}" '
            f'xmlns:r="{office}"><w:body><w:p><w:r><w:t>Before. {body} After.</w:t></w:r></w:p></w:body></w:document>',
        }
    )


def external(kind: str, url: str) -> str:
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    return f'<Relationship Id="r9" Type="{office}/{kind}" Target="{url}" TargetMode="External"/>'


LINKING: dict[str, Callable[[str], bytes]] = {
    "page.html": lambda url: (
        f'<html><head><base href="{url}/"><link rel="stylesheet" href="a.css"><script src="{url}/a.js"></script></head>'
        f'<body><p>Words.</p><img src="{url}/a.png"><iframe src="{url}/frame.html"></iframe>'
        f'<object data="{url}/o"></object></body></html>'
    ).encode(),
    "note.md": lambda url: f"# Words\n\n![picture]({url}/a.png)\n\n<img src='{url}/b.png'>\n".encode(),
    "feed.xml": lambda url: (
        f'<?xml version="1.0"?><?xml-stylesheet href="{url}/a.xsl" type="text/xsl"?><!DOCTYPE a SYSTEM "{url}/a.dtd">'
        f'<a xmlns:xi="http://www.w3.org/2001/XInclude"><b>Words.</b><xi:include href="{url}/x.xml"/></a>'
    ).encode(),
    "drawing.svg": lambda url: (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"><text>Words.</text>'
        f'<image xlink:href="{url}/a.png"/></svg>'
    ).encode(),
    "message.eml": lambda url: (
        f"Subject: Words\r\nContent-Type: text/html\r\n\r\n<p>Words.</p><img src='{url}/pixel.gif'>\r\n"
    ).encode(),
    "letter.docx": lambda url: word_file(
        "Words.", relations=external("image", f"{url}/a.png") + external("attachedTemplate", f"{url}/evil.dotm")
    ),
    "letter.rtf": lambda url: (
        rb"{\rtf1 Words. {\field{\*\fldinst INCLUDEPICTURE \"%s/a.png\" \\d}{\fldrslt x}}{\*\template %s/t.dotm}}"
        % (url.encode(), url.encode())
    ),
    "text.rst": lambda url: (
        f"Words\n=====\n\n.. csv-table::\n   :url: {url}/a.csv\n\n.. raw:: html\n   :url: {url}\n".encode()
    ),
}


@pytest.mark.parametrize("name", LINKING)
def test_nothing_that_a_file_points_to_is_fetched(
    unguarded: ParserPool, listener: Listener, tmp_path: Path, name: str
) -> None:
    path = tmp_path / name
    path.write_bytes(LINKING[name](listener.url))
    assert "Words" in text_of(unguarded, path)
    assert listener.asked == []


READING: dict[str, Callable[[Path], bytes]] = {
    "entity.xml": lambda secret: (
        f'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x SYSTEM "{secret.as_uri()}">]><a>Words. &x;</a>'
    ).encode(),
    "parameter.xml": lambda secret: (
        f'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY % x SYSTEM "{secret.as_uri()}"> %x;]><a>Words.</a>'
    ).encode(),
    "include.xml": lambda secret: (
        f'<a xmlns:xi="http://www.w3.org/2001/XInclude">Words.<xi:include parse="text" href="{secret.as_uri()}"/></a>'
    ).encode(),
    "entity.svg": lambda secret: (
        f'<!DOCTYPE svg [<!ENTITY x SYSTEM "{secret.as_uri()}">]><svg xmlns="http://www.w3.org/2000/svg">'
        "<text>Words. &x;</text></svg>"
    ).encode(),
    "entity.html": lambda secret: (
        f'<!DOCTYPE html [<!ENTITY x SYSTEM "{secret.as_uri()}">]><p>Words. &x;</p>'
        f'<iframe src="{secret.as_uri()}"></iframe>'
    ).encode(),
    "entity.docx": lambda secret: word_file(
        "&x;", document_type=f'<!DOCTYPE w:document [<!ENTITY x SYSTEM "{secret.as_uri()}">]>'
    ),
    "include.rst": lambda secret: (
        f"Words\n=====\n\n.. include:: {secret}\n\n.. literalinclude:: {secret}\n\n.. raw:: html\n   :file: {secret}\n"
    ).encode(),
    "include.org": lambda secret: f'* Words\n\n#+INCLUDE: "{secret}"\n\n[[{secret}]]\n'.encode(),
    "include.tex": lambda secret: (
        rf"\documentclass{{article}}\begin{{document}}Words. \input{{{secret}}} \include{{{secret}}}\end{{document}}"
    ).encode(),
    "include.adoc": lambda secret: f"= Words\n\ninclude::{secret}[]\n".encode(),
}


@pytest.mark.parametrize("name", READING)
def test_no_file_brings_the_text_of_another(unguarded: ParserPool, secret: Path, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(READING[name](secret))
    assert SECRET not in text_of(unguarded, path)


def laughs(levels: int = 9) -> str:
    entities = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, levels + 1))
    return f'<!DOCTYPE a [<!ENTITY l0 "ha">{entities}]>'


LAUGHING: dict[str, Callable[[], bytes]] = {
    "laughs.xml": lambda: f'<?xml version="1.0"?>{laughs()}<a>&l9;</a>'.encode(),
    "laughs.svg": lambda: f'{laughs()}<svg xmlns="http://www.w3.org/2000/svg"><text>&l9;</text></svg>'.encode(),
    "laughs.docx": lambda: word_file("&l9;", document_type=laughs()),
    "quadratic.xml": lambda: f'<!DOCTYPE a [<!ENTITY x "{"x" * 100_000}">]><a>{"&x;" * 20_000}</a>'.encode(),
}


@pytest.mark.parametrize("name", LAUGHING)
def test_entities_that_multiply_end_in_a_reason_or_in_little_text(note: Path, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(LAUGHING[name]())
    with pool_with(Limits(silence_s=20)) as pool:
        assert len(text_of(pool, path)) < 1_000_000
        assert text_of(pool, note) == "A file like any other."


class Marker:
    """Unpickled, it makes a folder."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.place),)


@pytest.mark.parametrize(
    "name", ["model.pkl", "model.pt", "array.npy", "cache.joblib", "notes.txt", "data.bin", "no-suffix"]
)
def test_nothing_is_unpickled(unguarded: ParserPool, tmp_path: Path, name: str) -> None:
    pickled = pickle.dumps(Marker(tmp_path / "unpickled"))
    wrapped = {"model.pt": zipped({}) and _with_pickle(pickled), "array.npy": _numpy(pickled)}
    path = tmp_path / name
    path.write_bytes(wrapped.get(name, pickled))
    text_of(unguarded, path)
    assert not (tmp_path / "unpickled").exists()


def _with_pickle(pickled: bytes) -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        archive.writestr("archive/data.pkl", pickled)
    return written.getvalue()


def _numpy(pickled: bytes) -> bytes:
    header = b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }"
    padded = header + b" " * (117 - len(header)) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(padded).to_bytes(2, "little") + padded + pickled


def test_a_parser_that_the_system_kills_in_the_middle_of_a_file_is_reported_and_replaced(
    tmp_path: Path, note: Path
) -> None:
    path = tmp_path / "long.pdf"
    path.write_bytes(small_pdf([[f"line {n} of page {page}" for n in range(50)] for page in range(2000)]))
    with pool_with(Limits()) as pool:
        pages = pool.parse(path, detect(path), CancelToken())
        next(pages)
        (process_id,) = pool.process_ids()
        os.kill(process_id, signal.SIGKILL)
        with pytest.raises(ParserKilled, match="killed by the system, which was probably out of memory"):
            list(pages)
        assert text_of(pool, note) == "A file like any other."


def test_a_file_of_too_many_pages_is_not_read_for_ever(tmp_path: Path) -> None:
    path = tmp_path / "pages.pdf"
    path.write_bytes(small_pdf([[f"page {n}"] for n in range(30)]))
    with pool_with(Limits(pages=10)) as pool:
        try:
            *pages, summary = pool.parse(path, detect(path), CancelToken())
        except LimitReached as exc:
            said = str(exc)
        else:
            assert isinstance(summary, Summary)
            assert len(pages) <= 10
            said = " ".join(omission.reason for omission in summary.omissions)
        assert "10" in said


def test_a_member_that_unpacks_to_more_than_the_limit_is_refused(tmp_path: Path, note: Path) -> None:
    bomb = tmp_path / "bomb.docx"
    bomb.write_bytes(word_file("x" * (8 * MEBIBYTE)))
    with pool_with(Limits(unpacked_bytes=2 * MEBIBYTE)) as pool:
        with pytest.raises(IngestError, match=r"\w+ \w+ \w+"):
            list(pool.parse(bomb, detect(bomb), CancelToken()))
        assert text_of(pool, note) == "A file like any other."
