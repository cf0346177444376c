"""The function in one of its modes, as the watchdog needs it."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from .calls import App
from .config import Mode, WatchdogConfig
from .forking import Forking
from .python_handler import PythonHandler
from .readiness import SelfReport
from .upstream import Upstream


async def _always() -> bool:
    return True


async def _never() -> None:
    await asyncio.Event().wait()


@dataclass(frozen=True)
class ServedFunction:
    """``ready`` says whether it wants calls now; ``ends`` returns if it ends by itself."""

    app: App
    ready: Callable[[], Awaitable[bool]] = _always
    ends: Callable[[], Awaitable[None]] = _never


@contextlib.asynccontextmanager
async def opened(
    config: WatchdogConfig, env: Mapping[str, str], hostname: str, handle: Callable[..., Any] | None = None
) -> AsyncIterator[ServedFunction]:
    """The function once it can answer; what it runs ends with the block. ``handle``: of a Python handler."""
    if config.mode is Mode.PYTHON:
        assert handle is not None
        handler = PythonHandler(config, handle, env, hostname)
        handler.answer_before_exit()
        yield ServedFunction(handler, SelfReport(handler, config.ready_path) if config.ready_path else _always)
    elif config.mode is Mode.STATIC:
        # Imported when used: few functions serve files, and the others should not carry it.
        static_files = importlib.import_module(".static_files", __package__)
        yield ServedFunction(static_files.StaticFolder(config))
    elif config.mode is Mode.HTTP:
        upstream = Upstream(config, env)
        try:
            await upstream.start()
            yield ServedFunction(upstream, upstream.ready, upstream.ends)
        finally:
            await upstream.close()
    else:
        yield ServedFunction(Forking(config, env))
