"""What is said to a fork server, and how one is started. Whoever asks needs no more of the watchdog than this.

A request is its length and that many bytes of JSON (``Start``), with the descriptors of ``Inherited`` beside it.
An answer is one number: the process id of the replica, or an error number below zero. The first answer, 0, comes by
itself: the server is ready.
"""

from __future__ import annotations

import json
import socket
import struct
from typing import Any

from .start import Confinement, Inherited, Start

LENGTH, ANSWER = struct.Struct("=I"), struct.Struct("=i")
PACKAGE = "_springtide_watchdog"
"""What the watchdog is called in a function's interpreter: there is nothing else of ours."""
DESCRIPTORS = 3
BOOT = (
    "import os, sys, importlib.util as u\n"
    "w = sys.argv[1]\n"
    f"s = u.spec_from_file_location({PACKAGE!r}, w + '/__init__.py', submodule_search_locations=[w])\n"
    f"sys.modules[{PACKAGE!r}] = u.module_from_spec(s)\n"
    f"s.loader.exec_module(sys.modules[{PACKAGE!r}])\n"
    f"from {PACKAGE}.fork_server import main as s\n"
    "del sys.argv[1:], u, w\n"
    "s(os.environ)\n"
)
"""A program for ``python -I -c``, with the watchdog's folder behind it. Nothing is added to the path."""


def arguments(python: str, watchdog: str) -> list[str]:
    """The command line of a server for this interpreter; ``watchdog`` is this package's folder."""
    return [python, "-I", "-c", BOOT, watchdog]


def send(control: socket.socket, start: dict[str, Any], inherited: Inherited) -> None:
    """Ask for a replica. Raises OSError."""
    data = json.dumps(start).encode()
    descriptors = [inherited.listener, inherited.ready, inherited.output]
    socket.send_fds(control, [LENGTH.pack(len(data))], descriptors)
    control.sendall(data)


def receive(control: socket.socket) -> tuple[Start, list[int]] | None:
    """The next request; None when there will be none."""
    length, descriptors, _, _ = socket.recv_fds(control, LENGTH.size, DESCRIPTORS)
    if len(length) < LENGTH.size or len(descriptors) < DESCRIPTORS:
        return None
    left, parts = LENGTH.unpack(length)[0], []
    while left:
        data = control.recv(min(left, 1 << 20))
        if not data:
            return None
        parts.append(data)
        left -= len(data)
    value = json.loads(b"".join(parts))
    return Start(**{**value, "confinement": Confinement(**value["confinement"])}), descriptors
