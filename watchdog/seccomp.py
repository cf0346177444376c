"""System calls that no function needs, and that kernels had holes in: refused by a filter, in the kernel.

What is not named is let through. The kernel keeps, for each call that a filter always allows, that it does
(since Linux 5.11), so that only those few whose arguments are looked at cost anything: well below a microsecond.
"""

from __future__ import annotations

import ctypes
import errno
import struct
from collections.abc import Iterator

from . import linux

_ARCHITECTURE = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_X32 = 0x4000_0000
"""Calls of x86-64 for 32-bit pointers have this bit: another way to each call, which nothing uses."""
_CALLS = {
    # name: numbers on x86_64 and aarch64; -1: there is none
    "acct": (163, 89),
    "add_key": (248, 217),
    "bpf": (321, 280),
    "clock_adjtime": (305, 266),
    "clock_settime": (227, 112),
    "delete_module": (176, 106),
    "fanotify_init": (300, 262),
    "finit_module": (313, 273),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fsopen": (430, 430),
    "fspick": (433, 433),
    "init_module": (175, 105),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "io_uring_setup": (425, 425),
    "ioperm": (173, -1),
    "iopl": (172, -1),
    "kcmp": (312, 272),
    "kexec_file_load": (320, 294),
    "kexec_load": (246, 104),
    "keyctl": (250, 219),
    "lookup_dcookie": (212, 18),
    "mount": (165, 40),
    "mount_setattr": (442, 442),
    "move_mount": (429, 429),
    "name_to_handle_at": (303, 264),
    "nfsservctl": (180, 42),
    "open_by_handle_at": (304, 265),
    "open_tree": (428, 428),
    "perf_event_open": (298, 241),
    "pivot_root": (155, 41),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "reboot": (169, 142),
    "request_key": (249, 218),
    "setdomainname": (171, 162),
    "sethostname": (170, 161),
    "setns": (308, 268),
    "settimeofday": (164, 170),
    "swapoff": (168, 225),
    "swapon": (167, 224),
    "syslog": (103, 116),
    "umount2": (166, 39),
    "unshare": (272, 97),
    "userfaultfd": (323, 282),
    "vhangup": (153, 58),
}
_CLONE, _CLONE3, _SOCKET = (56, 220), (435, 435), (41, 198)
_SENDTO, _SENDMSG, _SENDMMSG = (44, 206), (46, 211), (307, 269)
_NEW_NAMESPACES = 0x7E02_0000
"""Flags of ``clone``: mount, cgroup, UTS, IPC, user, PID and network namespaces."""
_MPTCP = 262
"""A protocol whose sockets call plain TCP listeners, and that Landlock's rules of ports do not cover."""
_MSG_FASTOPEN = 0x2000_0000
"""Sends to a listener without ``connect``, at which Landlock looks."""
_FAMILIES = (17, 38, 40)
"""Of sockets: PACKET, ALG and VSOCK. The last leads out of a virtual machine."""

_LOAD, _EQUAL, _ANY_BIT, _RETURN = 0x20, 0x15, 0x45, 0x06
_ALLOW, _ERROR = 0x7FFF_0000, 0x0005_0000
_NUMBER_AT, _ARCHITECTURE_AT, _ARGUMENTS_AT = 0, 4, 16
_SET_MODE_FILTER = 1
_SECCOMP = {"x86_64": 317, "aarch64": 277}

_DENY, _UNKNOWN = _ERROR | errno.EPERM, _ERROR | errno.ENOSYS


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p))


def known() -> bool:
    """Whether this machine's system calls are in the table."""
    return linux.machine() in _ARCHITECTURE


def lay_on() -> None:
    """This process, and all that it starts, is refused them. Raises OSError.

    Whoever is not root has to have called ``linux.gain_no_privileges``.
    """
    if not known():
        raise OSError(f"no table of system calls for {linux.machine()}")
    code = b"".join(_instructions(linux.machine()))
    kept = ctypes.create_string_buffer(code, len(code))
    program = _Program(len(code) // 8, ctypes.addressof(kept))
    linux.syscall(_SECCOMP[linux.machine()], _SET_MODE_FILTER, 0, ctypes.byref(program))


def _instructions(machine: str) -> Iterator[bytes]:
    column = list(_ARCHITECTURE).index(machine)
    yield _word(_LOAD, _ARCHITECTURE_AT)
    yield _word(_EQUAL, _ARCHITECTURE[machine], jump_true=1)
    yield _word(_RETURN, _UNKNOWN)  # A 32-bit program: its calls have other numbers.
    yield _word(_LOAD, _NUMBER_AT)
    if machine == "x86_64":
        yield _word(_ANY_BIT, _X32, jump_false=1)
        yield _word(_RETURN, _UNKNOWN)
    for numbers in _CALLS.values():
        if numbers[column] >= 0:
            yield _word(_EQUAL, numbers[column], jump_false=1)
            yield _word(_RETURN, _DENY)
    # Its flags are in memory, where a filter cannot look: C libraries then fall back to clone.
    yield _word(_EQUAL, _CLONE3[column], jump_false=1)
    yield _word(_RETURN, _UNKNOWN)
    yield from _with_bits(_CLONE[column], 0, _NEW_NAMESPACES)
    for call, argument in ((_SENDTO, 3), (_SENDMSG, 2), (_SENDMMSG, 3)):
        yield from _with_bits(call[column], argument, _MSG_FASTOPEN)
    yield _word(_EQUAL, _SOCKET[column], jump_false=2 * len(_FAMILIES) + 4)
    yield _word(_LOAD, _ARGUMENTS_AT)
    for family in _FAMILIES:
        yield _word(_EQUAL, family, jump_false=1)
        yield _word(_RETURN, _DENY)
    yield _word(_LOAD, _ARGUMENTS_AT + 16)
    yield _word(_EQUAL, _MPTCP, jump_false=1)
    yield _word(_RETURN, _ERROR | errno.EPROTONOSUPPORT)
    yield _word(_RETURN, _ALLOW)


def _with_bits(number: int, argument: int, bits: int) -> Iterator[bytes]:
    """Refuse a call one of whose arguments has any of these bits; the call's number is what is loaded."""
    yield _word(_EQUAL, number, jump_false=4)
    yield _word(_LOAD, _ARGUMENTS_AT + 8 * argument)
    yield _word(_ANY_BIT, bits, jump_false=1)
    yield _word(_RETURN, _DENY)
    yield _word(_RETURN, _ALLOW)


def _word(code: int, value: int, *, jump_true: int = 0, jump_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, jump_true, jump_false, value)
