"""Files as lines at a terminal, and the places of what is found."""

from __future__ import annotations

import io

from rich.console import Console

from web.terminal_files import print_files, shortened
from web.terminal_views import VIEWS

LONG = "folder/" + "x" * 230 + "/end.txt"


def printed(width: int | None) -> list[str]:
    """At a terminal of that width, or into a file."""
    out = io.StringIO()
    console = Console(file=out, force_terminal=width is not None, width=width or 10_000, color_system=None)
    rows = [("indexed", "a.txt", "1/1", "3", ""), ("failed", LONG, "", "", "damaged [bold]")]
    print_files(console, ("state", "file", "pages", "chunks", "reason"), rows)
    return out.getvalue().splitlines()


def test_no_line_ends_in_blanks_and_nothing_is_cut_in_a_file() -> None:
    lines = printed(None)
    assert all(line == line.rstrip() for line in lines)
    assert LONG in lines[2]
    assert "damaged [bold]" in lines[2]
    assert len(lines[1]) < 100


def test_names_are_cut_in_the_middle_at_a_terminal() -> None:
    lines = printed(80)
    assert lines[2].startswith("failed")
    assert "…" in lines[2]
    assert "/end.txt" in lines[2]
    assert all(len(line) <= 80 for line in lines)


def test_a_wide_name_is_cut_by_its_cells() -> None:
    assert shortened("a" * 10, 10) == "a" * 10
    assert shortened("0123456789", 5) == "01…89"
    assert shortened("漢字" * 10, 9).count("…") == 1


def test_search_and_ask_name_the_part_of_a_file() -> None:
    found = {"file": "all.zip", "part": "in/memo.pdf", "page": 2, "score": 1.0, "heading": "", "text": "x"}
    citation = {**found, "n": 1, "version": 1, "verified": True}
    answer = {"citations": [citation], "engine": None, "notes": [], "refused": False, "passages": []}
    for command, result in (("search", {"passages": [found]}), ("ask", answer)):
        out = io.StringIO()
        VIEWS[command](Console(file=out, width=200), result)
        assert "all.zip › in/memo.pdf, page 2" in out.getvalue()
