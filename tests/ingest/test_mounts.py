"""Drives that other machines write to are known by their file system."""

from __future__ import annotations

from pathlib import Path

from ingest.mounts import remote_kind


def test_the_innermost_mount_tells_what_kind_of_drive_a_folder_is_on(tmp_path: Path) -> None:
    inner = tmp_path / "our share"
    (inner / "docs").mkdir(parents=True)
    mounts = tmp_path / "mounts"
    place = str(inner).replace(" ", "\\040")
    mounts.write_text(
        f"/dev/sda1 / ext4 rw 0 0\nserver:/x {place} nfs4 rw 0 0\n//s/y {place}/docs/deeper cifs rw 0 0\n"
    )
    assert remote_kind(inner / "docs", mounts) == "nfs4"
    assert remote_kind(tmp_path, mounts) is None


def test_a_disk_that_a_program_reads_is_local_a_remote_folder_is_not(tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    for kind, remote in {"fuseblk": False, "btrfs": False, "overlay": False, "fuse.sshfs": True, "smb3": True}.items():
        mounts.write_text(f"x / {kind} rw 0 0\n")
        assert (remote_kind(tmp_path, mounts) == kind) == remote, kind


def test_without_a_list_of_mounts_every_folder_counts_as_local(tmp_path: Path) -> None:
    assert remote_kind(tmp_path, tmp_path / "nothing") is None
