"""The entries of archives, one after the other, each with its bytes as they are unpacked; nothing is written here."""

from __future__ import annotations

import stat
import struct
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from ingest.errors import Encrypted, IngestError, LimitReached, Unreadable, Unsupported
from ingest.limits import Limits
from ingest.readers.decoding import decode
from ingest.readers.members import encrypted
from ingest.signatures import kind_of_bytes

PIECE_BYTES = 1 << 18
# A list of names longer than this a name is an attack on the memory of whoever makes objects of them.
LISTED_BYTES = 512
LINK = "it is a link, and links are not followed"


@dataclass(frozen=True)
class Entry:
    """`content` must be taken before the next entry is asked for. `problem`: why there is nothing to take."""

    name: str
    content: Iterable[bytes] = ()
    problem: IngestError | None = None


def entries(path: Path, kind: str, limits: Limits) -> Generator[Entry, None, None]:
    """`kind` is a name of `ingest.signatures`. Raises Unreadable, Encrypted, LimitReached, Unsupported."""
    if kind in ("gz", "bz2", "xz", "zst", "tar"):
        return _compressed_entries(path, kind)
    if kind == "7z":
        return _seven_zip_entries(path, limits)
    return _zip_entries(path, limits) if kind == "zip container" else _other_entries(path)


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        while piece := file.read(PIECE_BYTES):
            yield piece


def _zip_entries(path: Path, limits: Limits) -> Generator[Entry, None, None]:
    _require_short_list(path, limits)
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, EOFError, NotImplementedError, ValueError, struct.error) as exc:
        raise Unreadable(f"{path.name} is damaged: it is not a complete ZIP archive ({exc}).") from exc
    with archive:
        infos = [info for info in archive.infolist() if not info.is_dir()]
        for info, name in zip(infos, _names(infos), strict=True):
            if info.flag_bits & 1:
                yield Entry(name, problem=encrypted())
            elif stat.S_ISLNK(info.external_attr >> 16):
                yield Entry(name, problem=Unsupported(LINK))
            else:
                yield Entry(name, _zip_pieces(archive, info))


def _zip_pieces(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Iterator[bytes]:
    try:
        yield from _pieces(archive.open(info))
    except NotImplementedError as exc:
        raise Unsupported(f"it is packed by a method that is not read here ({exc}). Pack it again as usual") from exc


def _require_short_list(path: Path, limits: Limits) -> None:
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - 65_600))
        tail = file.read()
    end = tail.rfind(b"PK\x05\x06")
    length = struct.unpack_from("<I", tail, end + 12)[0] if 0 <= end <= len(tail) - 22 else 0
    large = tail.rfind(b"PK\x06\x06")
    if length == 0xFFFFFFFF and 0 <= large <= len(tail) - 56:
        (length,) = struct.unpack_from("<Q", tail, large + 40)
    if length > limits.entries * LISTED_BYTES:
        raise LimitReached(
            f"{path.name} lists its entries in {length:,} bytes; {limits.entries:,} entries are allowed."
        )


def _names(infos: list[zipfile.ZipInfo]) -> list[str]:
    """Names without a declared encoding are in that of the packer's country: all of them together tell which."""
    raw = [info.orig_filename.encode("cp437", errors="replace") for info in infos if not info.flag_bits & 0x800]
    guessed = iter(decode(b"\n".join(raw), "the list of names").split("\n") if raw else [])
    return [info.filename if info.flag_bits & 0x800 else next(guessed, info.filename) for info in infos]


def _compressed_entries(path: Path, kind: str) -> Generator[Entry, None, None]:
    """A compressed tar, or else one compressed file."""
    with _unpacked(path, kind) as stream:
        is_tar = kind_of_bytes(stream.read(512)) == "tar"
    if is_tar:
        yield from _tar_entries(path, kind)
    else:
        yield Entry(path.stem or path.name, _pieces(_unpacked(path, kind)))


