"""The architecture, as imports: `models` and `indexes` stand alone, then `ingest`, `rag`, `web`, `app.py`; and each
heavy library is imported in one place only, never at the start of the program."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MAY_IMPORT = {
    "models": {"models"},
    "indexes": {"indexes"},
    "ingest": {"ingest", "models", "indexes"},
    "rag": {"rag", "ingest", "models", "indexes"},
    "web": {"web", "rag", "ingest", "models", "indexes"},
}
HOME = {"faiss": "indexes", "torch": "models", "unstructured": "ingest", "gradio": "web", "fastapi": "web"}


def _imports(file: Path) -> Iterator[tuple[str, bool]]:
    """(top-level module, is it imported as the program starts?) of every import in the file."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    at_start = {node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name.split(".")[0], node in at_start) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.split(".")[0], node in at_start


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_a_package_imports_only_those_below_it(package: str) -> None:
    wrong = [
        f"{file.relative_to(ROOT)} imports {module}"
        for file in sorted((ROOT / package).rglob("*.py"))
        for module, _ in _imports(file)
        if module in MAY_IMPORT and module not in MAY_IMPORT[package]
    ]
    assert not wrong


@pytest.mark.parametrize(("library", "package"), HOME.items())
def test_a_heavy_library_has_one_home(library: str, package: str) -> None:
    users = {
        file.relative_to(ROOT).parts[0]
        for below in MAY_IMPORT
        for file in (ROOT / below).rglob("*.py")
        if library in {module for module, _ in _imports(file)}
    }
    assert users <= {package}


def test_the_program_starts_without_anything_heavy() -> None:
    modules = {module for module, at_start in _imports(ROOT / "app.py") if at_start}
    assert modules <= {"__future__", "argparse", "collections", "pathlib", "sys", "typing"}
