"""A private view of the file system for one replica: its secrets where OpenFaaS functions look for them.

Nothing is changed on the machine: the mounts live in a mount namespace of the replica and vanish with it. A privileged
process can have one as it is; any other needs a user namespace around it, in which the user keeps the same id.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from . import linux

SECRETS = Path("/var/openfaas/secrets")

STAYS_WRITABLE = ("/tmp", "/dev/shm")  # noqa: S108 - the folders a read-only function may still write to


def enter(*, secrets: Path, stage: Path, read_only: bool) -> None:
    """Move this process into its own view. Raises OSError where the system does not allow that.

    ``stage`` is an empty folder for building mounts in. After a failure the view is at worst unchanged: everything
    new is built at ``stage`` and moved into place when complete.
    """
    _own_mounts()
    _make_mountable(SECRETS, stage)
    linux.mount(str(secrets), str(SECRETS), flags=linux.MS_BIND | linux.MS_REC)
    with contextlib.suppress(OSError):  # Before Linux 5.12. The files are their owner's alone anyway.
        linux.set_read_only(str(SECRETS))
    if read_only:
        _make_read_only()


def _own_mounts() -> None:
    user, group = os.geteuid(), os.getegid()
    try:
        linux.unshare(linux.CLONE_NEWNS)
    except PermissionError:
        linux.unshare(linux.CLONE_NEWUSER | linux.CLONE_NEWNS)
        linux.stay_readable()
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    linux.mount("none", "/", flags=linux.MS_REC | linux.MS_PRIVATE)


def _make_mountable(target: Path, stage: Path) -> None:
    """Make ``target`` exist in this view, by a tmpfs over its nearest existing parent that shows the same entries."""
    if target.is_dir():
        return
    covered = next(parent for parent in target.parents if parent.is_dir())
    linux.mount("tmpfs", str(stage), kind="tmpfs", options="mode=0755,size=1m")
    for entry in os.scandir(covered):
        copy = stage / entry.name
        if entry.is_symlink():
            copy.symlink_to(Path(entry.path).readlink())
            continue
        if entry.is_dir():
            copy.mkdir()
        else:
            copy.touch()
        linux.mount(entry.path, str(copy), flags=linux.MS_BIND | linux.MS_REC)
    (stage / target.relative_to(covered)).mkdir(parents=True)
    linux.mount(str(stage), str(covered), flags=linux.MS_MOVE)


def _make_read_only() -> None:
    kept = [folder for folder in STAYS_WRITABLE if Path(folder).is_dir()]
    for folder in kept:
        linux.mount(folder, folder, flags=linux.MS_BIND | linux.MS_REC)
    linux.set_read_only("/")
    for folder in kept:
        linux.set_read_only(folder, read_only=False, recursive=False)
