"""A folder on the disk that is changed at random, as people, programs and sync clients do. Numbers choose; what they
choose from is the folder as it is, in order, so that the same numbers do the same."""

from __future__ import annotations

import os
import random
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

from tests.standins.small_pdf import small_pdf

WORDS = ("alpha", "bravo", "charlie", "delta", "echo", "foxtrot", "golf", "nine", "row", "page", "heading")
FOLDERS = ("", "one", "one/two", "three", "three/four")
NAMES = ("a.txt", "b.md", "c.csv", "d.html", "e.pdf", "f.json", "g.zip", "h.bin", "i", ".hidden.txt")
FIRST_S = 1_600_000_000


class RandomFolder:
    """Every write gets a time of its own: two contents of one size and one time cannot be told apart from outside."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir()
        self._seconds = FIRST_S

    def files(self) -> list[Path]:
        return sorted(path for path in self.root.rglob("*") if path.is_file() or path.is_symlink())

    def folders(self) -> list[Path]:
        return sorted(path for path in self.root.rglob("*") if path.is_dir() and not path.is_symlink())

    def a_file(self, pick: int) -> Path:
        return self.files()[pick % len(self.files())]

    def a_folder(self, pick: int) -> Path:
        return self.folders()[pick % len(self.folders())]

    def place(self, folder: str, name: str) -> Path | None:
        """Where a file of that name can go; None where a file is in the way of its folder, or a folder in its own."""
        path = self.root / folder / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError):
            return None
        return None if path.is_dir() else path

    def write(self, folder: str, name: str, seed: int) -> None:
        path = self.place(folder, name)
        if path:
            path.unlink(missing_ok=True)
            path.write_bytes(content_of(name, seed))
            self._date(path)

    def modify(self, pick: int, seed: int, older: bool) -> None:
        """In place; `older`: with a time before the last one, as when an old copy is put back."""
        path = self.a_file(pick)
        if not path.is_symlink():
            path.write_bytes(content_of(path.name, seed))
            self._date(path, older)

    def rename(self, pick: int, folder: str, name: str) -> None:
        """Also onto another file, and to another suffix."""
        self._to(folder, name, self.a_file(pick), os.replace)

    def move(self, pick: int, folder: str) -> None:
        path = self.a_file(pick)
        self._to(folder, path.name, path, os.replace)

    def duplicate(self, pick: int, folder: str, name: str) -> None:
        path = self.a_file(pick)
        if not path.is_symlink():
            self._to(folder, name, path, shutil.copy2)

    def rename_folder(self, pick: int, name: str) -> None:
        folder = self.a_folder(pick)
        target = folder.with_name(name)
        if not target.exists():
            folder.rename(target)

    def swap(self, pick: int, other: int) -> None:
        first, second = self.a_file(pick), self.a_file(other)
        if first != second:
            between = self.root / ".swapping"
            first.rename(between)
            second.rename(first)
            between.rename(second)

    def touch(self, pick: int) -> None:
        path = self.a_file(pick)
        if not path.is_symlink():
            self._date(path)

    def delete(self, pick: int) -> None:
        self.a_file(pick).unlink()

    def delete_folder(self, pick: int) -> None:
        shutil.rmtree(self.a_folder(pick))

    def file_becomes_folder(self, pick: int, seed: int) -> None:
        path = self.a_file(pick)
        path.unlink()
        path.mkdir()
        self.write(path.relative_to(self.root).as_posix(), "inside.txt", seed)

    def folder_becomes_file(self, pick: int, seed: int) -> None:
        path = self.a_folder(pick)
        shutil.rmtree(path)
        self.write(path.parent.relative_to(self.root).as_posix(), path.name, seed)

    def link(self, pick: int, folder: str, name: str) -> None:
        """To a file of the folder; when that goes, the link leads nowhere."""
        path, place = self.a_file(pick), self.place(folder, name)
        if place and not path.is_symlink() and place != path:
            place.unlink(missing_ok=True)
            place.symlink_to(path)

    def _to(self, folder: str, name: str, path: Path, do: Callable[[Path, Path], object]) -> None:
        place = self.place(folder, name)
        if place and place != path:
            place.unlink(missing_ok=True)
            do(path, place)

    def _date(self, path: Path, older: bool = False) -> None:
        self._seconds += 1
        offset = self._seconds - FIRST_S
        moment = FIRST_S - offset if older else self._seconds
        os.utime(path, (moment, moment))


def content_of(name: str, seed: int) -> bytes:
    """Bytes as the suffix says, the same for the same seed. Some are empty, some damaged, most are alike."""
    kind = Path(name).suffix
    if seed % 13 == 0:
        return b"" if seed % 2 else b"%PDF-1.7\n\x00\x01 damaged"
    choice = random.Random(seed)
    lines = [" ".join(choice.choices(WORDS, k=12)) for _ in range(2 + seed % 7)]
    makers: dict[str, Callable[[], bytes]] = {
        ".md": lambda: "\n\n".join(f"# heading {n}\n\n{line}" for n, line in enumerate(lines)).encode(),
        ".csv": lambda: "\n".join(["alpha,bravo", *(line.replace(" ", ",", 1) for line in lines)]).encode(),
        ".html": lambda: f"<html><title>page {seed}</title><p>{'</p><p>'.join(lines)}</p></html>".encode(),
        ".pdf": lambda: small_pdf([[line, f"page {n}"] for n, line in enumerate(lines)]),
        ".json": lambda: str(dict(enumerate(lines))).replace("'", '"').encode(),
        ".zip": lambda: _zip(lines),
        ".bin": lambda: bytes(choice.choices(range(256), k=300)),
    }
    return makers.get(kind, lambda: "\n\n".join(lines).encode())()


def _zip(lines: list[str]) -> bytes:
    import io

    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        for n, line in enumerate(lines):
            archive.writestr(zipfile.ZipInfo(f"member {n}.txt"), line)
    return written.getvalue()
