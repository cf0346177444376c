"""Mode static: the files of a folder."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from springtide.watchdog.calls import Receive, Scope, Send
from springtide.watchdog.config import WatchdogConfig


class StaticFolder:
    """``index.html`` stands for its folder; nothing outside ``static_path`` is served."""

    def __init__(self, config: WatchdogConfig) -> None:
        assert config.static_path is not None
        files = StaticFiles(directory=config.static_path, html=True)
        self._app = Starlette(routes=[Mount("/", files)])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)
