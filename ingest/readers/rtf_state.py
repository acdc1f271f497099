"""What an RTF file's control words mean to a reader of text, and what a group inherits from the one around it."""

from __future__ import annotations

from dataclasses import dataclass, field

from ingest.elements import Kind

SIGNS = {"tab": "\t", "line": "\n", "lbr": "\n", "emdash": "—", "endash": "–", "lquote": "‘", "rquote": "’",
         "ldblquote": "“", "rdblquote": "”", "bullet": "•", "emspace": " ", "enspace": " ", "qmspace": " ",
         "~": "\u00a0", "_": "-", "-": ""}  # fmt: skip
RUNNING: dict[str, Kind] = {
    **dict.fromkeys(("header", "headerl", "headerr", "headerf"), "header"),
    **dict.fromkeys(("footer", "footerl", "footerr", "footerf"), "footer"),
}
NOTES = ("footnote", "annotation")
# Groups that hold no text for readers. Unknown ones that begin with "\*" may be left out, by the format's own rule.
SILENT = {
    *("colortbl", "info", "pict", "objdata", "objclass", "objname", "generator", "listtable", "listoverridetable"),
    *("fldinst", "nonshppict", "shprslt", "xe", "tc", "sn", "sv", "filetbl", "revtbl", "template", "ftnsep", "ftnsepc"),
    *(
        "aftnsep",
        "aftnsepc",
        "ftncn",
        "bkmkstart",
        "bkmkend",
        "atnid",
        "atnauthor",
        "pntxta",
        "pntxtb",
        "do",
        "private",
    ),
}
KEPT_DESPITE_STAR = {"shpinst", "shptxt", "ud", "annotation", "title", "nesttableprops"}
DEEPEST = 2000
MOST_CELLS = 1000


@dataclass(frozen=True)
class State:
    """What a group inherits and leaves behind. `place` is where its text goes: "text", a table, or "nowhere"."""

    place: str = "text"
    font: int = -1
    wide_font: int = -1
    wide: bool = False
    skipped_after_unicode: int = 1
    hidden: bool = False
    style: int = 0
    outline: int = 9
    in_table: bool = False
    listed: bool = False


@dataclass
class Paragraph:
    pieces: list[str] = field(default_factory=list)

    def take(self) -> str:
        text = "".join(self.pieces).encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
        self.pieces.clear()
        return text.strip(" \n")
