"""An OpenFaaS provider of somebody else's: counts absent when 0, no ETag, If-Match ignored, nothing pushed."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from springtide.runtime.asgi import App, Receive, Scope, Send
from springtide.runtime.asgi_server import AsgiServer
from springtide.runtime.basic_auth import Credentials, RequireBasicAuth

NAMESPACE = "openfaas-fn"


@dataclass(slots=True)
class FakeFunction:
    """``start_s`` after a scale call its replicas are available; the proxy knows them ``lag_calls`` calls later."""

    replicas: int = 0
    available: int = 0
    start_s: float = 0.0
    lag_calls: int = 0
    labels: dict[str, str] = field(default_factory=dict)
    env: dict[str, str] = field(default_factory=dict)
    annotations: dict[str, str] | None = None
    takes_s: float = 0.0
    """How long a call takes."""


class ForeignProvider:
    """``requests`` counts by method and path; ``calls`` are paths and headers of the invocations that got through."""

    def __init__(self, credentials: Credentials) -> None:
        self.functions: dict[str, FakeFunction] = {}
        self.requests: Counter[str] = Counter()
        self.scales: list[tuple[str, int]] = []
        self.calls: list[tuple[str, dict[str, str]]] = []
        self.status_calls_in_flight = Counter[str]()
        self.most_status_calls_in_flight = 0
        self.status_s = 0.002
        """How long a status call takes, so that two at once would be seen."""
        self._credentials = credentials
        self._server = self._new_server(0)
        self._starting: set[asyncio.TimerHandle] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.port}"

    async def start(self) -> None:
        await self._server.start()

    async def stop(self) -> None:
        for timer in self._starting:
            timer.cancel()
        await self._server.stop()

    async def restart(self) -> None:
        """Come back at the same address."""
        self._server = self._new_server(self._server.port)
        await self._server.start()

    def _new_server(self, port: int) -> AsgiServer:
        return AsgiServer(self._app(), name="foreign provider", port=port, grace_s=1.0)

    def _app(self) -> App:
        system = RequireBasicAuth(self._system, credentials=self._credentials, open_paths=())

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await (self._invoke if scope["path"].startswith("/function/") else system)(scope, receive, send)

        return app

    async def _system(self, scope: Scope, receive: Receive, send: Send) -> None:
        method, path = scope["method"], scope["path"]
        self.requests[f"{method} {path}"] += 1
        name = path.rsplit("/", 1)[-1]
        if path == "/system/namespaces":
            await _answer(send, 200, json.dumps([NAMESPACE]))
        elif path == "/system/functions" and method == "GET":
            await _answer(send, 200, json.dumps([self._status(known) for known in self.functions]))
        elif path == "/system/functions" and method == "POST":
            self.functions[json.loads(await _body(receive))["service"]] = FakeFunction(1, 1)
            await _answer(send, 202)
        elif path.startswith("/system/function/") and name in self.functions:
            await self._answer_status(name, send)
        elif path.startswith("/system/scale-function/") and name in self.functions:
            self._scale(name, json.loads(await _body(receive))["replicas"])
            await _answer(send, 202)
        else:
            await _answer(send, 404, "404 page not found")

    async def _answer_status(self, name: str, send: Send) -> None:
        self.status_calls_in_flight[name] += 1
        self.most_status_calls_in_flight = max(self.most_status_calls_in_flight, *self.status_calls_in_flight.values())
        await asyncio.sleep(self.status_s)
        await _answer(send, 200, json.dumps(self._status(name)))
        self.status_calls_in_flight[name] -= 1

    def _scale(self, name: str, replicas: int) -> None:
        function = self.functions[name]
        self.scales.append((name, replicas))
        function.replicas = replicas
        if not replicas:
            function.available = 0
            return

        def available() -> None:
            function.available = function.replicas

        self._starting.add(asyncio.get_running_loop().call_later(function.start_s, available))

    def _status(self, name: str) -> dict[str, Any]:
        function = self.functions[name]
        status: dict[str, Any] = {"name": name, "namespace": NAMESPACE, "image": "any", "labels": function.labels}
        status["annotations"] = function.annotations
        if function.env:
            status["envVars"] = function.env
        if function.replicas:
            status["replicas"] = function.replicas
        if function.available:
            status["availableReplicas"] = function.available
        return status

    async def _invoke(self, scope: Scope, receive: Receive, send: Send) -> None:
        path, query = scope["raw_path"].decode(), scope["query_string"].decode()
        name = path.split("/")[2].partition(".")[0]
        function = self.functions.get(name)
        body = await _body(receive)
        self.requests[f"invoke {name}"] += 1
        if function is None or not function.available or function.lag_calls:
            if function is not None and function.available:
                function.lag_calls -= 1
            await _answer(send, 503, f"No endpoints available for: {name}.", (b"X-OpenFaaS-Internal", b"proxy"))
            return
        headers = {key.decode(): value.decode() for key, value in scope["headers"]}
        await asyncio.sleep(function.takes_s)
        self.calls.append((f"{scope['method']} {path}{'?' + query if query else ''}", headers))
        await _answer(send, 200, body.decode())


async def _body(receive: Receive) -> bytes:
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            return body


async def _answer(send: Send, status: int, text: str = "", *headers: tuple[bytes, bytes]) -> None:
    body = text.encode()
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [length, *headers]})
    await send({"type": "http.response.body", "body": body})
