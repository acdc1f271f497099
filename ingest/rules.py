"""Which paths below a folder are left out, by lines as in a gitignore file."""

from __future__ import annotations

import re
import stat
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path

from ingest.errors import BadRule
from ingest.wildmatch import Line, meaningful

RULES_FILE = ".lecternignore"
MOST_BYTES = 256 << 10
MOST_LINES = 2000
LONGEST_LINE = 1000

# What programs leave beside documents: locks, half-written and backup files, bins, version control, others' code.
DEFAULT_LINES = (
    "~$*",
    ".~lock.*#",
    "*.[Tt][Mm][Pp]",
    "*.part",
    "*.partial",
    "*.crdownload",
    "*.opdownload",
    "*.download/",
    "*.sw[op]",
    "*~",
    "#*#",
    ".#*",
    ".goutputstream-*",
    ".nfs*",
    ".fuse_hidden*",
    "._*",
    ".DS_Store",
    "[Tt]humbs.db",
    "[Dd]esktop.ini",
    "lost+found/",
    ".Trash-*/",
    "$RECYCLE.BIN/",
    "System Volume Information/",
    ".git/",
    ".svn/",
    ".hg/",
    "node_modules/",
    "__pycache__/",
    RULES_FILE,
)


class Rules:
    """Which paths below a folder are left out: gitignore lines, the last that matches decides.

    Paths are relative to the folder, with "/". As in git, a file below a folder that is left out cannot be brought
    back, because nothing looks there.
    """

    def __init__(self, lines: Sequence[str] = ()) -> None:
        """`lines` come after DEFAULT_LINES, so they can bring back what those leave out. Raises BadRule."""
        if len(lines) > MOST_LINES:
            raise BadRule(f"There are {len(lines):,} rules; at most {MOST_LINES:,} are read. Leave some out.")
        self._lines = [line for text in (*DEFAULT_LINES, *lines) if (line := _line(text)) is not None]
        self._lines.reverse()
        # Few paths match any line. One expression answers for all lines that look at the last name only.
        self._names = re.compile("|".join(line.name for line in self._lines if line.name is not None))
        self._places = [line for line in self._lines if line.name is None]

    @property
    def lines(self) -> tuple[str, ...]:
        """All lines in force, the default ones first."""
        return tuple(line.text for line in reversed(self._lines))

    def left_out_by(self, path: str, *, is_folder: bool) -> str | None:
        """The line that leaves `path` out, None when it is read. Does not look at the folders above it."""
        if not path.isascii():
            path = unicodedata.normalize("NFC", path)
        named = self._names.fullmatch(path, path.rfind("/") + 1)
        for line in self._lines if named else self._places:
            if line.matches(path, is_folder=is_folder):
                return None if line.brings_back else line.text
        return None

    def rule_for(self, path: str) -> str | None:
        """The line for which a file is not found: one that leaves it out, or a folder above it."""
        for end, character in enumerate(path):
            if character == "/" and (line := self.left_out_by(path[:end], is_folder=True)) is not None:
                return line
        return self.left_out_by(path, is_folder=False)


class RulesOf:
    """The rules of one folder, compiled anew only when a line has changed: two thousand of them need a second.
    Thread-safe."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: tuple[tuple[str, ...], Rules | BadRule] | None = None

    def now(self, lines: Sequence[str]) -> Rules:
        """As `rules_of`; asked often, it costs reading the file. Raises BadRule."""
        wanted = (*lines, *_lines_of_file(self._folder / RULES_FILE))
        known = self._known
        if known is None or known[0] != wanted:
            known = self._known = (wanted, _compiled(wanted))
        if isinstance(known[1], BadRule):
            raise BadRule(str(known[1]))
        return known[1]


def rules_of(folder: Path, lines: Sequence[str]) -> Rules:
    """DEFAULT_LINES, then `lines`, then the folder's own `.lecternignore`. Raises BadRule, also when that file is
    there and cannot be read: to index what somebody meant to leave out would be worse."""
    return Rules((*lines, *_lines_of_file(folder / RULES_FILE)))


def _compiled(lines: Sequence[str]) -> Rules | BadRule:
    try:
        return Rules(lines)
    except BadRule as exc:
        return exc


def _line(text: str) -> Line | None:
    if (line := meaningful(text)) is None:
        return None
    try:
        if len(line) > LONGEST_LINE or "\0" in line or "\n" in line:
            raise ValueError(f"it is not one line of at most {LONGEST_LINE:,} characters")
        return Line(line)
    except ValueError as exc:
        raise BadRule(f"The rule {line[:80]!r} cannot be used: {exc}. Write it as in a gitignore file.") from exc


def _lines_of_file(path: Path) -> Iterable[str]:
    try:
        if not stat.S_ISREG(path.lstat().st_mode):  # a link could lead out of the folder, a pipe would keep us waiting
            raise BadRule(f"{path} is not a plain file (a link, a folder or a device). Make it one, or remove it.")
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except FileNotFoundError:
        return ()
    except OSError as exc:
        raise BadRule(f"{path} cannot be read ({exc.strerror}). Make it readable, or remove it.") from exc
    if len(content) > MOST_BYTES:
        raise BadRule(f"{path} is larger than {MOST_BYTES >> 10} KiB. Shorten it.")
    try:
        return content.decode("utf-8-sig").split("\n")
    except UnicodeDecodeError as exc:
        raise BadRule(f"{path} is not UTF-8. Save it in that encoding.") from exc
