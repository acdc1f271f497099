"""What a file is and who reads it: by its content, and by its name only where content says nothing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ingest import container_magic, signatures
from ingest.container_magic import ole_format, zip_format
from ingest.errors import Encrypted, Unreadable, Unsupported
from ingest.plain_file import FileIdentity, open_regular, translated
from ingest.readers.registry import LETTERS_ONLY
from ingest.signatures import DISC_MARK, DISC_MARK_AT, kind_of_bytes
from ingest.text_kind import XML_ROOTS, kind_of_text, text_of

HEAD_BYTES = 8192
TAIL_BYTES = 65_536


@dataclass(frozen=True)
class Format:
    """`reader` is a name of `ingest.readers.registry`. `version` rises when the reader's result changes."""

    name: str
    reader: str
    version: int = 1

    @property
    def pictures(self) -> bool:
        """Text in pictures is recognised, or may be, so that the result depends on the options of OCR."""
        return self.reader not in LETTERS_ONLY

    @property
    def identity(self) -> str:
        """Part of the key of what was read: a new version of a reader reads old files again."""
        return f"{self.name}/{self.version}"


FORMATS = {
    format.name: format
    for format in (
        Format("pdf", "pdf", 2),
        Format("markdown", "markdown"),
        Format("text", "plain", 2),
        Format("csv", "table", 2),
        Format("tsv", "table", 2),
        Format("json", "json"),
        Format("jsonl", "json"),
        Format("xml", "xml", 2),
        Format("html", "html", 2),
        Format("calendar", "calendar"),
        Format("archive", "archive"),
        Format("eml", "message", 2),
        Format("mbox", "mailbox"),
        Format("msg", "outlook", 2),
        Format("tnef", "tnef"),
        Format("signed", "signed"),
        Format("picture", "picture"),
        Format("docx", "word", 2),
        Format("pptx", "slides", 2),
        Format("xlsx", "spreadsheet", 2),
        Format("xls", "spreadsheet", 2),
        Format("doc", "old word", 2),
        Format("ppt", "old slides", 2),
        Format("rtf", "rtf", 2),
        Format("odt", "opendocument", 2),
        Format("epub", "epub", 2),
        Format("xps", "xps"),
        Format("vsdx", "visio"),
        Format("hwp", "hangul"),
        Format("one", "onenote"),
        Format("chm", "compiled help"),
        Format("iwork", "iwork"),
        Format("dbf", "dbase"),
        Format("marked text", "marked"),
        Format("subtitles", "subtitles"),
        Format("code", "code"),
        Format("word 2003", "word"),
        Format("pub", "publisher"),
        Format("old text", "foreign"),
        Format("old drawing", "foreign"),
        Format("old spreadsheet", "foreign"),
    )
}

# The names that files of a format bear; the kinds that `ingest.signatures` tells are such names, too.
SUFFIXES = {
    suffix: name
    for name, suffixes in {
        "pdf": "pdf",
        "markdown": "md markdown mdown mkd",
        "text": "txt text log",
        "marked text": "rst org adoc asciidoc asc tex latex ltx sty cls textile wiki mediawiki",
        "subtitles": "srt vtt ass ssa sbv",
        "code": "yaml yml toml ini cfg conf properties env bib ris py pyi js mjs cjs ts tsx jsx java c h cc cpp cxx "
        "hpp hh cs go rs rb php sh bash zsh fish sql css scss less r jl lua pl pm kt kts swift m mm scala clj "
        "ex exs erl hs ml fs vb vbs bas pas f f90 for asm s tcl groovy gradle dart proto graphql cmake mk "
        "dockerfile tf bat cmd ps1 psm1 diff patch",
        "csv": "csv",
        "tsv": "tsv tab",
        "json": "json ipynb geojson",
        "jsonl": "jsonl ndjson",
        "xml": "xml nxml xlf xliff xsd xsl xslt rss atom svg dbk docbook opml tmx ttml dtd kml gpx",
        "html": "html htm xhtml",
        "calendar": "ics ical ifb vcf vcard",
        "archive": "zip tar gz tgz bz2 tbz tbz2 xz txz zst tzst 7z rar cab iso kmz",
        "eml": "eml mht mhtml p7s",
        "signed": "p7m",
        "mbox": "mbox mbx",
        "msg": "msg oft",
        "tnef": "tnef",
        "picture": "png jpg jpeg jpe jfif gif bmp dib tif tiff webp heic heif avif jp2 ico psd",
        "docx": "docx docm dotx dotm",
        "pptx": "pptx pptm potx ppsx ppsm potm",
        "xlsx": "xlsx xlsm xltx xltm xlsb xlam",
        "xls": "xls xlt",
        "doc": "doc dot",
        "ppt": "ppt pps pot",
        "rtf": "rtf",
        "odt": "odt ott odm oth ods ots odp otp odg otg odf fodt fods fodp fodg sxw stw sxc stc sxi sti sxd std sxg",
        "xps": "xps oxps",
        "vsdx": "vsdx vsdm vssx vssm vstx vstm",
        "hwp": "hwp hwpx",
        "one": "one",
        "chm": "chm",
        "iwork": "pages key numbers",
        "dbf": "dbf",
        "old text": "wps wpd wp wp5 wp6 wri lwp sdw abw zabw hwp3 mcw cwk",
        "pub": "pub",
        "old drawing": "vsd vss vst cdr sda sdd fh",
        "old spreadsheet": "wk1 wk3 wk4 wks 123 wq1 wq2 sdc",
        "epub": "epub",
    }.items()
    for suffix in suffixes.split()
}

