"""The function in one of its modes, as the watchdog needs it."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass

from springtide.watchdog.calls import App
from springtide.watchdog.config import Mode, WatchdogConfig
from springtide.watchdog.forking import Forking
from springtide.watchdog.python_handler import PythonHandler
from springtide.watchdog.upstream import Upstream


async def _always() -> bool:
    return True


async def _never() -> None:
    await asyncio.Event().wait()


@dataclass(frozen=True, slots=True)
class ServedFunction:
    """``ready`` says whether it wants calls now; ``ends`` returns if it ends by itself."""

    app: App
    ready: Callable[[], Awaitable[bool]] = _always
    ends: Callable[[], Awaitable[None]] = _never


@contextlib.asynccontextmanager
async def opened(config: WatchdogConfig, env: Mapping[str, str], hostname: str) -> AsyncIterator[ServedFunction]:
    """The function once it can answer; what it runs ends with the block."""
    match config.mode:
        case Mode.PYTHON:
            yield ServedFunction(PythonHandler(config, hostname))
        case Mode.STATIC:
            # Imported when used: few functions serve files, and the others should not carry it.
            static_files = importlib.import_module("springtide.watchdog.static_files")
            yield ServedFunction(static_files.StaticFolder(config))
        case Mode.HTTP:
            upstream = Upstream(config, env)
            try:
                await upstream.start()
                yield ServedFunction(upstream, upstream.ready, upstream.ends)
            finally:
                await upstream.close()
        case Mode.CLASSIC | Mode.STREAMING | Mode.SERIALIZING:
            yield ServedFunction(Forking(config, env))
