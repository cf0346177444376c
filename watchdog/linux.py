"""The few Linux calls the standard library lacks. Off Linux the safety nets they give are simply not there."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys

CLONE_NEWNS, CLONE_NEWUSER = 0x0002_0000, 0x1000_0000
MS_BIND, MS_MOVE, MS_REC, MS_PRIVATE = 0x1000, 0x2000, 0x4000, 0x4_0000

_LINUX = sys.platform == "linux"
_libc = ctypes.CDLL(None, use_errno=True)

_SYS_MOUNT_SETATTR = 442  # The same number on every architecture.
_AT_FDCWD, _AT_RECURSIVE, _MOUNT_ATTR_RDONLY = -100, 0x8000, 1
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_NAME, _PR_SET_CHILD_SUBREAPER = 1, 4, 15, 36


class _MountAttributes(ctypes.Structure):
    _fields_ = (
        ("set", ctypes.c_uint64),
        ("clear", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("user_namespace", ctypes.c_uint64),
    )


def die_with_parent() -> None:
    """This process gets SIGKILL when the thread that is its parent ends. A change of credentials undoes it."""
    _control(_PR_SET_PDEATHSIG, signal.SIGKILL)


def adopt_orphans() -> None:
    """Descendants whose parent ended become children of this process instead of init's."""
    _control(_PR_SET_CHILD_SUBREAPER, 1)


def stay_readable() -> None:
    """Undo what a new user namespace does to /proc/self: it would belong to root, and be unreadable to us."""
    _control(_PR_SET_DUMPABLE, 1)


def set_process_name(name: str) -> None:
    """What ps and top show as the command; the kernel keeps 15 bytes."""
    if _LINUX:
        _libc.prctl(_PR_SET_NAME, ctypes.c_char_p(name.encode()[:15]), 0, 0, 0)


def unshare(flags: int) -> None:
    """Raises OSError where the system does not allow it."""
    if not _LINUX:
        raise OSError("namespaces are Linux's")
    _check(_libc.unshare(flags), "unshare")


def mount(source: str, target: str, *, kind: str = "none", flags: int = 0, options: str = "") -> None:
    """mount(2); raises OSError."""
    result = _libc.mount(source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), options.encode())
    _check(result, f"mount {target}")


def set_read_only(path: str, *, read_only: bool = True, recursive: bool = True) -> None:
    """Change a mount (and those below it) without touching its other flags; Linux 5.12 on. Raises OSError."""
    attributes = _MountAttributes()
    if read_only:
        attributes.set = _MOUNT_ATTR_RDONLY
    else:
        attributes.clear = _MOUNT_ATTR_RDONLY
    result = _libc.syscall(
        ctypes.c_long(_SYS_MOUNT_SETATTR),
        ctypes.c_int(_AT_FDCWD),
        ctypes.c_char_p(path.encode()),
        ctypes.c_uint(_AT_RECURSIVE if recursive else 0),
        ctypes.byref(attributes),
        ctypes.c_size_t(ctypes.sizeof(attributes)),
    )
    _check(result, f"mount_setattr {path}")


def trim_memory() -> None:
    """What was allocated and is free goes back to the system, before forks share it."""
    with contextlib.suppress(AttributeError):  # only glibc has it
        _libc.malloc_trim(0)


def _control(option: int, argument: int) -> None:
    if _LINUX:
        _libc.prctl(ctypes.c_int(option), ctypes.c_ulong(argument), 0, 0, 0)


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
