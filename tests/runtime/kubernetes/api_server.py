"""A small API server of plain JSON objects for tests of the plumbing: versions, lists, watches, and faults on demand.

It knows no kind of object and validates nothing; what a real server makes of objects is not its subject.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import json
import uuid
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from aiohttp import web

Json = dict[str, Any]


@dataclass(frozen=True)
class Seen:
    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Any


@dataclass
class Fault:
    """``left`` requests with this method (any, if empty) are answered so; ``hang`` leaves them without an answer and
    ``reset`` cuts the connection; ``after`` does so once the request was carried out."""

    status: int = 500
    method: str = ""
    left: int = 1
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    hang: bool = False
    reset: bool = False
    after: bool = False


@dataclass(frozen=True)
class Address:
    collection: str
    name: str
    subresource: str
    namespace: str

    @classmethod
    def parse(cls, path: str) -> Address:
        parts = path.strip("/").split("/")
        root, rest = (parts[:2], parts[2:]) if parts[0] == "api" else (parts[:3], parts[3:])
        namespace = ""
        if rest[:1] == ["namespaces"] and len(rest) > 2:
            namespace, rest = rest[1], rest[2:]
        plural, name, subresource = (*rest, "", "")[:3]
        return cls("/".join([*root, plural]), name, subresource, namespace)


def status_body(code: int, reason: str, message: str, **details: Any) -> bytes:
    value = {"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": message}
    return json.dumps({**value, **({"details": details} if details else {})}).encode()


class ApiServer:
    """``async with ApiServer() as server``; ``kubeconfig(folder)`` writes the way here."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.faults: list[Fault] = []
        self.token: str | None = None
        self.page_limit = 10_000
        self.end_watches = True
        self.logs: dict[str, list[bytes]] = {}
        self.port = 0
        self._version = 100
        self._oldest = 0
        self._objects: dict[tuple[str, str, str], Json] = {}
        self._history: list[tuple[int, str, str, Json]] = []
        self._news = asyncio.Event()
        self._watches: set[asyncio.Transport] = set()
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> ApiServer:
        await self.up()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.down()

    async def up(self) -> None:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, shutdown_timeout=0.01, handler_cancellation=True)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def down(self) -> None:
        if self._runner is not None:
            self.cut_watches()
            await self._runner.cleanup()
            self._runner = None

    def kubeconfig(self, folder: Path, **user: Any) -> str:
        value = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "clusters": [{"name": "test", "cluster": {"server": f"http://127.0.0.1:{self.port}"}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
            "users": [{"name": "test", "user": user}],
        }
        file = folder / "kubeconfig"
        file.write_text(yaml.safe_dump(value))
        return str(file)

    # Faults.

    def cut_watches(self) -> None:
        for transport in list(self._watches):
            transport.abort()
        self._watches.clear()

    def compact(self) -> None:
        """From now on, versions until now are too old to watch from."""
        self._version += 1
        self._oldest = self._version

    def restore_backup(self, version: int) -> None:
        self._version = version

    @property
    def watching(self) -> int:
        return len(self._watches)

    def count(self, method: str, *, watch: bool = False) -> int:
        return sum(seen.method == method and ("watch" in seen.query) is watch for seen in self.seen)

    # Objects, as somebody else writes them.

    def put(self, collection: str, body: Json) -> Json:
        metadata = body["metadata"]
        key = (collection, metadata.get("namespace", ""), metadata["name"])
        known = self._objects.get(key)
        self._version += 1
        uid = known["metadata"]["uid"] if known else uuid.uuid4().hex
        value = {**body, "metadata": {**metadata, "uid": uid, "resourceVersion": str(self._version)}}
        self._objects[key] = value
        self._record("MODIFIED" if known else "ADDED", collection, value)
        return copy.deepcopy(value)

    def remove(self, collection: str, name: str, *, namespace: str = "") -> None:
        value = self._objects.pop((collection, namespace, name))
        self._version += 1
        gone = {**value, "metadata": {**value["metadata"], "resourceVersion": str(self._version)}}
        self._record("DELETED", collection, gone)

    def bookmark(self, collection: str) -> None:
        self._version += 1
        self._record("BOOKMARK", collection, {"metadata": {"resourceVersion": str(self._version)}})

    def error_event(self, collection: str, code: int, reason: str) -> None:
        self._record("ERROR", collection, json.loads(status_body(code, reason, "told in the watch")))

    def _record(self, kind: str, collection: str, value: Json) -> None:
        self._history.append((self._version, kind, collection, copy.deepcopy(value)))
        self._news.set()
        self._news = asyncio.Event()

    # Requests.

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.json() if request.can_read_body else None
        self.seen.append(Seen(request.method, request.path, dict(request.query), dict(request.headers), body))
        if self.token is not None and request.headers.get("Authorization") != f"Bearer {self.token}":
            return _answer(401, status_body(401, "Unauthorized", "Unauthorized"))
        fault = next((one for one in self.faults if one.left and one.method in ("", request.method)), None)
        if fault is not None:
            fault.left -= 1
            if fault.after:
                await self._served(request, body)
            if fault.hang:
                await asyncio.Event().wait()
            if fault.reset:
                assert request.transport is not None
                request.transport.abort()
            return web.Response(status=fault.status, body=fault.body, headers=dict(fault.headers))
        return await self._served(request, body)

    async def _served(self, request: web.Request, body: Any) -> web.StreamResponse:
        if request.path == "/version":
            return _answer(200, json.dumps({"gitVersion": "v1.36.0"}).encode())
        at = Address.parse(request.path)
        if at.subresource == "log":
            return await self._log(request, at)
        if request.query.get("watch") == "true":
            return await self._watch(request, at)
        if request.method == "GET" and not at.name:
            return self._list(request, at)
        return self._one(request, at, body)

    def _one(self, request: web.Request, at: Address, body: Any) -> web.Response:  # noqa: PLR0911 - one for each verb
        key = (at.collection, at.namespace, at.name or (body or {}).get("metadata", {}).get("name", ""))
        known = self._objects.get(key)
        if request.method == "POST":
            if known is not None:
                return _answer(409, status_body(409, "AlreadyExists", f"{key[2]} already exists"))
            return _json(201, self.put(at.collection, body))
        if known is None:
            return _answer(404, status_body(404, "NotFound", f"{key[2]} not found"))
        if request.method == "GET":
            return _json(200, _scale(known) if at.subresource == "scale" else known)
        wanted = ((body or {}).get("metadata") or {}).get("resourceVersion")
        if request.method == "DELETE":
            wanted = ((body or {}).get("preconditions") or {}).get("resourceVersion")
        if wanted not in (None, known["metadata"]["resourceVersion"]):
            return _answer(409, status_body(409, "Conflict", "the object has been modified"))
        if request.method == "DELETE":
            self.remove(at.collection, at.name, namespace=at.namespace)
            return _json(200, {"kind": "Status", "status": "Success"})
        if at.subresource == "scale":
            changed = {**known, "spec": {**known.get("spec", {}), "replicas": body["spec"]["replicas"]}}
            return _json(200, _scale(self.put(at.collection, changed)))
        if request.method == "PATCH":
            body = {**known, **body, "metadata": {**known["metadata"], **body.get("metadata", {})}}
        return _json(200, self.put(at.collection, body))

    def _list(self, request: web.Request, at: Address) -> web.Response:
        token = request.query.get("continue", "")
        if token and int(token.split(":")[1]) < self._oldest:
            return _answer(410, status_body(410, "Expired", "the continue token is too old"))
        chosen = [value for key, value in sorted(self._objects.items()) if self._matches(request, at, key[0], value)]
        start, version = (int(part) for part in token.split(":")) if token else (0, self._version)
        size = min(int(request.query.get("limit", self.page_limit)), self.page_limit)
        page = chosen[start : start + size]
        metadata: Json = {"resourceVersion": str(version)}
        if start + size < len(chosen):
            metadata["continue"] = f"{start + size}:{version}"
        items = [{key: value for key, value in item.items() if key not in ("kind", "apiVersion")} for item in page]
        return _json(200, {"kind": "List", "metadata": metadata, "items": items or None})

    async def _watch(self, request: web.Request, at: Address) -> web.StreamResponse:
        version = int(request.query["resourceVersion"])
        if version < self._oldest:
            return _answer(410, status_body(410, "Expired", "too old resource version"))
        if version > self._version:
            causes = [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}]
            return _answer(504, status_body(504, "Timeout", "Too large resource version", causes=causes))
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        assert request.transport is not None
        transport: asyncio.Transport = request.transport
        self._watches.add(transport)
        position = sum(entry[0] <= version for entry in self._history)
        try:
            async with asyncio.timeout(float(request.query["timeoutSeconds"]) if self.end_watches else None):
                while True:
                    news = self._news
                    for _, kind, collection, value in self._history[position:]:
                        if kind in {"BOOKMARK", "ERROR"} or self._matches(request, at, collection, value):
                            line = json.dumps({"type": kind, "object": value}).encode() + b"\n"
                            # In two halves: a reader must not take a chunk for a line.
                            await response.write(line[: len(line) // 2])
                            await response.write(line[len(line) // 2 :])
                    position = len(self._history)
                    await news.wait()
        except (TimeoutError, ConnectionError):
            return response
        finally:
            self._watches.discard(transport)

    async def _log(self, request: web.Request, at: Address) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):
            for chunk in self.logs[at.name]:
                await response.write(chunk)
            if request.query.get("follow") == "true":
                await asyncio.Event().wait()
        return response

    def _matches(self, request: web.Request, at: Address, collection: str, value: Json) -> bool:
        metadata = value.get("metadata", {})
        if collection != at.collection or at.namespace not in ("", metadata.get("namespace")):
            return False
        name = request.query.get("fieldSelector", "").removeprefix("metadata.name=")
        return name in ("", metadata.get("name"))


def _scale(value: Json) -> Json:
    metadata = {key: value["metadata"][key] for key in ("name", "namespace", "resourceVersion")}
    spec = value.get("spec", {})
    return {"kind": "Scale", "metadata": metadata, "spec": {"replicas": spec.get("replicas", 0)}, "status": {}}


def _json(status: int, value: Json) -> web.Response:
    return _answer(status, json.dumps(value).encode())


def _answer(status: int, body: bytes) -> web.Response:
    return web.Response(status=status, body=body, content_type="application/json")


async def until(condition: Any, *, within_s: float = 120.0) -> None:
    """Return once ``condition()`` is true; the interval is no part of what is tested."""
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110 - what is waited for is in another process, or has no event
            await asyncio.sleep(0.005)


@contextlib.asynccontextmanager
async def background(work: Any) -> AsyncIterator[asyncio.Task[Any]]:
    """A coroutine beside the test; its failure is the test's."""
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        if not task.done():
            task.cancel()
        await asyncio.wait([task])
        if not task.cancelled():
            task.result()
