"""What is left out of a folder: gitignore lines, read as git reads them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest.errors import BadRule
from ingest.rules import DEFAULT_LINES, RULES_FILE, Rules, RulesOf, rules_of


@pytest.mark.parametrize(
    "path",
    [
        "~$report.docx",
        "a/.~lock.b.odt#",
        "a/b.TMP",
        "film.part",
        "c.pdf.crdownload",
        "Thumbs.db",
        "x/desktop.ini",
        "n~",
    ],
)
def test_what_programs_leave_beside_documents_is_left_out_by_default(path: str) -> None:
    assert Rules().left_out_by(path, is_folder=False) in DEFAULT_LINES
    assert Rules().rule_for(path) is not None


@pytest.mark.parametrize("path", ["report.docx", "a/tmp", "parts.txt", "node_modules", "# notes.md", "$5 off.pdf"])
def test_documents_are_not(path: str) -> None:
    assert Rules().left_out_by(path, is_folder=False) is None


def test_the_last_line_that_matches_decides_and_may_bring_back() -> None:
    rules = Rules(["!*.tmp", "old/", "draft*", "!draft-final.txt"])
    assert rules.rule_for("a.tmp") is None
    assert rules.rule_for("draft-1.txt") == "draft*"
    assert rules.rule_for("draft-final.txt") is None
    assert rules.left_out_by("old", is_folder=True) == "old/"
    assert rules.left_out_by("old", is_folder=False) is None


def test_a_file_below_a_folder_that_is_left_out_names_the_folders_line() -> None:
    rules = Rules(["old/", "!old/keep.txt"])
    assert rules.rule_for("x/old/deep/keep.txt") == "old/"
    assert rules.rule_for("node_modules/a/readme.md") == "node_modules/"
    assert rules.left_out_by("old/keep.txt", is_folder=False) is None  # of itself it is not left out


def test_only_some_kinds_are_read_when_everything_else_is_left_out() -> None:
    rules = Rules(["*", "!*/", "!*.pdf"])
    assert rules.rule_for("a/b/c.pdf") is None
    assert rules.rule_for("a/b/c.txt") == "*"
    assert rules.left_out_by("a", is_folder=True) is None


def test_comments_blanks_and_line_ends_mean_nothing() -> None:
    assert Rules(["# a note", "", "   ", "a.txt  ", "b.txt\r\n", "\\#c", "d\\  "]).lines == (
        *DEFAULT_LINES[:6],
        *(line for line in DEFAULT_LINES[6:] if not line.startswith("#")),
        "a.txt",
        "b.txt",
        "\\#c",
        "d\\ ",
    )


def test_both_unicode_forms_of_a_name_are_the_same_name() -> None:
    composed, decomposed = "Grün", "Gru\u0308n"
    assert Rules([composed]).rule_for(decomposed) == composed
    assert Rules([f"/{decomposed}/*"]).rule_for(f"{composed}/a.txt") == f"/{decomposed}/*"


def test_a_name_may_hold_a_line_break() -> None:
    assert Rules(["*.bak"]).rule_for("a\nb.bak") == "*.bak"


@pytest.mark.parametrize("line", ["!", "/", "a[", "[z", "x\\", "[[:nonsense:]]", "a\nb", "y" * 2000, "a\0b"])
def test_a_line_that_could_never_match_is_an_error_that_names_it(line: str) -> None:
    with pytest.raises(BadRule) as caught:
        Rules([line])
    assert repr(line[:80]) in str(caught.value)


def test_a_hostile_line_takes_no_time() -> None:
    rules = Rules(["*a" * 400 + "b", "**/*a*/" * 60 + "b", "/" + "**/a/" * 100 + "b"])
    began = time.process_time()
    assert rules.rule_for("a" * 255) is None
    assert rules.rule_for("/".join(["a"] * 500)) is None
    assert time.process_time() - began < 20  # an exponential would need years


def test_the_folders_own_file_comes_after_the_default_lines_and_those_given(tmp_path: Path) -> None:
    (tmp_path / RULES_FILE).write_bytes("\ufeff# ours\r\n*.log\r\n!*.tmp\r\n".encode())
    rules = rules_of(tmp_path, ["!*.log", "*.doc"])
    assert rules.lines[-4:] == ("!*.log", "*.doc", "*.log", "!*.tmp")
    assert rules.rule_for("a.log") == "*.log"
    assert rules.rule_for("a.doc") == "*.doc"
    assert rules.rule_for("a.tmp") is None
    assert rules_of(tmp_path / "elsewhere", []).lines == Rules().lines


def test_a_rules_file_that_cannot_be_read_is_an_error_not_an_empty_one(tmp_path: Path) -> None:
    file = tmp_path / RULES_FILE
    file.write_bytes(b"\xff\xfe*.log")
    with pytest.raises(BadRule, match="UTF-8"):
        rules_of(tmp_path, [])
    file.write_text("a\n" * 300_000)
    with pytest.raises(BadRule, match="larger"):
        rules_of(tmp_path, [])
    file.unlink()
    file.symlink_to("/etc/passwd")
    with pytest.raises(BadRule, match="not a plain file"):
        rules_of(tmp_path, [])
    file.unlink()
    os.mkfifo(file)
    with pytest.raises(BadRule, match="not a plain file"):
        rules_of(tmp_path, [])


def test_rules_are_compiled_anew_only_when_a_line_has_changed(tmp_path: Path) -> None:
    file = tmp_path / RULES_FILE
    file.write_text("*.log")
    rules = RulesOf(tmp_path)
    first = rules.now(["*.doc"])
    assert first.lines == rules_of(tmp_path, ["*.doc"]).lines
    assert rules.now(("*.doc",)) is first
    status = file.stat()
    file.write_text("*.bak")
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    second = rules.now(["*.doc"])
    assert (second.rule_for("a.bak"), second.rule_for("a.log")) == ("*.bak", None)
    assert rules.now([]).rule_for("a.doc") is None


def test_a_bad_rule_is_told_each_time_until_it_is_mended(tmp_path: Path) -> None:
    file = tmp_path / RULES_FILE
    file.write_text("[a")
    rules = RulesOf(tmp_path)
    for _ in range(2):
        with pytest.raises(BadRule, match="not closed"):
            rules.now([])
    file.write_bytes(b"\xff")
    with pytest.raises(BadRule, match="UTF-8"):
        rules.now([])
    file.write_text("[a]")
    assert rules.now([]).rule_for("a") == "[a]"


def test_the_number_of_rules_is_bounded() -> None:
    with pytest.raises(BadRule, match="2,000"):
        Rules(["a"] * 2001)


_NAMES = st.text(alphabet="ab.~-", min_size=1, max_size=4).filter(
    lambda name: name not in (".", "..") and name != ".git"
)
_PATHS = st.lists(_NAMES, min_size=1, max_size=4).map("/".join)
_PLAIN = ["a", "b", ".", "-", "~", "/", "/", "\\a", "\\*", " ", "\\ "]
_STARS = ["*", "**", "***", "?", "**/", "/**"]
_SETS = ["[ab]", "[!a]", "[^b.]", "[a-]", "[]a]", "[[:alpha:]]", "[![:punct:]]", "[b-a]", "[--.]"]
_PIECES = st.sampled_from([*_PLAIN, *_STARS, *_SETS])
_LINES = st.builds(
    lambda negated, pieces, slash: f"{negated}{''.join(pieces)}{slash}",
    st.sampled_from(["", "", "!"]),
    st.lists(_PIECES, min_size=1, max_size=5),
    st.sampled_from(["", "", "/"]),
)


def _is_usable(line: str) -> bool:
    """Not one that we refuse; nor "a**/b", where git, against its own manual, lets "**" stand for folders because it
    takes the plain text off the front before it looks at the stars."""
    if re.search(r"[^/*!]\*\*|^!?\*\*+[^/*]", line) and "/" in line:
        return False
    try:
        Rules([line])
    except BadRule:
        return False
    return True


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    lines=st.lists(_LINES.filter(_is_usable), min_size=1, max_size=5),
    paths=st.lists(_PATHS, min_size=1, max_size=15, unique=True),
    folders=st.sets(st.integers(0, 14)),
)
def test_every_path_is_judged_as_git_judges_it(
    tmp_path: Path, lines: list[str], paths: list[str], folders: set[int]
) -> None:
    repository = tmp_path / "repository"
    shutil.rmtree(repository, ignore_errors=True)
    (repository / ".git" / "info").mkdir(parents=True)
    for place in ("objects", "refs"):
        (repository / ".git" / place).mkdir()
    (repository / ".git" / "HEAD").write_text("ref: refs/heads/main\n")
    (repository / ".git" / "info" / "exclude").write_text("".join(f"{line}\n" for line in (*DEFAULT_LINES, *lines)))
    made = [path for number, path in enumerate(paths) if _make(repository / path, is_folder=number in folders)]
    rules = Rules(lines)
    judged = {path: rules.rule_for(path) for path in made if not (repository / path).is_dir()}
    assert judged == _judged_by_git(repository, list(judged))


def _make(path: Path, *, is_folder: bool) -> bool:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir() if is_folder else path.touch()
    except (FileExistsError, NotADirectoryError):  # a file stands where this path needs a folder
        return False
    return True


def _judged_by_git(repository: Path, paths: list[str]) -> dict[str, str | None]:
    """For each path the pattern that leaves it out. With -v git names the pattern that decides, also one with "!"."""
    asked = subprocess.run(
        ["git", "-c", "core.excludesFile=", "check-ignore", "-v", "-n", "-z", "--stdin", "--no-index"],
        cwd=repository,
        input="".join(f"./{path}\0" for path in paths).encode(),
        capture_output=True,
        env={"PATH": os.environ["PATH"], "GIT_CONFIG_NOSYSTEM": "1", "HOME": str(repository)},
    )
    assert asked.returncode in (0, 1), asked.stderr
    fields = asked.stdout.decode().split("\0")
    return {
        fields[at + 3].removeprefix("./"): fields[at + 2] if fields[at + 2][:1] not in ("", "!") else None
        for at in range(0, len(fields) - 1, 4)
    }
