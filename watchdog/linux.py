"""The few Linux calls the standard library lacks. Off Linux the safety nets they give are simply not there."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys

CLONE_NEWNS, CLONE_NEWUSER = 0x0002_0000, 0x1000_0000
CLONE_NEWPID, CLONE_NEWIPC = 0x2000_0000, 0x0800_0000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC = 1, 2, 4, 8
MS_BIND, MS_MOVE, MS_REC, MS_PRIVATE = 0x1000, 0x2000, 0x4000, 0x4_0000

_LINUX = sys.platform == "linux"
_libc = ctypes.CDLL(None, use_errno=True)

_SYS_MOUNT_SETATTR = 442  # The same number on every architecture.
_SYS_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
_AT_FDCWD, _AT_RECURSIVE, _MOUNT_ATTR_RDONLY = -100, 0x8000, 1
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_NAME, _PR_SET_CHILD_SUBREAPER = 1, 4, 15, 36
_PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS = 24, 38
_CAPABILITY_VERSION = 0x2008_0522
_MAX_CAPABILITIES = 64


class _MountAttributes(ctypes.Structure):
    _fields_ = (
        ("set", ctypes.c_uint64),
        ("clear", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("user_namespace", ctypes.c_uint64),
    )


class _CapabilityHeader(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _CapabilityData(ctypes.Structure):
    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


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


def pivot_root(new_root: str, put_old: str) -> None:
    """Raises OSError."""
    _check(_syscall(_SYS_PIVOT_ROOT[machine()], new_root.encode(), put_old.encode()), f"pivot_root {new_root}")


def gain_no_privileges() -> None:
    """From now on no program that this process, or a child, runs has more rights than it. Raises OSError."""
    _check(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")


def drop_capabilities() -> None:
    """What root may do beyond others, for this process and all that it will run. Raises OSError."""
    for number in range(_MAX_CAPABILITIES):
        if _libc.prctl(_PR_CAPBSET_DROP, ctypes.c_ulong(number), 0, 0, 0) != 0:
            break  # There are no more; or there were none to give up.
    header, nothing = _CapabilityHeader(_CAPABILITY_VERSION, 0), (_CapabilityData * 2)()
    _check(_libc.capset(ctypes.byref(header), nothing), "capset")


def machine() -> str:
    """The processor's name, as the tables of system calls have it."""
    return os.uname().machine


def syscall(number: int, *arguments: object) -> int:
    """Raises OSError."""
    result = _syscall(number, *arguments)
    _check(-(result < 0), f"system call {number}")
    return result


def _syscall(number: int, *arguments: object) -> int:
    if not _LINUX:
        raise OSError("system calls are Linux's")
    return int(_libc.syscall(ctypes.c_long(number), *arguments))


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
