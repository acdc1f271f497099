"""On what kind of file system a folder lies."""

from __future__ import annotations

import os
import re
from pathlib import Path

MOUNTS = Path("/proc/mounts")
# Where others may write without our system being told. "fuse." stands for any that a program serves; disks that a
# program reads (NTFS) are "fuseblk" and tell of changes.
_REMOTE = re.compile(
    r"nfs\d?|cifs|smb\d?|smbfs|afs|ceph|glusterfs|lustre|beegfs|gpfs|orangefs|ocfs2|gfs2|davfs|coda|9p|virtiofs|vboxsf"
    r"|drvfs|prl_fs|fakeowner|fuse|fuse\..*"
)


def remote_kind(folder: Path, mounts: Path = MOUNTS) -> str | None:
    """The file system's name ("nfs4", "cifs", …) when others may write there unseen; None for disks of this machine,
    and where `mounts` is not told."""
    real = os.path.realpath(folder)
    kind, longest = "", -1
    try:
        lines = mounts.read_text(errors="surrogateescape").splitlines()
    except OSError:
        return None
    for line in lines:
        _, place, name, *_ = line.split(" ")
        place = re.sub(r"\\(\d{3})", lambda octal: chr(int(octal[1], 8)), place)
        inside = real == place or real.startswith(place.rstrip("/") + "/")
        if inside and len(place) >= longest:  # the later of two at one place lies on top
            kind, longest = name, len(place)
    return kind if _REMOTE.fullmatch(kind) else None
