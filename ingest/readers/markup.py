"""XML out of documents, parsed so that nothing is fetched and nothing explodes; names are used without namespaces,
since the same format comes with several (strict and transitional OOXML, OpenDocument and StarOffice)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def parsed(content: bytes) -> Any:
    """The root element, or None when there is none. Damaged XML is read as far as it goes."""
    from lxml import etree

    parser = etree.XMLParser(
        resolve_entities=False,
        load_dtd=False,
        no_network=True,
        recover=True,
        huge_tree=True,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        return etree.fromstring(content, parser)
    except (etree.XMLSyntaxError, ValueError):
        return None


def name_of(element: Any) -> str:
    """The local name; empty for what is no element (an entity)."""
    tag = element.tag
    return tag.rpartition("}")[2] if isinstance(tag, str) else ""


def attribute(element: Any, name: str, default: str = "") -> str:
    """The value of the attribute of that local name, whatever its namespace."""
    value = element.get(name)
    if value is not None:
        return str(value)
    return next((str(value) for key, value in element.attrib.items() if key.rpartition("}")[2] == name), default)


def children(element: Any, *names: str) -> Iterator[Any]:
    for child in element:
        if name_of(child) in names:
            yield child


def child(element: Any, *path: str) -> Any:
    """The first child of each name, one below the other; None where one is missing."""
    for name in path:
        element = next(children(element, name), None)
        if element is None:
            return None
    return element


def descendants(element: Any, *names: str) -> Iterator[Any]:
    """Elements of these local names at any depth, in the order of the document."""
    yield from element.iter(*(f"{{*}}{name}" for name in names))


def text_of(element: Any) -> str:
    """All text inside of it, with single spaces."""
    return " ".join("".join(element.itertext()).split())
