"""A ZIP container measured before any library unpacks it: bombs stop here, and so do locked files."""

from __future__ import annotations

import zipfile
from pathlib import Path

from ingest.errors import Encrypted, LimitReached, Unreadable
from ingest.limits import Limits

# Below this size even a wild ratio does no harm, and small XML files do compress a thousandfold.
HARMLESS_BYTES = 64 << 20


def check_container(path: Path, limits: Limits) -> None:
    """Raises LimitReached, Encrypted or Unreadable. Sizes are those that the container declares of itself; a file
    that lies about them meets the process's own limits."""
    try:
        with zipfile.ZipFile(path) as container:
            entries = container.infolist()
            manifest = _odf_manifest(container)
    except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError, RuntimeError, ValueError) as exc:
        raise Unreadable(f"{path.name} is damaged: it is not a complete ZIP container ({exc}).") from exc
    if len(entries) > limits.entries:
        raise LimitReached(f"{path.name} holds {len(entries):,} entries; {limits.entries:,} are allowed.")
    unpacked = sum(entry.file_size for entry in entries)
    packed = max(1, sum(entry.compress_size for entry in entries))
    if unpacked > limits.unpacked_bytes:
        raise LimitReached(f"{path.name} unpacks to {unpacked:,} bytes; {limits.unpacked_bytes:,} are allowed.")
    if unpacked > HARMLESS_BYTES and unpacked > limits.unpacked_ratio * packed:
        raise LimitReached(f"{path.name} unpacks to {unpacked // packed:,} times its size: it looks like a bomb.")
    if b"manifest:encryption-data" in manifest or any(entry.flag_bits & 1 for entry in entries):
        raise Encrypted(f"{path.name} is protected with a password. Save a copy without one to have it read.")


def _odf_manifest(container: zipfile.ZipFile) -> bytes:
    """OpenDocument marks encrypted parts in its manifest, not in the container."""
    try:
        with container.open("META-INF/manifest.xml") as manifest:
            return manifest.read(1 << 20)
    except KeyError:
        return b""
