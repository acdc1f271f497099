"""What py7zr writes to while it unpacks: scratch files with names of our own, and no more of them than allowed."""

from __future__ import annotations

from pathlib import Path

from py7zr.io import Py7zIO, WriterFactory

from ingest.errors import LimitReached
from ingest.limits import Limits


class ScratchFiles(WriterFactory):
    """`written`: the files of the archive, by their names in it."""

    def __init__(self, folder: Path, limits: Limits) -> None:
        self._folder, self._limits = folder, limits
        self._room = limits.unpacked_bytes
        self.written: dict[str, Path] = {}

    def create(self, filename: str) -> Py7zIO:
        if len(self.written) >= self._limits.entries:
            raise LimitReached(f"there are more than {self._limits.entries:,} entries, the limit")
        file = self._folder / str(len(self.written))
        self.written[filename] = file
        file.touch()
        return _ScratchFile(file, self)

    def take(self, count: int) -> None:
        self._room -= count
        if self._room < 0:
            raise LimitReached(f"it unpacks to more than {self._limits.unpacked_bytes:,} bytes, the limit")


class _ScratchFile(Py7zIO):
    def __init__(self, path: Path, files: ScratchFiles) -> None:
        self._path, self._files = path, files
        self._length = 0

    def write(self, s: bytes | bytearray) -> int:
        self._files.take(len(s))
        with self._path.open("ab") as file:
            file.write(s)
        self._length += len(s)
        return len(s)

    def read(self, size: int | None = None) -> bytes:
        del size
        return b""

    def seek(self, offset: int, whence: int = 0) -> int:
        del offset, whence
        return 0

    def flush(self) -> None:
        """Each piece is written when it comes."""

    def size(self) -> int:
        return self._length
