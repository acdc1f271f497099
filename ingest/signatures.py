"""What the bytes at the beginning of a file leave no doubt about; neither its name nor a library is asked."""

from __future__ import annotations

import re
import struct

# Kinds at the start of a file. ZIP and OLE are containers of many formats: `ingest.container_magic` looks further.
STARTS = {
    b"%PDF-": "pdf",
    b"{\\rtf": "rtf",
    b"PK\x03\x04": "zip container",
    b"PK\x05\x06": "zip container",
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": "ole container",
    b"\x1f\x8b": "gz",
    b"\xfd7zXZ\x00": "xz",
    b"\x28\xb5\x2f\xfd": "zst",
    b"7z\xbc\xaf\x27\x1c": "7z",
    b"Rar!\x1a\x07": "rar",
    b"MSCF\x00\x00\x00\x00": "cab",
    b"\x78\x9f\x3e\x22": "tnef",
    b"!BDN": "pst",
    b"\x89PNG\r\n": "png",
    b"\xff\xd8\xff": "jpg",
    b"GIF87a": "gif",
    b"GIF89a": "gif",
    b"II*\x00": "tiff",
    b"MM\x00*": "tiff",
    b"II+\x00": "tiff",
    b"MM\x00+": "tiff",
    b"\x00\x00\x01\x00": "ico",
    b"8BPS\x00": "psd",
    b"fLaC": "flac",
    b"OggS": "ogg",
    b"#!AMR": "amr",
    b"MThd\x00\x00": "mid",
    b"\x1aE\xdf\xa3": "mkv",
    b"FLV\x01": "flv",
    b"\x00\x00\x01\xba": "mpg",
    b"\x30\x26\xb2\x75\x8e\x66\xcf\x11": "wmv",
    b"\x7fELF": "so",
    b"\xca\xfe\xba\xbe": "class",
    b"\x00asm": "wasm",
    b"SQLite format 3\x00": "sqlite",
    b"\x00\x01\x00\x00Standard ": "mdb",
    b"\xe4\x52\x5c\x7b\x8c\xd8\xa7\x4d": "one",
    b"ITSF\x03\x00": "chm",
    b"\xffWPC": "wp",
    b"HWP Document File": "hwp3",
    b"\xd7\xcd\xc6\x9a": "wmf",
    b"wOFF": "font",
    b"wOF2": "font",
    b"OTTO\x00": "font",
    b"\x00\x01\x00\x00\x00": "font",
}
PATTERNS = {
    re.compile(rb"BZh[1-9](1AY&SY|\x17rE8P)"): "bz2",
    re.compile(rb"FORM....AIF[FC]", re.DOTALL): "aiff",
    re.compile(rb"AC10\d\d\x00"): "dwg",
    # Signed or sealed (CMS): a sequence that begins with the number of its kind.
    re.compile(rb"\x30.{1,5}\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07[\x02\x03]", re.DOTALL): "p7m",
    re.compile(rb"-----BEGIN (PKCS7|CMS|PKCS #7 SIGNED DATA)-----"): "p7m",
    re.compile(rb"ID3[\x02-\x04]"): "mp3",
}
RIFF = {b"WAVE": "wav", b"AVI ": "avi", b"WEBP": "webp"}
# The "brand" of an ISO media file; those not named are films.
BRANDS = {
    b"heic": "heic",
    b"heix": "heic",
    b"mif1": "heic",
    b"msf1": "heic",
    b"avif": "avif",
    b"avis": "avif",
    b"M4A ": "m4a",
    b"M4B ": "m4a",
    b"jp2 ": "jp2",
}
# Where a disc image (ISO 9660) has its mark: far behind what is read of other files.
DISC_MARK, DISC_MARK_AT = b"CD001", 32_769
CONTAINERS = ("zip container", "ole container")
KINDS = frozenset({*STARTS.values(), *PATTERNS.values(), *RIFF.values(), *BRANDS.values()} - {*CONTAINERS}) | {
    "bmp",
    "dbf",
    "exe",
    "mp4",
    "riff",
    "tar",
}


def kind_of_bytes(head: bytes) -> str | None:
    """A name of `STARTS` and of the tables below it; None when the file may be text or anything else."""
    for start, kind in STARTS.items():
        if head.startswith(start):
            return kind
    for pattern, kind in PATTERNS.items():
        if pattern.match(head):
            return kind
    if head.startswith(b"RIFF"):
        return RIFF.get(head[8:12], "riff")
    if head[4:8] == b"ftyp":
        return BRANDS.get(head[8:12], "mp4")
    if _is_tar(head):
        return "tar"
    if head.startswith(b"BM") and struct.unpack_from("<I", head.ljust(18, b"\0"), 14)[0] in (12, 40, 108, 124):
        return "bmp"
    if head.startswith(b"MZ") and b"\x00" in head[:128]:
        return "exe"
    return "dbf" if _is_dbase(head) else "mp3" if _is_mpeg_sound(head) else None


def _is_tar(head: bytes) -> bool:
    """The oldest kind has no signature, but each header has a checksum."""
    header = head[:512]
    digits = header[148:156].strip(b" \0")
    if len(header) < 512 or not re.fullmatch(rb"[0-7]{1,7}", digits) or not header[0]:
        return False
    return int(digits, 8) == sum(header[:148]) + 8 * 32 + sum(header[156:])


def _is_dbase(head: bytes) -> bool:
    """Version, a date, and a table of 32-byte fields that ends with a return character where the header says so."""
    if len(head) < 68 or head[0] not in (0x02, 0x03, 0x30, 0x31, 0x83, 0x8B, 0xF5):
        return False
    month, day = head[2], head[3]
    (length,) = struct.unpack_from("<H", head, 8)
    names = re.fullmatch(rb"[A-Za-z_][A-Za-z0-9_]{0,10}\x00*", head[32:43])
    return bool(1 <= month <= 12 and 1 <= day <= 31 and names and 0x0D in head[32 : length + 1])


def _is_mpeg_sound(head: bytes) -> bool:
    """Without a tag, an MP3 begins with a frame: eleven bits set, a known layer, bit rate and sampling rate."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return False
    version, layer = head[1] >> 3 & 3, head[1] >> 1 & 3
    return version != 1 and layer == 1 and head[2] >> 4 not in (0, 15) and head[2] >> 2 & 3 != 3
