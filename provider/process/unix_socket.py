"""Unix sockets at paths of any length: the system's limit of 107 bytes is passed by way of the folder's descriptor."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path

MAX_PATH_BYTES = 100


@contextlib.contextmanager
def address(path: Path) -> Iterator[str]:
    """An address for ``path`` that is short enough, valid inside the block."""
    direct = str(path)
    if len(os.fsencode(direct)) <= MAX_PATH_BYTES:
        yield direct
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def listen(path: Path) -> socket.socket:
    """Listen at ``path``, in place of whatever was there."""
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with address(path) as bound:
        listener.bind(bound)
    path.chmod(0o600)
    listener.listen()
    listener.setblocking(False)  # noqa: FBT003 - the standard library's signature
    return listener
