"""A process and all that came of it, wherever it went: found, and ended.

Whoever starts an engine puts a mark into its environment. Its descendants inherit it, also those that left for a
process group or a parent of their own, as MPI's workers do.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Mapping
from contextlib import suppress

import psutil

MARK_VARIABLE = "LECTERN_ENGINE_MARK"
POLL_S = 0.02

_GONE = (psutil.NoSuchProcess, psutil.AccessDenied)


def new_mark() -> dict[str, str]:
    """The variable that a new family is known by."""
    return {MARK_VARIABLE: secrets.token_hex(16)}


def find_family(mark: Mapping[str, str], root: int | None = None) -> list[psutil.Process]:
    """The living processes that bear the mark, and the descendants of the process `root`; without the one that asks."""
    members = {member.pid: member for member in psutil.process_iter() if _marked(member, mark)}
    if root is not None:
        with suppress(*_GONE):
            members |= {member.pid: member for member in psutil.Process(root).children(recursive=True)}
    members.pop(os.getpid(), None)
    return [member for member in members.values() if _lives(member)]


def end_family(
    mark: Mapping[str, str], root: int | None = None, *, grace_s: float, limit_s: float
) -> list[psutil.Process]:
    """Ask all of them to end, kill those that are there after `grace_s`, and give up after `limit_s`. Returns those
    that are left: a process that waits in a driver cannot be killed."""
    family = find_family(mark, root)
    if grace_s > 0:
        for member in family:
            with suppress(*_GONE):
                member.terminate()
    started_s = time.monotonic()
    while family and (waited_s := time.monotonic() - started_s) < limit_s:
        if waited_s >= grace_s:
            for member in family:
                with suppress(*_GONE):
                    member.kill()
        time.sleep(POLL_S)
        family = find_family(mark, root)
    return family


def listens(family: list[psutil.Process], port: int) -> bool:
    """Whether one of them listens on the port, and not somebody else on this machine."""
    for member in family:
        with suppress(*_GONE):
            if any(c.status == psutil.CONN_LISTEN and c.laddr.port == port for c in member.net_connections("tcp")):
                return True
    return False


def _marked(process: psutil.Process, mark: Mapping[str, str]) -> bool:
    try:
        return mark.items() <= process.environ().items()
    except (*_GONE, OSError):  # another user's
        return False


def _lives(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except _GONE:
        return False
