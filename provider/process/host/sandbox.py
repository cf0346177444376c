"""A private view of the file system for one replica: its secrets where OpenFaaS functions look for them.

Nothing is changed on the machine: the mounts live in a mount namespace of the replica and vanish with it. A privileged
process can have one as it is; any other needs a user namespace around it, in which the user keeps the same id.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from springtide.provider.process import kernel
from springtide.runtime.processes import stay_readable

SECRETS = Path("/var/openfaas/secrets")

STAYS_WRITABLE = ("/tmp", "/dev/shm")  # noqa: S108 - the folders a read-only function may still write to


def enter(*, secrets: Path, stage: Path, read_only: bool) -> None:
    """Move this process into its own view. Raises OSError where the system does not allow that.

    ``stage`` is an empty folder for building mounts in. After a failure the view is at worst unchanged: everything
    new is built at ``stage`` and moved into place when complete.
    """
    _own_mounts()
    _make_mountable(SECRETS, stage)
    kernel.mount(str(secrets), str(SECRETS), flags=kernel.MS_BIND | kernel.MS_REC)
    with contextlib.suppress(OSError):  # Before Linux 5.12. The files are their owner's alone anyway.
        kernel.set_read_only(str(SECRETS))
    if read_only:
        _make_read_only()


def _own_mounts() -> None:
    user, group = os.geteuid(), os.getegid()
    try:
        kernel.unshare(kernel.CLONE_NEWNS)
    except PermissionError:
        kernel.unshare(kernel.CLONE_NEWUSER | kernel.CLONE_NEWNS)
        stay_readable()
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    kernel.mount("none", "/", flags=kernel.MS_REC | kernel.MS_PRIVATE)


def _make_mountable(target: Path, stage: Path) -> None:
    """Make ``target`` exist in this view, by a tmpfs over its nearest existing parent that shows the same entries."""
    if target.is_dir():
        return
    covered = next(parent for parent in target.parents if parent.is_dir())
    kernel.mount("tmpfs", str(stage), kind="tmpfs", options="mode=0755,size=1m")
    for entry in os.scandir(covered):
        copy = stage / entry.name
        if entry.is_symlink():
            copy.symlink_to(Path(entry.path).readlink())
            continue
        if entry.is_dir():
            copy.mkdir()
        else:
            copy.touch()
        kernel.mount(entry.path, str(copy), flags=kernel.MS_BIND | kernel.MS_REC)
    (stage / target.relative_to(covered)).mkdir(parents=True)
    kernel.mount(str(stage), str(covered), flags=kernel.MS_MOVE)


def _make_read_only() -> None:
    kept = [folder for folder in STAYS_WRITABLE if Path(folder).is_dir()]
    for folder in kept:
        kernel.mount(folder, folder, flags=kernel.MS_BIND | kernel.MS_REC)
    kernel.set_read_only("/")
    for folder in kept:
        kernel.set_read_only(folder, read_only=False, recursive=False)