NOT_READ = {
    suffix: reason
    for reason, suffixes in {
        "a sound recording: it needs the speech model (of the kind 'whisper'), and speech is not part of this version. "
        "Save a transcript as text beside it": "mp3 wav m4a ogg oga opus flac aac wma amr aiff mid riff",
        "a film: it needs the speech model (of the kind 'whisper'), and speech is not part of this version. "
        "Save a transcript or its subtitles (.srt) beside it": "mp4 mkv mov avi webm wmv m4v mpg flv",
        "a program package": "jar war ear apk whl xpi deb rpm msi",
        "a database: export the tables that should be found as .csv": "db sqlite sqlite3 mdb accdb",
        "a mailbox of Outlook: export its folders as .mbox or its messages as .msg or .eml": "pst ost",
        "a program or a compiled file, which holds no text for people": "exe dll so dylib bin class pyc o a wasm",
        "a font": "font ttf otf woff woff2",
        "a list of preview pictures, which Windows makes by itself": "thumbs",
        "a drawing: export it as .pdf": "dwg dxf wmf emf",
        "a format that is not read yet: export it as .pdf": "onetoc2 onepkg indd dat",
    }.items()
    for suffix in suffixes.split()
}

# Kinds with a signature of their own: a text that is named like one of them is just a text.
SIGNED = signatures.KINDS | container_magic.KINDS
TABLES = ("xls", "xlsx", "xlsb", "ods")
UNDECIDED = ("txt", "text", "log", "dat")


def detect(path: Path, identity: FileIdentity | None = None) -> Format:
    """Reads the two ends of the file only; with `identity`, of that file only. Raises Unsupported with a reason for
    people, Encrypted for locked Office files, Unreadable when the file is empty or no file, NotNow and Vanished."""
    with translated(path), open_regular(path, identity) as file:
        head = file.read(HEAD_BYTES)
        size = file.seek(0, 2)
        file.seek(max(0, size - TAIL_BYTES))
        tail = file.read(TAIL_BYTES)
        if not size:
            raise Unreadable(f"{path.name} is empty (0 bytes).")
        kind = _kind(file, path, head, tail)
    name = kind if kind in FORMATS else SUFFIXES.get(kind)
    if name is None:
        raise Unsupported(f"{path.name} is {NOT_READ[kind]}.")
    return FORMATS[name]


def _kind(file: BinaryIO, path: Path, head: bytes, tail: bytes) -> str:
    """The name of a format, or a key of `SUFFIXES` or `NOT_READ`."""
    suffix = path.suffix.lower().removeprefix(".")
    kind = kind_of_bytes(head)
    if kind == "zip container":
        return _kind_of_zip(file, suffix, head, tail)
    if kind == "ole container":
        return _kind_of_ole(file, path.name, suffix)
    if kind is not None:
        return kind
    if b"%PDF-" in head[:1024]:
        return "pdf"
    text = text_of(head)
    return _kind_of_binary(file, path.name, suffix) if text is None else _kind_of_text(suffix, text)


def _kind_of_zip(file: BinaryIO, suffix: str, head: bytes, tail: bytes) -> str:
    kind = zip_format(file, head, tail)
    if kind == "pages" and suffix in ("key", "numbers"):
        return suffix
    if kind in (None, "zip") and suffix in NOT_READ:
        return suffix
    # A damaged container tells nothing, so that its name counts; its reader will say what is damaged.
    return kind or (suffix if suffix in SIGNED else "zip")


def _kind_of_ole(file: BinaryIO, name: str, suffix: str) -> str:
    kind = ole_format(file)
    if kind == "encrypted":
        raise Encrypted(f"{name} is protected with a password. Remove the password to have it read.")
    if kind is None and (suffix in SIGNED or suffix in NOT_READ):
        return suffix
    if kind is None:
        raise Unsupported(f"{name} is an Office file of an unknown kind: export it as .pdf.")
    return kind


def _kind_of_binary(file: BinaryIO, name: str, suffix: str) -> str:
    file.seek(DISC_MARK_AT)
    if file.read(len(DISC_MARK)) == DISC_MARK:
        return "iso"
    if suffix in SUFFIXES or suffix in NOT_READ:
        return suffix
    named = f"files ending in .{suffix}" if suffix else "files without an ending"
    raise Unsupported(f"{name} is not text, and {named} are not known. If it is a document, export it as .pdf.")


def _kind_of_text(suffix: str, text: str) -> str:
    """The name decides between kinds of text, unless it says nothing or claims what is not text at all."""
    name = SUFFIXES.get(suffix)
    if name is None or suffix in SIGNED or name in SIGNED:
        return kind_of_text(text) or (_kind_of_table(text) if suffix in TABLES else "text")
    if suffix in UNDECIDED:
        return kind_of_text(text, structured=False) or "text"
    kind = kind_of_text(text)
    if name in ("csv", "tsv", "json", "jsonl", "eml") and kind == "html":
        return "html"
    if name == "xml" and kind is not None and kind in XML_ROOTS.values():
        return kind
    return name


def _kind_of_table(text: str) -> str:
    """Programs that export a "spreadsheet" often write columns parted by tabs or commas."""
    first = text.partition("\n")[0]
    return "tsv" if "\t" in first else "csv" if any(mark in first for mark in ",;|") else "text"
