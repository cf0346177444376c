"""Mode static: the files of a folder."""

from __future__ import annotations

import asyncio
import mimetypes
import os
import re
import stat
from dataclasses import dataclass
from email.utils import formatdate, parsedate_to_datetime
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote

from .calls import Receive, Scope, Send, reply
from .config import WatchdogConfig, not_there
from .sniffing import SNIFFED_BYTES, content_type_of

READ_BYTES = 262_144
_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")


class StaticFolder:
    """``index.html`` stands for its folder; nothing outside ``static_path`` is served. Any verb is like GET."""

    def __init__(self, config: WatchdogConfig) -> None:
        """Raises FileNotFoundError when there is no such folder."""
        if missing := not_there(config, {}):
            raise FileNotFoundError(missing)
        assert config.static_path is not None
        self._root = os.path.realpath(config.static_path)

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        loop = asyncio.get_running_loop()
        path = scope["path"]
        name = path.rpartition("/")[2]
        if name and await loop.run_in_executor(None, self._is_folder, path):
            # Relative: what the caller asked for began with the function's own path, which is not known here.
            query = b"?" + scope["query_string"] if scope["query_string"] else b""
            await reply(send, 301, b"", [(b"location", b"%b%b" % (_relative(name), query))])
            return
        opened = await loop.run_in_executor(None, self._open, path)
        if opened is None:
            await reply(send, 404, b"Not Found")
            return
        try:
            await opened.send(dict(scope["headers"]), send)
        finally:
            opened.file.close()

    def _open(self, path: str) -> _OpenFile | None:
        for status, name in ((200, path), (200, path + "/index.html"), (404, "404.html")):
            full = self._inside(name)
            if full is not None and full.is_file():
                return _opened(full, status)
        return None

    def _is_folder(self, path: str) -> bool:
        full = self._inside(path)
        return full is not None and full.is_dir()

    def _inside(self, path: str) -> Path | None:
        """What the path names, if that is in the folder, links followed."""
        try:
            full = os.path.realpath(os.path.join(self._root, *filter(None, path.split("/"))))  # noqa: PTH118 - of each call: quicker
            inside = os.path.commonpath([full, self._root]) == self._root
            return Path(full) if inside and os.stat(full) else None  # noqa: PTH116 - of each call: quicker
        except (OSError, ValueError):  # not there, too long, or a NUL in it
            return None


@dataclass(frozen=True)
class _OpenFile:
    file: BinaryIO
    status: int
    size: int
    modified: int
    content_type: str

    async def send(self, asked: dict[bytes, bytes], send: Send) -> None:
        etag = f'"{self.modified:x}-{self.size:x}"'
        headers = [
            (b"content-type", self.content_type.encode()),
            (b"last-modified", formatdate(self.modified, usegmt=True).encode()),
            (b"etag", etag.encode()),
            (b"accept-ranges", b"bytes"),
        ]
        if self.status == 200 and self._is_known(asked, etag):
            await send({"type": "http.response.start", "status": 304, "headers": headers})
            await send({"type": "http.response.body", "body": b""})
            return
        status, first, behind = self._part(asked, etag)
        if status == 416:
            await reply(send, 416, b"", [(b"content-range", f"bytes */{self.size}".encode())])
            return
        if status == 206:
            headers.append((b"content-range", f"bytes {first}-{behind - 1}/{self.size}".encode()))
        headers.append((b"content-length", str(behind - first).encode()))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        loop = asyncio.get_running_loop()
        self.file.seek(first)
        while first < behind:
            data = await loop.run_in_executor(None, self.file.read, min(READ_BYTES, behind - first))
            if not data:
                raise ConnectionAbortedError("the file became shorter while it was sent")
            first += len(data)
            await send({"type": "http.response.body", "body": data, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    def _is_known(self, asked: dict[bytes, bytes], etag: str) -> bool:
        """The caller has this version (RFC 9110, 13.2.2: the entity tag decides where both are given)."""
        if b"if-none-match" in asked:
            tags = [tag.strip().removeprefix("W/") for tag in asked[b"if-none-match"].decode("latin-1").split(",")]
            return etag in tags or "*" in tags
        try:
            since = parsedate_to_datetime(asked[b"if-modified-since"].decode("latin-1"))
        except (KeyError, TypeError, ValueError, IndexError):
            return False
        return self.modified <= since.timestamp()

    def _part(self, asked: dict[bytes, bytes], etag: str) -> tuple[int, int, int]:
        """Status, first byte and the one behind the last. Several ranges at once are answered with everything."""
        whole = (self.status, 0, self.size)
        wanted = _RANGE.fullmatch(asked.get(b"range", b"").decode("latin-1"))
        if self.status != 200 or wanted is None or asked.get(b"if-range", etag.encode()) != etag.encode():
            return whole
        first, last = wanted.groups()
        if not first:
            return (206, max(0, self.size - int(last)), self.size) if last and int(last) else whole
        behind = min(int(last) + 1, self.size) if last else self.size
        if last and int(last) < int(first):
            return whole
        return (206, int(first), behind) if int(first) < self.size else (416, 0, 0)


def _opened(full: Path, status: int) -> _OpenFile | None:
    try:
        file = full.open("rb")
    except OSError:
        return None
    about = os.fstat(file.fileno())
    if not stat.S_ISREG(about.st_mode):
        file.close()
        return None
    kind = mimetypes.guess_type(full.name)[0] or content_type_of(file.peek(SNIFFED_BYTES))
    if kind.startswith("text/") and ";" not in kind:
        kind += "; charset=utf-8"
    return _OpenFile(file, status, about.st_size, int(about.st_mtime), kind)


def _relative(name: str) -> bytes:
    """``./`` where a colon would make a scheme of it."""
    return (("./" if ":" in name else "") + quote(name) + "/").encode()
