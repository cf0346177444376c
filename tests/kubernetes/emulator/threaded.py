"""The emulator on a loop and a thread of its own, for tests that block."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping
from concurrent.futures import Future
from typing import TypeVar

from tests.kubernetes.emulator.cluster import Emulator
from tests.kubernetes.emulator.settings import EmulatorSettings, Image

T = TypeVar("T")
PATIENCE_S = 30.0


class ThreadedEmulator:
    """A running emulator, reached from another thread."""

    def __init__(self, cluster: Emulator, loop: asyncio.AbstractEventLoop) -> None:
        self._cluster, self._loop = cluster, loop
        self.url = cluster.url

    def do(self, action: Callable[[Emulator], T]) -> T:
        """Run a function on the emulator's loop and wait for its result."""

        async def run() -> T:
            return action(self._cluster)

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(PATIENCE_S)

    def wait(self, action: Callable[[Emulator], Awaitable[T]]) -> T:
        """The same for a coroutine function, such as ``lambda cluster: cluster.go_away()``."""

        async def run() -> T:
            return await action(self._cluster)

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(PATIENCE_S)


@contextlib.contextmanager
def running_in_thread(
    settings: EmulatorSettings | None = None, *, images: Mapping[str, Image] | None = None
) -> Iterator[ThreadedEmulator]:
    """Started when entered, stopped with all its pods when left."""
    started: Future[ThreadedEmulator] = Future()
    stop: Future[None] = Future()

    async def main() -> None:
        async with Emulator(settings, images=images) as cluster:
            started.set_result(ThreadedEmulator(cluster, asyncio.get_running_loop()))
            await asyncio.wrap_future(stop)

    def run() -> None:
        try:
            asyncio.run(main())
        except BaseException as error:  # Whatever it is, it belongs to the thread that waits.
            if started.done():
                raise
            started.set_exception(error)

    thread = threading.Thread(target=run, name="kubernetes-emulator")
    thread.start()
    try:
        yield started.result(PATIENCE_S)
    finally:
        stop.set_result(None)
        thread.join()
