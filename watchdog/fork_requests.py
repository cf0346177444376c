"""What is said to a fork server and its spare, and how a server is started. Whoever asks needs no more of ours.

A server forks one *spare* ahead, a process that becomes a replica when it is told which. Of each it tells by one
number, the process id (an error number below zero), with a socket to it beside; the first time means that the server
is ready. The next one is asked for by a length and that many bytes: a work folder, where it first removes what ended
replicas left. What a spare is told is a length and that many bytes of JSON (``Start``), with the descriptors of
``Inherited`` beside it; when its socket ends instead, so does it.
"""

from __future__ import annotations

import json
import os
import socket
import struct
from dataclasses import asdict
from typing import Any

from .start import Confinement, Enclosure, Inherited, Start, Walled, Walls

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
    f"from {PACKAGE}.fork_requests import walled as a\n"
    "a = a(sys.argv[2])\n"
    "del sys.argv[1:], u, w\n"
    "s(os.environ, a)\n"
)
"""A program for ``python -I -c``, with the watchdog's folder behind it. Nothing is added to the path."""


def arguments(python: str, watchdog: str, around: Walled) -> list[str]:
    """The command line of a server for this interpreter; ``watchdog`` is this package's folder."""
    return [python, "-I", "-c", BOOT, watchdog, json.dumps(asdict(around))]


def walled(text: str) -> Walled:
    """What ``arguments`` said."""
    value = json.loads(text)
    return Walled(**{**value, "walls": Walls(**value["walls"])})


def ask(control: socket.socket, work_folder: str) -> None:
    """Ask a server for its next spare, which first clears the work folder, if any. Raises OSError."""
    place = os.fsencode(work_folder)
    control.sendall(LENGTH.pack(len(place)) + place)


def asked(control: socket.socket) -> str | None:
    """The work folder to clear; None when there is nothing more to do."""
    length = control.recv(LENGTH.size, socket.MSG_WAITALL)
    if len(length) < LENGTH.size:
        return None
    return os.fsdecode(control.recv(LENGTH.unpack(length)[0], socket.MSG_WAITALL))


def announce(control: socket.socket, number: int, spare: socket.socket | None = None) -> None:
    """Tell of a spare, or of what kept us from having one. Raises OSError."""
    socket.send_fds(control, [ANSWER.pack(number)], [spare.fileno()] if spare is not None else [])


def heard(control: socket.socket) -> tuple[int, socket.socket | None] | None:
    """What ``announce`` said; None when the server has ended. Raises OSError."""
    answer, descriptors, _, _ = socket.recv_fds(control, ANSWER.size, 1)
    if len(answer) < ANSWER.size:
        return None
    return int(ANSWER.unpack(answer)[0]), socket.socket(fileno=descriptors[0]) if descriptors else None


def send(spare: socket.socket, start: dict[str, Any], inherited: Inherited) -> None:
    """Make a replica of the spare. Raises OSError."""
    data = json.dumps(start).encode()
    descriptors = [inherited.listener, inherited.ready, inherited.output]
    socket.send_fds(spare, [LENGTH.pack(len(data))], descriptors)
    spare.sendall(data)


def receive(control: socket.socket) -> tuple[Start, Inherited] | None:
    """What the spare becomes; None when it is not needed any more."""
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
    confinement = value["confinement"]
    if confinement["enclosure"] is not None:
        confinement["enclosure"] = Enclosure(**confinement["enclosure"])
    return Start(**{**value, "confinement": Confinement(**confinement)}), Inherited(*descriptors)
