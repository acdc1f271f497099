"""Fixtures that several packages share: where real documents and weights lie, and one appliance over real documents."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from rag.appliance import Appliance

ROOT = Path(__file__).resolve().parents[1]


class CommandLine:
    """`python app.py …` in processes of its own, with a data folder of its own."""

    def __init__(self, home: Path, cache: Path) -> None:
        self.home = home
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("LECTERN_", "NIM_"))}
        self.environment = {**kept, "LECTERN_HOME": str(home), "LECTERN_CACHE": str(cache), "COLUMNS": "160"}

    def start(self, *arguments: object, **environment: str) -> subprocess.Popen[str]:
        """A process of which the caller takes care."""
        return subprocess.Popen(
            [sys.executable, "app.py", *map(str, arguments)],
            cwd=ROOT,
            env={**self.environment, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: object, timeout_s: float = 120, **environment: str) -> subprocess.CompletedProcess[str]:
        """Wait for the end."""
        with self.start(*arguments, **environment) as process:
            try:
                output, errors = process.communicate(timeout=timeout_s)
            except BaseException:
                process.kill()
                raise
        return subprocess.CompletedProcess(process.args, process.returncode, output, errors)

    @contextmanager
    def served(self, *arguments: object) -> Iterator[subprocess.Popen[str]]:
        """`serve` on a free port, up to the end of the block."""
        process = self.start("serve", "--port", 0, "--json", *arguments)
        try:
            assert process.stdout is not None
            started = process.stdout.readline()
            assert started, process.communicate()[1]
            yield process
        finally:
            end(process)

    def json(self, *arguments: object) -> dict[str, Any]:
        """The one JSON document of a command that must succeed."""
        done = self.run(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        document = json.loads(done.stdout)
        assert isinstance(document, dict)
        return document


def end(process: subprocess.Popen[str]) -> None:
    """Ask it to end, and make sure that it does."""
    process.terminate()
    try:
        process.communicate(timeout=20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()


@pytest.fixture(scope="session")
def make_command_line(cache: Path) -> Callable[[Path], CommandLine]:
    return lambda home: CommandLine(home, cache)


@pytest.fixture
def command_line(tmp_path: Path, cache: Path) -> CommandLine:
    return CommandLine(tmp_path / "home", cache)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real documents beside the checkout; not part of the repository."""
    folder = ROOT.parent / "shared"
    if not folder.is_dir():
        pytest.skip(f"{folder} is not here: real documents lie beside the checkout, not in it")
    return folder


@pytest.fixture(scope="session")
def cache() -> Path:
    """Where the embedded weights lie; `make venv` puts them there."""
    import platformdirs

    named = os.environ.get("LECTERN_CACHE")
    return Path(named) if named else Path(platformdirs.user_cache_dir("lectern"))


@pytest.fixture(scope="session")
def documents(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the project's sample and the two PDFs of the hr-handbook set."""
    folder = tmp_path_factory.mktemp("documents")
    shutil.copytree(ROOT / "docs" / "sample", folder / "sample")
    shutil.copytree(shared / "eval" / "hr-handbook" / "docs", folder / "handbooks")
    return folder


@pytest.fixture(scope="session")
def appliance(documents: Path, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Appliance]:
    """One real appliance whose default collection has `documents`; tests must leave the collection as it is."""
    from ingest.events import MirrorDone
    from models.cancellation import CancelToken
    from rag.access import LOCAL_USER
    from rag.building import build_appliance
    from rag.ownership import try_own
    from rag.settings import Settings

    settings = Settings(home=tmp_path_factory.mktemp("home"), cache=cache)
    owner = try_own(settings.home)
    assert owner is not None
    with owner:
        appliance = build_appliance(settings, owner)
        events = list(appliance.mirror(documents, identity=LOCAL_USER, cancel=CancelToken()))
        assert isinstance(events[-1], MirrorDone), events[-1]
        yield appliance
        appliance.close()
