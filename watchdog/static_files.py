"""Mode static: the files of a folder."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from .calls import Receive, Scope, Send, reply
from .config import WatchdogConfig, not_there


class StaticFolder:
    """``index.html`` stands for its folder; nothing outside ``static_path`` is served. Any verb is like GET."""

    def __init__(self, config: WatchdogConfig) -> None:
        """Raises FileNotFoundError when there is no such folder."""
        if missing := not_there(config, {}):
            raise FileNotFoundError(missing)
        self._files = StaticFiles(directory=config.static_path or ".", html=True)
        self._app = Starlette(routes=[Mount("/", self._files)])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        name = self._folder_without_slash(scope["path"])
        if name is None:
            method = "HEAD" if scope["method"] == "HEAD" else "GET"
            await self._app({**scope, "method": method}, receive, send)
            return
        # Relative: what the caller asked for began with the function's own path, which is not known here.
        query = b"?" + scope["query_string"] if scope["query_string"] else b""
        await reply(send, 301, b"", [(b"location", b"%b/%b" % (_relative(name), query))])

    def _folder_without_slash(self, path: str) -> str | None:
        """Its last part, when the path names a folder by less than its address."""
        name = path.rpartition("/")[2]
        if not name or "\0" in path:
            return None
        full, found = self._files.lookup_path(self._files.get_path({"path": path, "root_path": ""}))
        return name if found is not None and Path(full).is_dir() else None


def _relative(name: str) -> bytes:
    """``./`` where a colon would make a scheme of it."""
    return (("./" if ":" in name else "") + quote(name)).encode()
