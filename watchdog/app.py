"""The watchdog as an ASGI application: counts calls, refuses what is too many, answers ``/_/…``, drains."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping, MutableMapping
from typing import Any

from .calls import INTERNAL, UPGRADE, Receive, Scope, Send, reply
from .config import WatchdogConfig
from .function import ServedFunction
from .log import log
from .metrics import CONTENT_TYPE, Metrics

HEALTH, READY, METRICS = "/_/health", "/_/ready", "/_/metrics"
FULL = (INTERNAL, b"faas-middleware")


class Watchdog:
    """In front of one function."""

    def __init__(self, config: WatchdogConfig, function: ServedFunction) -> None:
        self._config, self._function = config, function
        self._metrics = Metrics()
        self._in_flight = 0
        self._none_in_flight = asyncio.Event()
        self._none_in_flight.set()
        self.draining = False

    def __repr__(self) -> str:
        return f"<Watchdog {self._config.mode} in flight {self._in_flight}{' draining' if self.draining else ''}>"

    async def idle(self) -> None:
        """Wait until no call is in flight."""
        await self._none_in_flight.wait()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        if path.startswith("/_/") and path in (HEALTH, READY, METRICS):
            await self._answer_about_itself(path, send)
            return
        if self._full:
            log(f"refused: {self._in_flight} calls in flight, max_inflight is {self._config.max_inflight}")
            await reply(send, 429, b"Too many concurrent requests for this replica (max_inflight).\n", [FULL])
            return
        await self._counted(scope, receive, send)

    @property
    def _full(self) -> bool:
        return 0 < self._config.max_inflight <= self._in_flight

    async def _counted(self, scope: Scope, receive: Receive, send: Send) -> None:
        call = _Call(self, scope["method"], send)
        if UPGRADE in scope["extensions"]:
            scope["extensions"][UPGRADE] = call.offered(scope["extensions"][UPGRADE])
        self._in_flight += 1
        self._none_in_flight.clear()
        try:
            await self._function.app(scope, receive, call)
        except ConnectionAbortedError:
            raise
        except Exception:
            call.fail()
            raise
        finally:
            call.end()

    def call_ended(self, status: int, method: str, seconds: float) -> None:
        self._in_flight -= 1
        if not self._in_flight:
            self._none_in_flight.set()
        self._metrics.answered(status, method, seconds)

    async def _answer_about_itself(self, path: str, send: Send) -> None:
        if path == METRICS:
            await reply(send, 200, self._metrics.exposition(self._in_flight), content_type=CONTENT_TYPE)
        elif path == HEALTH:
            await (reply(send, 503, b"draining") if self.draining else reply(send, 200, b"OK"))
        else:
            wanted = not self.draining and await self._function.ready()
            status = 503 if not wanted else 429 if self._full else 200
            load = {"inflight": self._in_flight, "max_inflight": self._config.max_inflight}
            await reply(send, status, json.dumps(load).encode(), content_type="application/json")


class _Call:
    """One call's way back to the caller. It says when the connection ends.

    The call ends with the last piece of the answer, not with what the function's mode still clears up: who gets an
    answer may call again at once, and must find the place free.
    """

    __slots__ = ("_began", "_ended", "_method", "_send", "_status", "_watchdog")

    def __init__(self, watchdog: Watchdog, method: str, send: Send) -> None:
        self._watchdog, self._method, self._send = watchdog, method, send
        self._began = time.perf_counter()
        self._status = 499  # By convention: the caller left before there was an answer.
        self._ended = False

    def end(self) -> None:
        if not self._ended:
            self._ended = True
            self._watchdog.call_ended(self._status, self._method, time.perf_counter() - self._began)

    def offered(self, offer: Mapping[str, Any]) -> dict[str, Any]:
        """The same offer; that it was taken up is the call's status."""

        def switch(*arguments: Any) -> Any:
            tunnel = offer["switch"](*arguments)
            self._status = 101
            return tunnel

        return {**offer, "switch": switch}

    def fail(self) -> None:
        """What the function said cannot be sent, so the server answers."""
        self._status = 500

    async def __call__(self, message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            if self._watchdog.draining:
                message["headers"] = [*message["headers"], (b"connection", b"close")]
            await self._send(message)
            self._status = message["status"]
            return
        if not message.get("more_body", False):
            self.end()
        await self._send(message)
