"""Landlock: rules that a process lays on itself and on all that it starts, without any rights of its own.

It opens no file that is not below a folder named, calls no port that is not named, and signals no stranger. Rules are
only ever added. See https://docs.kernel.org/userspace-api/landlock.html.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import stat
from collections.abc import Iterable

from . import linux

MIN_ABI, MIN_PORTS_ABI, MIN_SIGNALS_ABI = 1, 4, 6
"""Linux 5.13; 6.7; 6.12."""
MAX_PORT = 65_535

_CREATE, _ADD, _RESTRICT = 444, 445, 446  # The same numbers on every architecture.
_VERSION_WANTED = 1
_PATH_BENEATH, _PORT = 1, 2
_CONNECT_TCP = 2
_SCOPE_ABSTRACT_SOCKETS, _SCOPE_SIGNALS = 1, 2
_EXECUTE, _READ_FILE, _READ_FOLDER = 1 << 0, 1 << 2, 1 << 3
_WRITE_FILE, _TRUNCATE, _DEVICE_COMMANDS = 1 << 1, 1 << 14, 1 << 15
_READ = _EXECUTE | _READ_FILE | _READ_FOLDER
_OF_FILES = _EXECUTE | _READ_FILE | _WRITE_FILE | _TRUNCATE | _DEVICE_COMMANDS
_RIGHTS = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 4: (1 << 15) - 1, 5: (1 << 16) - 1}


class _Ruleset(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("ports", ctypes.c_uint64), ("scopes", ctypes.c_uint64))


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("folder", ctypes.c_int32))


class _Port(ctypes.Structure):
    _fields_ = (("allowed", ctypes.c_uint64), ("port", ctypes.c_uint64))


def abi() -> int:
    """What this kernel has of it; 0: nothing."""
    try:
        return linux.syscall(_CREATE, None, ctypes.c_size_t(0), ctypes.c_uint(_VERSION_WANTED))
    except OSError:
        return 0


def all_ports_but(closed: Iterable[int]) -> int:
    """Rules, as a descriptor, that let nothing call these TCP ports, nor signal what stands outside. Raises OSError.

    A rule allows one port, so there are 65,000 of them, which take some 0.1 s to write and 20 ms to lay on: once for
    all that is forked afterwards, to which it costs nothing.
    """
    scopes = _SCOPE_ABSTRACT_SOCKETS | _SCOPE_SIGNALS if abi() >= MIN_SIGNALS_ABI else 0
    rules = _ruleset(_Ruleset(0, _CONNECT_TCP, scopes))
    rule, never = _Port(_CONNECT_TCP, 0), set(closed)
    for port in range(MAX_PORT + 1):
        if port not in never:
            rule.port = port
            linux.syscall(_ADD, rules, _PORT, ctypes.byref(rule), 0)
    return rules


def files_only(readable: Iterable[str], writable: Iterable[str]) -> int:
    """Rules, as a descriptor, that let nothing open files elsewhere than in, or below, these. Raises OSError.

    What is not there is passed over.
    """
    every = _RIGHTS[min(abi(), max(_RIGHTS))]
    scopes = _SCOPE_ABSTRACT_SOCKETS | _SCOPE_SIGNALS if abi() >= MIN_SIGNALS_ABI else 0
    rules = _ruleset(_Ruleset(every, 0, scopes))
    for paths, allowed in ((readable, _READ), (writable, every)):
        for path in paths:
            with contextlib.suppress(FileNotFoundError):
                _allow_beneath(rules, path, allowed & every)
    return rules


def lay_on(rules: int) -> None:
    """This process, and all that it starts, keeps to them from now on. Raises OSError.

    Whoever is not root has to have called ``linux.gain_no_privileges``.
    """
    linux.syscall(_RESTRICT, rules, ctypes.c_uint(0))


def _ruleset(value: _Ruleset) -> int:
    """An older kernel is not told of what it does not know."""
    size = 24 if value.scopes else 16 if value.ports else 8
    return linux.syscall(_CREATE, ctypes.byref(value), ctypes.c_size_t(size), ctypes.c_uint(0))


def _allow_beneath(rules: int, path: str, allowed: int) -> None:
    opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        folder = stat.S_ISDIR(os.fstat(opened).st_mode)
        beneath = _Beneath(allowed if folder else allowed & _OF_FILES, opened)
        linux.syscall(_ADD, rules, _PATH_BENEATH, ctypes.byref(beneath), 0)
    finally:
        os.close(opened)
