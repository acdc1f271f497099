"""What Word's styles and numberings say of a paragraph: heading and level, list item, and the number in front of it."""

from __future__ import annotations

import re
from typing import Any

from ingest.readers.markup import attribute, child, children, descendants

HEADING_NAME = re.compile(r"heading\s*([1-9])$", re.IGNORECASE)
DEEPEST_STYLE = 20
ROMAN = ((1000, "m"), (900, "cm"), (500, "d"), (400, "cd"), (100, "c"), (90, "xc"), (50, "l"), (40, "xl"), (10, "x"),
         (9, "ix"), (5, "v"), (4, "iv"), (1, "i"))  # fmt: skip


class Styles:
    def __init__(self, root: Any) -> None:
        found = descendants(root, "style") if root is not None else ()
        self._styles = {attribute(style, "styleId"): style for style in found}

    def name(self, style_id: str) -> str:
        style = self._styles.get(style_id)
        named = child(style, "name") if style is not None else None
        return attribute(named, "val").casefold() if named is not None else style_id.casefold()

    def heading_level(self, style_id: str) -> int:
        """1–6 by the name or the outline level of the style or of one that it builds on; 0 for no heading."""
        for style in self._line(style_id):
            named = child(style, "name")
            match = HEADING_NAME.match(attribute(named, "val")) if named is not None else None
            outline = child(style, "pPr", "outlineLvl")
            if match:
                return min(6, int(match.group(1)))
            if outline is not None and attribute(outline, "val") in "012345678":
                return min(6, int(attribute(outline, "val")) + 1)
        match = HEADING_NAME.match(style_id)
        return min(6, int(match.group(1))) if match and style_id not in self._styles else 0

    def numbering(self, style_id: str) -> Any:
        """The style's `numPr`, or None."""
        found = (child(style, "pPr", "numPr") for style in self._line(style_id))
        return next((properties for properties in found if properties is not None), None)

    def _line(self, style_id: str) -> list[Any]:
        line: list[Any] = []
        style = self._styles.get(style_id)
        while style is not None and len(line) < DEEPEST_STYLE:
            line.append(style)
            base = child(style, "basedOn")
            style = self._styles.get(attribute(base, "val")) if base is not None else None
        return line


class Numbering:
    """Counts numbered paragraphs as Word does, so that "4.2" stands before its clause, where readers look for it."""

    def __init__(self, root: Any) -> None:
        self._abstract: dict[str, dict[int, Any]] = {}
        self._lists: dict[str, str] = {}
        self._counts: dict[str, dict[int, int]] = {}
        for found in descendants(root, "abstractNum", "listDef") if root is not None else ():
            key = attribute(found, "abstractNumId") or attribute(found, "listDefId")
            self._abstract[key] = {_number(level, "ilvl"): level for level in children(found, "lvl")}
        for found in descendants(root, "num", "list") if root is not None else ():
            target = (
                child(found, "abstractNumId") if child(found, "abstractNumId") is not None else child(found, "ilst")
            )
            if target is not None:
                self._lists[attribute(found, "numId") or attribute(found, "ilfo")] = attribute(target, "val")

    def label(self, properties: Any) -> str | None:
        """For a paragraph's `numPr`: its number, "" for a bullet, None when it is no item at all."""
        found = [child(properties, name) for name in ("numId", "ilfo", "ilvl")]
        list_id = next((attribute(one, "val") for one in found[:2] if one is not None), "")
        if list_id in ("", "0"):
            return None
        level = int(attribute(found[2], "val") or 0) if found[2] is not None else 0
        abstract = self._lists.get(list_id, list_id)
        levels = self._abstract.get(abstract, {})
        counts = self._counts.setdefault(abstract, {})
        counts[level] = counts.get(level, _start(levels.get(level)) - 1) + 1
        for deeper in [one for one in counts if one > level]:
            del counts[deeper]
        return self._text(levels, counts, level)

    def _text(self, levels: dict[int, Any], counts: dict[int, int], level: int) -> str:
        pattern = _value(levels.get(level), "lvlText")
        if "%" not in pattern or _value(levels.get(level), "numFmt", "nfc") in ("bullet", "none", "23", "255"):
            return ""

        def shown(match: re.Match[str]) -> str:
            at = int(match.group(1)) - 1
            kind = _value(levels.get(at), "numFmt", "nfc")
            return _shown(counts.get(at, _start(levels.get(at))), kind)

        return re.sub(r"%([1-9])", shown, pattern).strip()


def _shown(count: int, kind: str) -> str:
    lower = kind[:1].lower() + kind[1:]
    if lower in ("lowerLetter", "upperLetter", "4", "3") and count > 0:
        letters = chr(ord("a") + (count - 1) % 26) * ((count - 1) // 26 + 1)
        return letters if lower in ("lowerLetter", "4") else letters.upper()
    if lower in ("lowerRoman", "upperRoman", "2", "1") and 0 < count < 4000:
        return _roman(count) if lower in ("lowerRoman", "2") else _roman(count).upper()
    return str(count)


def _roman(count: int) -> str:
    text = ""
    for value, letters in ROMAN:
        text += letters * (count // value)
        count %= value
    return text


def _value(level: Any, *names: str) -> str:
    found = (child(level, name) for name in names) if level is not None else ()
    return next((attribute(one, "val") for one in found if one is not None), "")


def _start(level: Any) -> int:
    value = _value(level, "start")
    return int(value) if value.isdigit() else 1


def _number(element: Any, name: str) -> int:
    value = attribute(element, name)
    return int(value) if value.isdigit() else 0
