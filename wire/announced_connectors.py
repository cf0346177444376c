"""Connectors on this machine say where they are: a file each, in a folder, locked for as long as its process lives.

A file is one of targets as a Prometheus reads them. Who asks takes what is not locked any more away: a connector that
was killed is not taken for one that does not answer. Until somebody asks it is down for the Prometheus.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import structlog

from springtide.runtime import bounded_json
from springtide.runtime.errors import reason_of

SUFFIX = ".json"
MAX_BYTES = 4096
MAX_CONNECTORS = 100

log = structlog.get_logger(__name__)


class Announcement:
    """See ``runtime.service.Service``. ``url`` is asked at the start, when the port is known."""

    name = "announcement"

    def __init__(self, folder: Path, url: Callable[[], str]) -> None:
        self._folder = folder
        self._url = url
        self._file: Path | None = None
        self._handle: int | None = None
        self._stopped = asyncio.Event()

    def __repr__(self) -> str:
        return f"<Announcement {self._file}>"

    async def start(self) -> None:
        """A connector that cannot say where it is works all the same."""
        try:
            await asyncio.to_thread(self._announce)
        except OSError as error:
            why = f"{self._folder}: {reason_of(error)}"
            log.warning("where this connector is cannot be written: the gateway does not tell of its events", why=why)

    async def stop(self) -> None:
        if self._file is not None:
            self._file.unlink(missing_ok=True)
            self._file = None
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None
        self._stopped.set()

    async def wait(self) -> None:
        await self._stopped.wait()

    def _announce(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        # Under another name until it is locked: who asks would take it for one that is left over.
        handle, temporary = tempfile.mkstemp(dir=self._folder, prefix=".")
        self._handle, self._file = handle, Path(temporary)
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.write(handle, json.dumps([{"targets": [urlsplit(self._url()).netloc]}]).encode())
        self._file = self._file.rename(self._folder / f"{os.getpid()}{SUFFIX}")


def announced(folder: Path) -> list[str]:
    """The addresses of those that live."""
    return [url for file in sorted(folder.glob(f"*{SUFFIX}"))[:MAX_CONNECTORS] if (url := _of_living(file))]


def _of_living(file: Path) -> str:
    """Empty, and the file is gone, where the one that wrote it is."""
    with contextlib.suppress(OSError, ValueError, LookupError, TypeError):
        handle = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
            file.unlink(missing_ok=True)
        except BlockingIOError:
            return f"http://{bounded_json.loads(os.read(handle, MAX_BYTES))[0]['targets'][0]}"
        finally:
            os.close(handle)
    return ""