def _unpacked(path: Path, kind: str) -> IO[bytes]:
    import bz2
    import gzip
    import lzma

    from backports import zstd

    openers: dict[str, Callable[[Path], object]] = {
        "gz": gzip.open,
        "bz2": bz2.open,
        "xz": lzma.open,
        "zst": zstd.open,
        "tar": lambda path: path.open("rb"),
    }
    return cast(IO[bytes], openers[kind](path))


def _tar_entries(path: Path, kind: str) -> Iterator[Entry]:
    with ExitStack() as opened:
        stream = opened.enter_context(_unpacked(path, kind))
        try:
            archive = opened.enter_context(tarfile.open(fileobj=stream, mode="r|", errors="surrogateescape"))
            for info in archive:
                yield from _tar_entry(archive, info)
                archive.members = []  # type: ignore[attr-defined]  # it would keep a note of each
        except (tarfile.TarError, EOFError, OSError) as exc:
            raise Unreadable(f"it is damaged ({exc}); nothing after that was read") from exc


def _tar_entry(archive: tarfile.TarFile, info: tarfile.TarInfo) -> Iterator[Entry]:
    name = decode(info.name.encode("utf-8", errors="surrogateescape"), "a name")
    if info.issym() or info.islnk():
        yield Entry(name, problem=Unsupported(LINK))
    elif info.isreg():
        content = archive.extractfile(info)
        yield Entry(name, _pieces(content) if content else ())


def _seven_zip_entries(path: Path, limits: Limits) -> Generator[Entry, None, None]:
    """py7zr pushes all of a solid block at once, so it goes into scratch files first."""
    import py7zr

    from ingest.readers.seven_zip import ScratchFiles

    with tempfile.TemporaryDirectory(prefix="seven-") as folder, path.open("rb") as file:
        files = ScratchFiles(Path(folder), limits)
        try:
            with py7zr.SevenZipFile(file) as archive:
                if archive.needs_password():
                    raise encrypted(path.name)
                archive.extractall(factory=files)
        except py7zr.exceptions.PasswordRequired as exc:
            raise encrypted(path.name) from exc
        except (py7zr.exceptions.ArchiveError, EOFError, ValueError) as exc:
            if not files.written:
                raise Unreadable(f"{path.name} is damaged or packed in an unknown way ({exc}).") from exc
        for name, written in files.written.items():
            yield Entry(name, _pieces(written.open("rb")))


def archive_library_problem() -> Exception | None:
    """Why rar, cab and iso cannot be read here; None when they can."""
    try:
        import libarchive  # noqa: F401  # its import looks for the system's library
    except (ImportError, OSError, AttributeError, TypeError) as exc:
        return exc
    return None


def _other_entries(path: Path) -> Generator[Entry, None, None]:
    """rar, cab, iso: by libarchive, a library of the system."""
    if problem := archive_library_problem():
        raise Unsupported(
            f"{path.name} can be read when the library libarchive is there: install the system package libarchive13, "
            "or unpack it into the folder."
        ) from problem
    import libarchive

    try:
        with libarchive.file_reader(str(path), block_size=PIECE_BYTES) as archive:
            for entry in archive:
                if entry.issym or entry.islnk:
                    yield Entry(entry.pathname, problem=Unsupported(LINK))
                elif entry.isreg:
                    yield Entry(entry.pathname, _blocks(entry))
    except libarchive.ArchiveError as exc:
        raise _translated(exc, path.name) from exc


def _blocks(entry: object) -> Iterator[bytes]:
    import libarchive

    try:
        # libarchive-c has no types.
        yield from entry.get_blocks(PIECE_BYTES)  # type: ignore[attr-defined]
    except libarchive.ArchiveError as exc:
        raise _translated(exc, "it") from exc


def _translated(exc: Exception, name: str) -> Encrypted | Unreadable:
    said = str(exc)
    if any(word in said.lower() for word in ("encrypt", "passphrase", "crypto")):
        return encrypted(name)
    return Unreadable(f"{name} is damaged or packed in an unknown way ({said[:200]})")
