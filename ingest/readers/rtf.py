"""Rich Text Format, with the code page of every font: pandoc takes the document's for all text, so that Czech, Russian
or Japanese words in a Western document come out as others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from ingest.elements import Page, Summary
from ingest.errors import Unreadable
from ingest.readers.assembly import PageAssembly
from ingest.readers.decoding import read_bytes
from ingest.readers.embedded_pictures import pictures_left_out
from ingest.readers.grid import Rows, add_grid
from ingest.readers.rtf_state import (
    DEEPEST,
    KEPT_DESPITE_STAR,
    MOST_CELLS,
    NOTES,
    RUNNING,
    SIGNS,
    SILENT,
    Paragraph,
    State,
)
from ingest.readers.rtf_tokens import CHARSETS, NAMED_CODE_PAGES, Token, code_page, decoded, tokens
from ingest.readers.word_styles import HEADING_NAME
from ingest.task import Task


def read(path: Path, task: Task) -> Iterator[Page | Summary]:
    """One page. Raises Encrypted, Unreadable, LimitReached."""
    content = read_bytes(path, task.limits)
    if b"{\\rtf" not in content[:1024]:
        raise Unreadable(f"{path.name} is not RTF: it does not begin as RTF does.")
    document = RtfDocument(path.name)
    document.run(content)
    if document.assembly.empty:
        raise Unreadable(f"{path.name} holds no text.")
    yield document.assembly.page()
    yield Summary(document.title, 1, pictures_left_out(document.pictures))


class RtfDocument:
    """Reads tokens one by one; texts collect in `_places` until their paragraph or group ends."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.assembly = PageAssembly()
        self.pictures = 0
        self._headings: list[str] = []
        self._info_title = ""
        self._state = State()
        self._stack: list[State] = []
        self._star = False
        self._pending = b""
        self._to_skip = 0
        self._encoding = "cp1252"
        self._fonts: dict[int, str] = {}
        self._styles: dict[int, int] = {}
        self._places: dict[str, Paragraph] = {}
        self._notes: list[str] = []
        self._told: set[str] = set()
        self._rows: Rows = []
        self._cells: list[str] = []
        self._words: dict[str, Callable[[int | None], None]] = {
            "par": lambda _: self._paragraph_ends(),
            "sect": lambda _: self._paragraph_ends(),
            "page": lambda _: self._paragraph_ends(),
            "pard": lambda _: self._change(style=0, outline=9, in_table=False, listed=False),
            "plain": lambda _: self._change(hidden=False, wide=False),
            "cell": lambda _: self._cell_ends(),
            "nestcell": lambda _: self._say(" "),
            "nestrow": lambda _: self._say("; "),
            "row": lambda _: self._row_ends(),
            "intbl": lambda _: self._change(in_table=True),
            "ls": lambda _: self._change(listed=True),
            "s": lambda number: self._change(style=number or 0),
            "outlinelevel": lambda number: self._outline(number),
            "v": lambda number: self._change(hidden=number != 0),
            "deleted": lambda number: self._change(hidden=number != 0),
            "f": lambda number: self._font(number or 0),
            "af": lambda number: self._change(wide_font=number or 0) if self._state.wide else None,
            "dbch": lambda _: self._change(wide=True),
            "loch": lambda _: self._change(wide=False),
            "hich": lambda _: self._change(wide=False),
            "fcharset": lambda number: self._charset(number),
            "cpg": lambda number: self._font_code_page(number),
            "ansicpg": lambda number: self._code_page(code_page(number)),
            "uc": lambda number: self._change(skipped_after_unicode=max(0, number or 0)),
            "u": lambda number: self._unicode(number or 0),
        }

    @property
    def title(self) -> str | None:
        return (self._headings[0] if self._headings else None) or self._info_title.strip() or None

    def run(self, content: bytes) -> None:
        for token in tokens(content):
            self._take(token)
        self._paragraph_ends()
        self._table_ends()

    def _take(self, token: Token) -> None:
        if token.kind in ("text", "byte"):
            self._bytes(token)
            return
        if token.kind != "symbol" or token.name != "*":
            self._flush()
        if token.kind == "open":
            if len(self._stack) >= DEEPEST:
                raise Unreadable(f"{self._name} is damaged: its groups are nested deeper than {DEEPEST:,}.")
            self._stack.append(self._state)
        elif token.kind == "close":
            self._group_ends()
        elif token.kind == "word":
            self._word(token.name, token.number)
        elif token.name == "*":
            self._star = True
            return
        elif token.name in "\r\n":
            self._paragraph_ends()
        elif self._to_skip and token.name not in "\\{}":
            self._to_skip -= 1
        else:
            self._say(SIGNS.get(token.name, token.name if token.name in "\\{}" else ""))
        self._star = False

    def _word(self, name: str, number: int | None) -> None:
        starred = self._star
        if name in NAMED_CODE_PAGES:
            self._code_page(NAMED_CODE_PAGES[name])
        elif name in SIGNS:
            self._say(SIGNS[name])
        elif name in ("fonttbl", "stylesheet", "title", "listtext", "pntext"):
            self._change(place=name)
        elif name in RUNNING or name in NOTES:
            self._change(place=name if self._state.place != "nowhere" else "nowhere", in_table=False)
        elif name == "ud" and starred:
            self._change(place="text" if self._state.place == "upr" else self._state.place)
        elif name == "upr":
            self._change(place="upr" if self._state.place == "text" else self._state.place)
        elif name == "shptxt":
            self._change(place="shape" if self._state.place != "nowhere" else "nowhere", in_table=False)
        elif name in SILENT or (starred and name not in KEPT_DESPITE_STAR):
            self.pictures += name == "pict" and self._state.place != "nowhere"
            self._change(place="nowhere")
        elif name in self._words:
            self._words[name](number)

    def _change(self, **changes: object) -> None:
        self._state = replace(self._state, **changes)  # type: ignore[arg-type]  # the names are those of State

    def _group_ends(self) -> None:
        ended = self._state
        if self._stack:
            self._state = self._stack.pop()
        if ended.place != self._state.place:
            self._place_ends(ended.place)

    def _place_ends(self, place: str) -> None:
        text = self._places.setdefault(place, Paragraph()).take()
        if place in RUNNING and text and text not in self._told:
            self._told.add(text)
            self.assembly.add(RUNNING[place], text)
        elif place in (*NOTES, "shape"):
            self._notes.append(text)
        elif place == "title":
            self._info_title = text
        elif place in ("listtext", "pntext") and any(map(str.isalnum, text)):
            # The number that Word shows before an item; signs of bullets are of no use.
            self._places.setdefault("text", Paragraph()).pieces.append(" ".join(text.split()) + " ")

    def _bytes(self, token: Token) -> None:
        raw = token.text
        if self._to_skip:
            skipped = min(self._to_skip, len(raw))
            self._to_skip -= skipped
            raw = raw[skipped:]
        if self._state.place == "stylesheet":
            self._style_named(raw)
        elif self._state.place not in ("nowhere", "fonttbl", "upr") and not self._state.hidden:
            self._pending += raw

    def _flush(self) -> None:
        if self._pending:
            raw, self._pending = self._pending, b""
            font = self._state.wide_font if self._state.wide and self._state.wide_font >= 0 else self._state.font
            self._say(decoded(raw, self._fonts.get(font, self._encoding), self._encoding))

    def _say(self, text: str) -> None:
        if self._state.place not in ("nowhere", "fonttbl", "stylesheet", "upr") and not self._state.hidden:
            self._places.setdefault(self._state.place, Paragraph()).pieces.append(text)

    def _unicode(self, number: int) -> None:
        code = number + 0x10000 if number < 0 else number
        self._say(chr(code) if 0 < code < 0x110000 else "")
        self._to_skip = self._state.skipped_after_unicode

    def _font(self, number: int) -> None:
        self._change(**{"wide_font" if self._state.wide else "font": number})

    def _charset(self, number: int | None) -> None:
        if self._state.place == "fonttbl" and number in CHARSETS:
            self._fonts[self._state.font] = CHARSETS[number]

    def _font_code_page(self, number: int | None) -> None:
        name = code_page(number)
        if self._state.place == "fonttbl" and name:
            self._fonts[self._state.font] = name

    def _code_page(self, name: str | None) -> None:
        self._encoding = name or self._encoding

    def _outline(self, number: int | None) -> None:
        level = number if number is not None else 9
        if self._state.place == "stylesheet" and 0 <= level < 9:
            self._styles[self._state.style] = min(6, level + 1)
        self._change(outline=level)

    def _style_named(self, raw: bytes) -> None:
        name = raw.decode("latin-1").strip().rstrip(";").strip()
        match = HEADING_NAME.match(name)
        if match:
            self._styles[self._state.style] = min(6, int(match.group(1)))
        elif name.casefold() == "title":
            self._styles[self._state.style] = 0

    def _paragraph_ends(self) -> None:
        place = self._state.place
        if place in ("nowhere", "fonttbl", "stylesheet", "upr"):
            return
        if place != "text" or self._state.in_table:
            self._say("\n")
            return
        self._table_ends()
        text = self._places.setdefault("text", Paragraph()).take()
        level = self._styles.get(self._state.style)
        if level is None and 0 <= self._state.outline < 9:
            level = min(6, self._state.outline + 1)
        self._add(text, level)
        self._notes_end()

    def _add(self, text: str, level: int | None) -> None:
        if level is None:
            self.assembly.add("list_item" if self._state.listed else "paragraph", text)
            return
        self.assembly.add("heading" if level else "title", text, level=level)
        self._headings += [" ".join(text.split())] if text.strip() else []

    def _notes_end(self) -> None:
        notes, self._notes = self._notes, []
        for note in notes:
            self.assembly.add("paragraph", note)

    def _cell_ends(self) -> None:
        if self._state.place == "text" and len(self._cells) < MOST_CELLS:
            self._cells.append(" ".join(self._places.setdefault("text", Paragraph()).take().split()))
        else:
            self._say(" ")

    def _row_ends(self) -> None:
        if self._state.place == "text":
            self._rows.append(self._cells)
            self._cells = []

    def _table_ends(self) -> None:
        rows, self._rows = self._rows, []
        if self._cells:
            rows, self._cells = [*rows, self._cells], []
        if rows:
            add_grid(self.assembly, rows)
            self._notes_end()
