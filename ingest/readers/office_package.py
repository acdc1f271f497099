"""The parts of an Office file (docx, pptx, xlsx, vsdx, xps) and the relations between them.

A package is a ZIP, or one XML file that holds all parts ("flat OPC", the 2006 XML of Word). Relations are followed
inside of the package only: links to the web and to other files are never opened.
"""

from __future__ import annotations

import base64
import binascii
import posixpath
import re
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ingest.errors import Unreadable
from ingest.readers.containers import check_container
from ingest.readers.decoding import read_bytes
from ingest.readers.markup import attribute, child, children, descendants, parsed
from ingest.task import Task

EMBEDDED = re.compile(r"(^|/)embeddings/[^/]+$")


class Package:
    """Parts by their names without a leading slash, each unpacked when it is asked for."""

    def __init__(self, path: Path, task: Task) -> None:
        """Raises Encrypted, LimitReached, Unreadable."""
        self._path = path
        self._flat: dict[str, bytes] | None = None
        with path.open("rb") as file:
            zipped = file.read(2) == b"PK"
        if zipped:
            check_container(path, task.limits)
            self._zip = zipfile.ZipFile(path)
            # Some programs write backslashes, and other cases of letters than their own relations name.
            self._names = {_key(name): name for name in self._zip.namelist()}
        else:
            self._flat = dict(_flat_parts(parsed(read_bytes(path, task.limits))))
            self._names = {_key(name): name for name in self._flat}

    def close(self) -> None:
        if self._flat is None:
            self._zip.close()

    def names(self) -> list[str]:
        return list(self._names.values())

    def content(self, name: str) -> bytes | None:
        """The part's bytes, or None when it is missing. Raises Unreadable when it cannot be unpacked."""
        stored = self._names.get(_key(name))
        if stored is None:
            return None
        if self._flat is not None:
            return self._flat[stored]
        try:
            return self._zip.read(stored)
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as exc:
            raise Unreadable(f"{self._path.name} is damaged: its part {name} cannot be unpacked ({exc}).") from exc

    def root(self, name: str) -> Any:
        """The root element of an XML part; None when the part is missing or is no XML."""
        content = self.content(name)
        return parsed(content) if content else None

    def relations(self, name: str = "") -> dict[str, tuple[str, str]]:
        """Of a part (or of the package): (last word of the type, target part) by the relation's id."""
        folder, base = posixpath.split(name)
        root = self.root(posixpath.join(folder, "_rels", f"{base}.rels"))
        found = {}
        for relation in descendants(root, "Relationship") if root is not None else ():
            if relation.get("TargetMode") != "External":
                target = resolved(name, relation.get("Target", ""))
                found[relation.get("Id", "")] = (relation.get("Type", "").rpartition("/")[2], target)
        return found

    def related(self, name: str, *kinds: str) -> Iterator[str]:
        """Names of the parts that `name` relates to by these kinds, in the order of the file."""
        for kind, target in self.relations(name).values():
            if kind in kinds:
                yield target

    def main_part(self) -> str | None:
        return next(self.related("", "officeDocument", "document", "fixedrepresentation"), None)

    def title(self) -> str | None:
        """What the author put into the properties, unless it is the name of the template or nothing."""
        for name in self.related("", "core-properties"):
            root = self.root(name)
            found = next(descendants(root, "title"), None) if root is not None else None
            text = " ".join((found.text or "").split()) if found is not None else ""
            if text:
                return text
        return None

    def embedded(self) -> list[str]:
        """Names of the parts that are documents of their own: workbooks behind charts, OLE objects."""
        return [name for name in self.names() if EMBEDDED.search(name)]


def resolved(source: str, target: str) -> str:
    """The part that `target`, written in the part `source`, means; never one outside of the package."""
    folder = posixpath.dirname(source)
    return posixpath.normpath(posixpath.join("/", folder, target.replace("\\", "/"))).lstrip("/")


def _key(name: str) -> str:
    return name.replace("\\", "/").lstrip("/").casefold()


def _flat_parts(root: Any) -> Iterator[tuple[str, bytes]]:
    """Parts of a flat file: each is XML as it stands, or in base64."""
    from lxml import etree

    for part in descendants(root, "part") if root is not None else ():
        name = attribute(part, "name")
        data = child(part, "xmlData")
        binary = next(children(part, "binaryData"), None)
        if data is not None and len(data):
            yield name, etree.tostring(data[0], encoding="utf-8")
        elif binary is not None:
            try:
                yield name, base64.b64decode(binary.text or "")
            except binascii.Error:
                continue
