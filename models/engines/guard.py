"""Runs a program that knows nothing of us, and ends it and all that came of it when our standard input ends.

    python -m models.engines.guard FOLDER -- COMMAND …

Standard input is a pipe from whoever wants the program: it ends when they close it, and when they die in whatever way.
(A death signal from Linux would not do: it is sent when the *thread* that started the child ends, and it does not reach
grandchildren.) The guard also ends them on SIGTERM, and when the program itself has ended; then it ends with the
program's status, a signal counted as 128 and its number. The program runs in FOLDER: a Python that it starts must not
find our modules in its current folder.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import subprocess
import sys
import threading

from models.engines.families import MARK_VARIABLE, end_family, new_mark

GRACE_S = 2.0
LIMIT_S = 3.0
PR_SET_CHILD_SUBREAPER = 36


def main() -> None:
    if sys.argv[2:3] != ["--"] or not sys.argv[3:]:
        sys.exit("usage: python -m models.engines.guard FOLDER -- COMMAND …")
    folder, command = sys.argv[1], sys.argv[3:]
    try:
        sys.exit(guard(folder, command))
    except OSError as exc:
        sys.exit(f"guard: {command[0]} cannot be run in {folder}: {exc}")


def guard(folder: str, command: list[str]) -> int:
    """Run the command to its end or ours; its exit status."""
    _adopt_orphans()
    wake_read, wake_write = os.pipe()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: os.write(wake_write, b"."))
    mark = {MARK_VARIABLE: os.environ.get(MARK_VARIABLE) or new_mark()[MARK_VARIABLE]}
    environment = {**os.environ, **mark}
    child = subprocess.Popen(command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, start_new_session=True)
    threading.Thread(target=_reap, args=(child, wake_write), daemon=True).start()
    while True:
        readable, _, _ = select.select([0, wake_read], [], [])
        if wake_read in readable or not os.read(0, 1 << 16):
            break
    # Workers whose program has crashed have nothing to finish, and whoever waits for the guard is to know at once.
    grace_s = GRACE_S if child.returncode is None else 0.0
    left = end_family(mark, os.getpid(), grace_s=grace_s, limit_s=LIMIT_S)
    for member in left:
        print(f"guard: process {member.pid} cannot be killed", file=sys.stderr)
    status = child.returncode
    return 128 + signal.SIGKILL if status is None else status if status >= 0 else 128 - status


def _adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent ends, so that it can be found. Linux only; elsewhere the
    mark in the environment has to do."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _reap(child: subprocess.Popen[bytes], wake: int) -> None:
    """Take note of the ends of the child and of those adopted; a parent that does not leaves zombies."""
    while True:
        try:
            pid, status = os.waitpid(-1, 0)
        except ChildProcessError:
            return
        if pid == child.pid:
            child.returncode = os.waitstatus_to_exitcode(status)
            os.write(wake, b".")


if __name__ == "__main__":
    main()
