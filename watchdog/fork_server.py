"""A process in an environment's own interpreter that has imported the watchdog, so that a replica is a fork.

Spoken to over a stream socket, one request at a time (``fork_requests``). The replicas are children of this server's
parent, which collects them, and the server may end without taking one along. No event loop and no threads, so that a
fork is safe.
"""

from __future__ import annotations

import gc
import os
import signal
import socket
from collections.abc import MutableMapping, Sequence
from typing import NoReturn

from . import linux, replica
from .fork_requests import ANSWER, receive
from .start import Inherited, Start

_NOT_FOR_US = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Only the parent decides when the server ends."""


def main(environ: MutableMapping[str, str]) -> NoReturn:
    """Serve the socket on standard input until its other end is closed. ``environ`` is the process's own."""
    parent = os.getppid()
    linux.die_with_parent()
    linux.set_process_name("fork-server")
    signal.pthread_sigmask(signal.SIG_BLOCK, _NOT_FOR_US)
    control = socket.socket(fileno=os.dup(0))
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    gc.collect()
    gc.freeze()  # A fork's first collection would write to, and so copy, every page that it shares with us.
    linux.trim_memory()
    try:
        control.sendall(ANSWER.pack(0))
        while True:
            request = receive(control)
            if request is None:
                break
            start, descriptors = request
            control.sendall(ANSWER.pack(_spawn(start, descriptors, parent, environ)))
            for descriptor in descriptors:
                os.close(descriptor)
    finally:
        os._exit(0)


def _spawn(start: Start, descriptors: Sequence[int], parent: int, environ: MutableMapping[str, str]) -> int:
    """Fork a replica by way of a process between us, whose end makes it the parent's child; what is answered."""
    told, tell = os.pipe()
    go, let_go = os.pipe()
    try:
        between = os.fork()
        if between == 0:
            if _is_replica(pipes=(tell, go, let_go)):
                replica.run(start, Inherited(*descriptors), parent=parent, environ=environ)
            os._exit(0)
        os.close(tell)
        tell = -1
        answer = os.read(told, ANSWER.size)
        os.waitpid(between, 0)
        return int(ANSWER.unpack(answer)[0]) if answer else -1
    except OSError as error:
        return -(error.errno or 1)
    finally:
        for descriptor in (told, tell, go, let_go):
            if descriptor >= 0:
                os.close(descriptor)


def _is_replica(*, pipes: tuple[int, int, int]) -> bool:
    """Fork once more. True in the replica, once the process between us is gone, and it is our parent's child."""
    tell, go, let_go = pipes
    try:
        pid = os.fork()
    except OSError as error:
        pid = -(error.errno or 1)
    if pid != 0:
        os.write(tell, ANSWER.pack(pid))
        return False
    os.close(let_go)
    os.read(go, 1)
    return True
