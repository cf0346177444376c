"""Python handlers in the replica's own process, by the convention of the python3-http template and the older one.

    def handle(event, context):   event.body, .headers, .method, .query, .path; context.hostname
        return {"statusCode": 200, "body": "...", "headers": {...}}

A text, bytes, dict or list is an answer, too; so is (body, status) or (body, status, headers), and an iterator is
streamed. A handler of one argument gets the body as text. Handlers may be async; others run in threads.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import inspect
import json
import sys
import traceback
import types
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from .calls import (
    INTERNAL,
    Caller,
    CallerLeftError,
    Receive,
    Scope,
    Send,
    SlowCallerError,
    exec_limit,
)
from .config import WatchdogConfig
from .log import log
from .timeouts import timeout

MAX_THREADS = 64
"""Synchronous handlers running at once in one replica; more calls wait their turn."""

OURS = {INTERNAL.decode(): "of-watchdog"}


class Headers(Mapping[str, str]):
    """Names match in any case; a header that came twice has its values joined."""

    def __init__(self, raw: list[tuple[bytes, bytes]]) -> None:
        self._values: dict[str, str] = {}
        for name, value in raw:
            key, text = name.decode("latin-1").lower(), value.decode("latin-1")
            self._values[key] = f"{self._values[key]}, {text}" if key in self._values else text

    def __getitem__(self, name: str) -> str:
        return self._values[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


@dataclass(frozen=True)
class Event:
    body: bytes
    headers: Headers
    method: str
    query: dict[str, str]
    path: str


@dataclass(frozen=True)
class Context:
    hostname: str


class PythonHandler:
    """One handler, imported once, when the replica starts."""

    def __init__(self, config: WatchdogConfig, hostname: str) -> None:
        """Raises whatever importing the function's code raises: then there is no replica, and the log says why."""
        assert config.handler is not None
        self._config, self._context = config, Context(hostname)
        self._executor = ThreadPoolExecutor(MAX_THREADS, "handler")
        self._handle = load(config.handler)
        self._takes_event = len(inspect.signature(self._handle).parameters) != 1

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        limit = exec_limit(scope["headers"], self._config.exec_timeout_s)
        timer = timeout(limit.seconds)
        try:
            body = await Caller(receive).body()
            async with timer:
                response = Response.of(await self._call(self._argument(scope, body)))
        except CallerLeftError:
            return
        except SlowCallerError as error:
            log(str(error))
            response = Response.of((str(error), 408, OURS))
        except (Exception, SystemExit):  # noqa: BLE001 - the function's own code may raise anything
            if timer.expired():
                log(f"The handler took longer than {limit}.")
                response = Response.of((f"The handler took longer than {limit}.", 504, OURS))
            else:
                traceback.print_exc()
                response = Response.of(("The handler raised an exception; see the function's log.", 500, OURS))
        await response.send(send)

    def _argument(self, scope: Scope, body: bytes) -> tuple[Any, ...]:
        if not self._takes_event:
            return (body.decode(errors="replace"),)
        query: dict[str, str] = {}
        for name, value in parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True):
            query.setdefault(name, value)
        return Event(body, Headers(scope["headers"]), scope["method"], query, scope["path"]), self._context

    async def _call(self, arguments: tuple[Any, ...]) -> Any:
        if inspect.iscoroutinefunction(self._handle):
            return await self._handle(*arguments)
        loop = asyncio.get_running_loop()
        result = await loop.run_in_executor(self._executor, self._handle, *arguments)
        return await result if isinstance(result, Coroutine) else result


def load(folder: Path) -> Callable[..., Any]:
    """``handle`` of ``handler.py`` in the folder, which is importable as itself and as the package ``function``."""
    sys.path.insert(0, str(folder))
    package = types.ModuleType("function")
    if (folder / "__init__.py").exists():
        spec = importlib.util.spec_from_file_location(
            "function", folder / "__init__.py", submodule_search_locations=[str(folder)]
        )
        assert spec is not None
        assert spec.loader is not None
        package = importlib.util.module_from_spec(spec)
        sys.modules["function"] = package
        spec.loader.exec_module(package)
    package.__path__ = [str(folder)]
    sys.modules["function"] = package
    module = importlib.import_module("function.handler")
    handle = getattr(module, "handle", None)
    if not callable(handle):
        raise TypeError(f"{folder / 'handler.py'}: no function handle(event, context)")
    return handle  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Response:
    """What a handler's result means: a body as bytes, or an iterator of its pieces."""

    status: int
    body: Any
    headers: list[tuple[bytes, bytes]]

    @classmethod
    def of(cls, result: Any) -> Response:
        headers: Any = {}
        status, body = 200, result
        if isinstance(result, dict) and result.keys() & {"statusCode", "body", "headers"}:
            status, body, headers = result.get("statusCode", 200), result.get("body"), result.get("headers") or {}
        elif isinstance(result, tuple) and 1 <= len(result) <= 3:
            body = result[0]
            status = result[1] if len(result) > 1 else 200
            headers = result[2] if len(result) > 2 else {}
        if not isinstance(body, (AsyncIterator, Iterator)):
            body, kind = _encoded(body)
        else:
            kind = b"application/octet-stream"
        pairs = headers.items() if isinstance(headers, Mapping) else headers
        head = [(str(name).lower().encode("latin-1"), str(text).encode("latin-1")) for name, text in pairs]
        head = [item for item in head if item[0] not in (b"content-length", b"transfer-encoding")]
        if not any(name == b"content-type" for name, _ in head):
            head.append((b"content-type", kind))
        return cls(int(status), body, head)

    async def send(self, send: Send) -> None:
        if isinstance(self.body, (AsyncIterator, Iterator)):
            await self._stream(send)
            return
        head = [*self.headers, (b"content-length", str(len(self.body)).encode())]
        await send({"type": "http.response.start", "status": self.status, "headers": head})
        await send({"type": "http.response.body", "body": self.body})

    async def _stream(self, send: Send) -> None:
        """Piece by piece. When the iterator raises the answer is broken off, which is what the caller must see."""
        await send({"type": "http.response.start", "status": self.status, "headers": self.headers})
        end = object()
        while True:
            if isinstance(self.body, AsyncIterator):
                try:
                    item = await self.body.__anext__()
                except StopAsyncIteration:
                    break
            else:
                item = await asyncio.to_thread(next, self.body, end)
            if item is end:
                break
            await send({"type": "http.response.body", "body": _encoded(item)[0], "more_body": True})
        await send({"type": "http.response.body", "body": b""})


def _encoded(body: Any) -> tuple[bytes, bytes]:
    """The bytes of a body and its content type."""
    if body is None:
        return b"", b"text/plain; charset=utf-8"
    if isinstance(body, (bytes, bytearray, memoryview)):
        return bytes(body), b"application/octet-stream"
    if isinstance(body, str):
        return body.encode(), b"text/plain; charset=utf-8"
    return json.dumps(body).encode(), b"application/json"
