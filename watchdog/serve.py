"""A replica's life: open the function, listen, say ready, serve, drain, end."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import os
import signal
import socket
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

from . import config, fork_signals, function, handler_fork, handler_loading
from .app import Watchdog
from .config import Mode
from .connection import ServerTimeouts
from .log import log, log_exception
from .orphans import OrphanCollector
from .python_handler import forget_threads_in_children
from .readiness import until_ready
from .server import HttpServer
from .timeouts import timeout
from .upstream import UpstreamError

KEEP_ALIVE_S = 300
"""Longer than any gateway keeps an idle connection, so that it is never our end that closes under a new call."""


@dataclass(frozen=True)
class ReplicaSpec:
    """What one replica is told: its function's environment, and for a Python handler the folder with it."""

    hostname: str
    env: Mapping[str, str]
    linger_s: float
    """After SIGTERM calls are still taken for this long: a gateway may not have heard yet."""
    grace_s: float
    """What calls in flight get then."""
    handler: str | None = None
    lang: str = ""
    """The handler's template, which decides how it is called; empty: the number of its arguments."""


def run(replica: ReplicaSpec, *, listener: int, ready: int) -> int:
    """Serve until told to drain; returns the exit status. ``listener`` and ``ready`` are open descriptors."""
    settings, problems = config.read(replica.env, replica.handler, replica.lang)
    if problems:
        log("; ".join(problems))
        return 1
    orphans = OrphanCollector()
    # Before there is a loop: in a template's program none runs while the handler is imported, which may run its own.
    handle = None
    if settings.forks_handler and settings.handler:
        handler_fork.import_libraries(settings.handler)
    elif settings.mode is Mode.PYTHON and settings.handler:
        forget_threads_in_children()
        handle = handler_loading.load(settings.handler)
    return asyncio.run(_serve(settings, replica, handle, orphans, listener=listener, ready=ready))


async def _serve(
    settings: config.WatchdogConfig,
    replica: ReplicaSpec,
    handle: Callable[..., Any] | None,
    orphans: OrphanCollector,
    *,
    listener: int,
    ready: int,
) -> int:
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    orphans.begin(looks=settings.mode in config.FORKING)
    async with contextlib.AsyncExitStack() as stack:
        try:
            opened = await stack.enter_async_context(function.opened(settings, replica.env, replica.hostname, handle))
        except (UpstreamError, FileNotFoundError) as error:
            log(str(error))
            return 1
        if not await until_ready(opened.ready, opened.ends, settings.ready_path):
            return 1
        of_function = fork_signals.of_function(signal.SIGTERM)
        loop.add_signal_handler(signal.SIGTERM, told.set)
        fork_signals.keep_from_children(signal.SIGTERM, signal.SIGCHLD)
        timeouts = ServerTimeouts(settings.read_timeout_s, settings.write_timeout_s, KEEP_ALIVE_S)
        watchdog = Watchdog(settings, opened)
        server = HttpServer(watchdog, socket.socket(fileno=listener), timeouts)
        await server.start()
        os.register_at_fork(after_in_child=server.let_go)
        os.write(ready, b"1")
        os.close(ready)
        ended = await _first(told.wait(), opened.ends())
        if not ended:
            await drain(watchdog, server, linger_s=replica.linger_s, grace_s=replica.grace_s)
            _tell_function(of_function)
    return 1 if ended else 0


async def _first(told: Coroutine[Any, Any, object], ends: Awaitable[None]) -> bool:
    """Wait for either; True when it is the function that ended."""
    tasks = [asyncio.ensure_future(told), asyncio.ensure_future(ends)]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    return not tasks[0].done()


def _tell_function(handler: Any) -> None:
    """A handler that it has for SIGTERM is called when its last call is answered; to exit there is to end in order."""
    if callable(handler):
        try:
            handler(signal.SIGTERM, None)
        except SystemExit:
            atexit._run_exitfuncs()
        except Exception as error:  # noqa: BLE001 - the function's own code
            log_exception(error)


async def drain(watchdog: Watchdog, server: HttpServer, *, linger_s: float, grace_s: float) -> None:
    """Take calls a moment longer, finish what is in flight within the grace, close every connection.

    1. Not ready any more; every answer closes its connection.
    2. Linger: a gateway may have chosen this replica just before it heard.
    3. Stop listening, close idle connections, wait for the calls in flight and for their last bytes to leave. Tunnels
       are calls in flight: whoever speaks WebSocket has the grace to end.
    """
    watchdog.draining = True
    await asyncio.sleep(linger_s)
    server.stop_listening()
    with contextlib.suppress(TimeoutError):
        async with timeout(grace_s):
            await watchdog.idle()
            await server.no_connections()
