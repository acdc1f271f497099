"""Formats that nothing else reads, turned by LibreOffice into one that we read.

LibreOffice runs with a profile of its own in the scratch folder, without macros, for a limited time, and is ended with
everything that it has started.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from ingest.elements import Omission, Page, Summary
from ingest.errors import Encrypted, LimitReached, Unreadable, Unsupported
from ingest.task import Task

PROGRAMS = ("soffice", "libreoffice")
TARGETS = {"docx": "docx", "pptx": "pptx", "xlsx": "xlsx", "pdf": "pdf"}
# Below the pool's own limit on silence, so that the reason is ours.
MOST_SECONDS = 75.0
PROFILE = """<?xml version="1.0" encoding="UTF-8"?>
<oor:items xmlns:oor="http://openoffice.org/2001/registry">
<item oor:path="/org.openoffice.Office.Common/Security/Scripting">
<prop oor:name="MacroSecurityLevel"><value>3</value></prop>
<prop oor:name="DisableMacrosExecution"><value>true</value></prop>
<prop oor:name="BlockUntrustedRefererLinks"><value>true</value></prop></item>
</oor:items>
"""


def program() -> str | None:
    """LibreOffice's program, or None when it is not installed."""
    return next((found for name in PROGRAMS if (found := shutil.which(name))), None)


def read_converted(path: Path, task: Task, target: str) -> Iterator[Page | Summary]:
    """Raises Unsupported without LibreOffice, Encrypted, LimitReached, and Unreadable when it makes nothing of it."""
    from ingest.readers.registry import reader_named

    soffice = program()
    if soffice is None:
        raise Unsupported(
            f"{path.name} is in an old or foreign format that only LibreOffice reads: install LibreOffice (its program "
            "`soffice` must be on the PATH), or save the file as .docx, .pptx, .xlsx or .pdf."
        )
    if _locked(path):
        # LibreOffice would ask for the password, and wait.
        raise Encrypted(f"{path.name} is protected with a password. Remove the password to have it read.")
    with tempfile.TemporaryDirectory(prefix="libreoffice-", dir=os.getcwd()) as folder:
        made = _convert(soffice, path, Path(folder), TARGETS[target])
        reader = reader_named({"docx": "word", "pptx": "slides", "xlsx": "spreadsheet", "pdf": "pdf"}[target])
        for item in reader.read(made, task):
            yield _with_note(item) if isinstance(item, Summary) else item


def _with_note(summary: Summary) -> Summary:
    note = Omission("layout", "read through LibreOffice, which may have changed it")
    return Summary(summary.title, summary.pages_total, (*summary.omissions, note))


def _convert(soffice: str, path: Path, folder: Path, target: str) -> Path:
    profile, out = folder / "profile", folder / "out"
    (profile / "user").mkdir(parents=True)
    (profile / "user" / "registrymodifications.xcu").write_text(PROFILE, encoding="utf-8")
    out.mkdir()
    switches = ("--headless", "--norestore", "--nolockcheck", "--nodefault", "--nologo")
    command = [soffice, f"-env:UserInstallation={profile.as_uri()}", *switches, "--convert-to", target]
    command += ["--outdir", str(out), str(path.resolve())]
    # Home and temporary files too stay in the scratch folder.
    surroundings = {**os.environ, "HOME": str(folder), "TMPDIR": str(folder)}
    said = _run(command, surroundings, path)
    made = next(out.iterdir(), None)
    if made is None or not made.stat().st_size:
        detail = next((line for line in said.splitlines() if "rror" in line), "it gave no reason")
        raise Unreadable(f"{path.name} cannot be read: LibreOffice makes nothing of it ({detail[:200]}).")
    return made


def _run(command: list[str], surroundings: dict[str, str], path: Path) -> str:
    process = subprocess.Popen(
        command,
        env=surroundings,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    with process:
        try:
            said, _ = process.communicate(timeout=MOST_SECONDS)
        except subprocess.TimeoutExpired as exc:
            raise LimitReached(
                f"{path.name} was given up: LibreOffice needed more than {MOST_SECONDS:.0f} s to convert it. "
                "Save it in a newer format to have it read."
            ) from exc
        finally:
            _end(process)
    return said.decode("utf-8", errors="replace")


def _end(process: subprocess.Popen[bytes]) -> None:
    """With all that it has started. It has no session of its own, so that it also ends when the parser is killed."""
    import psutil

    if process.poll() is not None:
        return  # its number may belong to another process by now
    with suppress(psutil.NoSuchProcess):
        family = psutil.Process(process.pid).children(recursive=True)
        for one in family:
            with suppress(psutil.NoSuchProcess):
                one.kill()
    process.kill()


def _locked(path: Path) -> bool:
    import struct

    from msoffcrypto import OfficeFile
    from msoffcrypto.exceptions import FileFormatError

    with path.open("rb") as file:
        try:
            return bool(OfficeFile(file).is_encrypted())
        except (FileFormatError, struct.error, OSError, ValueError, AttributeError):
            return False  # too old or too odd for it; LibreOffice may know better
