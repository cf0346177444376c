"""A process in an environment's own interpreter that has imported the watchdog, so that a replica is a fork.

One is forked ahead, a *spare*, so that a start does not wait for that, either. Spoken to over stream sockets
(``fork_requests``). Spares, and so replicas, are children of this server's parent, which collects them, and the server
may end without taking a replica along. No event loop and no threads, so that a fork is safe.
"""

from __future__ import annotations

import contextlib
import errno
import gc
import os
import signal
import socket
from collections.abc import MutableMapping
from typing import NoReturn

from . import fork_requests, linux, replica, walls
from .fork_requests import ANSWER
from .start import Walled

_NOT_FOR_US = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Only the parent decides when the server ends."""


def main(environ: MutableMapping[str, str], walled: Walled) -> NoReturn:
    """Serve the socket on standard input until its other end is closed. ``environ`` is the process's own."""
    parent = os.getppid()
    linux.die_with_parent()
    linux.set_process_name("fork-server")
    signal.pthread_sigmask(signal.SIG_BLOCK, _NOT_FOR_US)
    control = socket.socket(fileno=os.dup(0))
    if walled.rules >= 0:
        walls.before_forks(walled.walls, walled.rules)
        os.close(walled.rules)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    gc.collect()
    gc.freeze()  # A fork's first collection would write to, and so copy, every page that it shares with us.
    linux.trim_memory()
    try:
        place: str | None = ""
        while place is not None:
            _tell_of_spare(control, replica.Spare(place, parent, environ, walled))
            place = fork_requests.asked(control)
    finally:
        os._exit(0)


def _tell_of_spare(control: socket.socket, spare: replica.Spare) -> None:
    """Fork a spare, or tell why there is none. Raises OSError when the parent does not hear us any more.

    It is forked by way of a process between us, whose end makes it the parent's child. The parent is told of it before,
    for children that it does not know are orphans of its replicas, which it ends.
    """
    with contextlib.ExitStack() as ends:
        try:
            to_spare, of_spare = _pair(ends)
            here, there = _pair(ends)
            free, hold = _pair(ends)
            between = os.fork()
        except OSError as error:
            fork_requests.announce(control, -(error.errno or 1))
            return
        if between == 0:
            linux.set_process_name("spare")
            here.close()
            hold.close()
            if _is_spare(there, spare.walled):
                free.recv(1)  # Until the process between is gone, and we are the parent's child.
                replica.wait(of_spare, spare)
            os._exit(0)
        there.close()
        answer = here.recv(ANSWER.size)
        number = ANSWER.unpack(answer)[0] if answer else -errno.EAGAIN
        fork_requests.announce(control, number, to_spare if number > 0 else None)
        here.close()
        os.waitpid(between, 0)


def _pair(ends: contextlib.ExitStack) -> tuple[socket.socket, socket.socket]:
    one, other = socket.socketpair()
    return ends.enter_context(one), ends.enter_context(other)


def _is_spare(server: socket.socket, walled: Walled) -> bool:
    """Fork once more. True in the spare; elsewhere when the server says so, by closing its socket."""
    try:
        walls.separate(walled.walls)
        number = os.fork()
    except OSError as error:
        number = -(error.errno or 1)
    if number == 0:
        return True
    server.sendall(ANSWER.pack(number))
    server.recv(1)
    return False
