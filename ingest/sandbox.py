"""What a process can be forbidden before it reads a hostile file, and what only POSIX lets us ask of a process.

All of it lives here. On a platform without these calls the report says "none", and what remains is what the pool
enforces from outside: time limits, cancellation and the check of every message.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from dataclasses import dataclass

from ingest.limits import Limits
from ingest.network_ban import NetworkBan, leave_network

PR_SET_PDEATHSIG = 1
PR_SET_NO_NEW_PRIVS = 38


@dataclass(frozen=True)
class SandboxReport:
    """What holds in a parser process. `memory_bytes`, `written_bytes` and `open_files` are None where not enforced."""

    platform: str
    network: NetworkBan
    memory_bytes: int | None = None
    written_bytes: int | None = None
    open_files: int | None = None
    processor_limit: bool = False
    no_new_privileges: bool = False
    dies_with_parent: bool = False
    niceness: int | None = None

    @property
    def weaknesses(self) -> tuple[str, ...]:
        """What an administrator should know, in sentences; empty when everything holds."""
        said = {
            "Parsers can reach the network: neither a namespace nor seccomp could be had.": self.network == "none",
            "A parser's memory is not limited on this platform.": self.memory_bytes is None,
            "A parser's processor time is not limited on this platform.": not self.processor_limit,
            "A parser may outlive the appliance if that is killed.": not self.dies_with_parent,
        }
        return tuple(sentence for sentence, holds in said.items() if holds)


def enter(limits: Limits, *, niceness: int = 10, network: NetworkBan = "namespace") -> SandboxReport:
    """Give up rights for good; called first thing in the child, while it has one thread."""
    if os.name != "posix":
        return SandboxReport(platform=sys.platform, network="none")
    no_new_privileges = _control(PR_SET_NO_NEW_PRIVS, 1)
    banned = leave_network(network)
    # After the namespace: a change of credentials clears the death signal.
    dies_with_parent = _control(PR_SET_PDEATHSIG, signal.SIGKILL)
    return SandboxReport(
        platform=sys.platform,
        network=banned,
        memory_bytes=_limit_memory(limits.memory_bytes),
        written_bytes=_limit("RLIMIT_FSIZE", limits.written_bytes),
        open_files=_limit("RLIMIT_NOFILE", limits.open_files),
        processor_limit=_limit("RLIMIT_CORE", 0) is not None and allow_processor(limits.cpu_s),
        no_new_privileges=no_new_privileges,
        dies_with_parent=dies_with_parent,
        niceness=os.nice(niceness),
    )


def allow_processor(seconds: int) -> bool:
    """From now on the process may use `seconds` of processor time; then SIGXCPU ends it."""
    if os.name != "posix":
        return False
    import resource

    used = resource.getrusage(resource.RUSAGE_SELF)
    allowed = int(used.ru_utime + used.ru_stime) + seconds
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    if hard != resource.RLIM_INFINITY:
        allowed = min(allowed, hard)
    resource.setrlimit(resource.RLIMIT_CPU, (allowed, hard))
    return True


def resident_bytes() -> int:
    """Memory that the process holds now; 0 where the platform does not say."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def peak_bytes() -> int:
    """The most memory that the process or one of its converters held; 0 where the platform does not say."""
    if os.name != "posix":
        return 0
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    converters = unit * resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    # Not by `getrusage`, which on Linux still counts what the process that started us held when it did.
    own = _high_water_bytes()
    return max(converters, own if own is not None else unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def _high_water_bytes() -> int | None:
    """The most memory that this process held; None where the platform has no /proc."""
    try:
        with open("/proc/self/status", encoding="ascii") as file:
            line = next(line for line in file if line.startswith("VmHWM:"))
    except (OSError, StopIteration):
        return None
    return 1024 * int(line.split()[1])


def kill_family(process: subprocess.Popen[bytes]) -> None:
    """Kill a process that leads its session, with whatever converters it has started."""
    if process.returncode is not None:
        return  # reaped: its number may belong to another process by now
    if os.name != "posix":
        process.kill()
        return
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return  # ended by itself, converters too


def _limit_memory(most: int) -> int | None:
    # RLIMIT_DATA catches what allocators ask for, RLIMIT_AS mappings of files too; macOS honours neither.
    data, space = _limit("RLIMIT_DATA", most), _limit("RLIMIT_AS", most)
    return None if sys.platform == "darwin" else space or data


def _limit(name: str, most: int) -> int | None:
    import resource

    kind = getattr(resource, name, None)
    if kind is None:
        return None
    _, hard = resource.getrlimit(kind)
    allowed = most if hard == resource.RLIM_INFINITY else min(most, hard)
    try:
        resource.setrlimit(kind, (allowed, allowed))
    except (OSError, ValueError):
        return None
    return allowed


def _control(option: int, value: int) -> bool:
    if not sys.platform.startswith("linux"):
        return False
    return bool(ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0) == 0)
