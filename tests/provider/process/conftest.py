"""Worlds: one for a whole module of tests that only deploy and call, or one of a test's own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import free_ports
from tests.provider.process.world import World


class Shared:
    """A world that a whole module of tests uses, on a loop of its own."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self._settings = settings
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self.world: World = self.run(self._make(folder))

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=60)

    def run_test(self, test: Coroutine[Any, Any, None]) -> None:
        """Async tests with this argument run on its loop."""
        self.run(test)

    async def _make(self, folder: Path) -> World:
        return await World(folder, grace_s=0.5, **self._settings).__aenter__()

    def close(self) -> None:
        try:
            self.run(self.world.__aexit__())
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.run_until_complete(self._loop.shutdown_default_executor())
            self._loop.close()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shared]:
    shared = Shared(tmp_path_factory.mktemp("shared"))
    try:
        yield shared
    finally:
        shared.close()


@pytest.fixture
def world(tmp_path: Path) -> Callable[..., World]:
    """Makes a world of the test's own; to be used inside its event loop."""
    return lambda **settings: World(tmp_path, **settings)


@pytest.fixture
def free_port() -> int:
    return free_ports.free_port()
