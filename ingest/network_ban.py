"""Take the network away from the calling process (Linux): an empty network namespace, else a seccomp filter."""

from __future__ import annotations

import ctypes
import os
import platform
import struct
import sys
from typing import Literal, NamedTuple

NetworkBan = Literal["namespace", "seccomp", "none"]

CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000
PR_SET_SECCOMP = 22
SECCOMP_MODE_FILTER = 2

# Classic BPF, as <linux/filter.h> has it: load a word, compare, return.
LOAD_WORD = 0x20
JUMP_IF_EQUAL = 0x15
JUMP_IF_GREATER_OR_EQUAL = 0x35
RETURN = 0x06
ALLOW = 0x7FFF0000
REFUSE = 0x00050000 | 13  # EACCES
X32_CALLS = 0x40000000
IO_URING_SETUP = 425  # the same on both architectures; a ring could make sockets behind the filter's back
FAMILY_UNIX = 1
# struct seccomp_data: the call's number, the architecture, the instruction pointer, six 64-bit arguments.
NUMBER_AT, ARCHITECTURE_AT, FIRST_ARGUMENT_AT = 0, 4, 16


class Architecture(NamedTuple):
    audit: int
    socket_call: int


ARCHITECTURES = {"x86_64": Architecture(0xC000003E, 41), "aarch64": Architecture(0xC00000B7, 198)}


class Program(ctypes.Structure):
    """struct sock_fprog."""

    _fields_ = [("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p)]  # ctypes reads the list itself


def leave_network(prefer: NetworkBan = "namespace") -> NetworkBan:
    """Say which ban holds. Needs a single thread (a new user namespace is refused otherwise) and no-new-privileges."""
    if not sys.platform.startswith("linux") or prefer == "none":
        return "none"
    if prefer == "namespace" and _enter_empty_namespace():
        return "namespace"
    return "seccomp" if _refuse_sockets() else "none"


def _enter_empty_namespace() -> bool:
    """Where the process may, leave the network only: a user namespace would cost root its right to read any file."""
    libc = ctypes.CDLL(None, use_errno=True)
    user, group = os.getuid(), os.getgid()
    if libc.unshare(CLONE_NEWNET) == 0:
        return True
    if libc.unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0:
        return False
    # Keep the same ids inside, so that files made here belong to somebody.
    _write("/proc/self/setgroups", "deny")
    _write("/proc/self/uid_map", f"{user} {user} 1")
    _write("/proc/self/gid_map", f"{group} {group} 1")
    return True


def _write(path: str, text: str) -> None:
    try:
        with open(path, "w", encoding="ascii") as file:
            file.write(text)
    except OSError:
        return  # unmapped ids are ugly (files belong to "nobody"), not wrong


def _refuse_sockets() -> bool:
    architecture = ARCHITECTURES.get(platform.machine())
    if architecture is None or sys.maxsize < 1 << 32:
        return False
    instructions = _socket_filter(architecture)
    program = Program(len(instructions) // 8, instructions)
    libc = ctypes.CDLL(None, use_errno=True)
    return bool(libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0) == 0)


def _socket_filter(architecture: Architecture) -> bytes:
    """Only `socket(AF_UNIX, …)` passes, by which LibreOffice talks to itself; the families of networks do not."""
    refuse, allow = 8, 9
    steps = [
        (LOAD_WORD, 0, 0, ARCHITECTURE_AT),
        _jump(JUMP_IF_EQUAL, architecture.audit, at=1, yes=2, no=refuse),
        (LOAD_WORD, 0, 0, NUMBER_AT),
        _jump(JUMP_IF_GREATER_OR_EQUAL, X32_CALLS, at=3, yes=refuse, no=4),
        _jump(JUMP_IF_EQUAL, IO_URING_SETUP, at=4, yes=refuse, no=5),
        _jump(JUMP_IF_EQUAL, architecture.socket_call, at=5, yes=6, no=allow),
        (LOAD_WORD, 0, 0, FIRST_ARGUMENT_AT),
        _jump(JUMP_IF_EQUAL, FAMILY_UNIX, at=7, yes=allow, no=refuse),
        (RETURN, 0, 0, REFUSE),
        (RETURN, 0, 0, ALLOW),
    ]
    return b"".join(struct.pack("=HBBI", *step) for step in steps)


def _jump(operation: int, value: int, *, at: int, yes: int, no: int) -> tuple[int, int, int, int]:
    """Targets as positions in the program; the machine wants distances from the next step."""
    return operation, yes - at - 1, no - at - 1, value
