"""From one HTTP request to its answer: faults, authentication, authorisation, and then the resource's operation."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.kubernetes.emulator import bodies, request_info
from tests.kubernetes.emulator.access import AccessRules
from tests.kubernetes.emulator.discovery import HEALTH, Discovery
from tests.kubernetes.emulator.faults import Faults
from tests.kubernetes.emulator.objects import Object
from tests.kubernetes.emulator.operations import Operations
from tests.kubernetes.emulator.options import write_options
from tests.kubernetes.emulator.request_info import RequestInfo
from tests.kubernetes.emulator.request_log import RequestLog
from tests.kubernetes.emulator.settings import EmulatorSettings
from tests.kubernetes.emulator.statuses import ApiError, bad_request, method_not_allowed, no_such_path
from tests.kubernetes.emulator.watching import Watch

JSON = "application/json"


Stream = Callable[[Callable[[], None]], AsyncGenerator[bytes]]
"""Pieces of an answer; it is given a function that cuts the connection."""


@dataclass(slots=True)
class Answer:
    """What goes back: a body, or a stream of pieces."""

    status: int
    body: bytes = b""
    content_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)
    stream: Stream | None = None


class Handling:
    """Takes requests. Everything it knows is given to it."""

    def __init__(
        self,
        operations: Operations,
        discovery: Discovery,
        *,
        access: AccessRules,
        faults: Faults,
        log: RequestLog,
        settings: EmulatorSettings,
    ) -> None:
        self._operations, self._discovery = operations, discovery
        self._access, self._faults, self._log, self._settings = access, faults, log, settings
        self.warnings: list[str] = []

    async def answer(self, request: web.BaseRequest) -> Answer:
        """Never raises ApiError: that is an answer, too."""
        try:
            info = request_info.read(request.method, request.path, request.query)
        except ApiError as error:
            return _error(error)
        authorization = request.headers.get("Authorization", "")
        user = ""
        try:
            if self._faults.latency_s:
                await asyncio.sleep(self._faults.latency_s)
            user = self._access.user(authorization)
            self._faults.check(info)
            self._access.check(authorization, info)
            answer = await self._dispatch(request, info)
        except ApiError as error:
            answer = _error(error)
        if info.is_resource:
            self._log.record(info, answer.status, user)
        return answer

    async def _dispatch(self, request: web.BaseRequest, info: RequestInfo) -> Answer:
        if not info.is_resource:
            return self._about_itself(request)
        if info.group == "authorization.k8s.io":
            return self._review(request, await self._body(request))
        if info.verb in ("get", "list", "watch"):
            return self._read(request, info)
        resource = self._operations.resource(info)
        if info.verb in ("delete", "deletecollection"):
            return _json(200, self._operations.delete(resource, info, await self._body(request), request.query))
        return await self._write(request, info)

    def _read(self, request: web.BaseRequest, info: RequestInfo) -> Answer:
        if info.group == "metrics.k8s.io":
            return _json(200, self._operations.metrics(info))
        resource = self._operations.resource(info)
        if info.verb == "watch":
            return self._watch(request, info)
        if info.subresource == "log":
            return self._logs(request, info)
        return _json(200, self._operations.read(resource, info, request.query))

    async def _write(self, request: web.BaseRequest, info: RequestInfo) -> Answer:
        resource = self._operations.resource(info)
        chosen = write_options(request.query, request.headers.get("User-Agent", ""), info.subresource)
        warnings = chosen.warnings if chosen.validation == "Warn" else None
        body = await self._body(request, warnings, strict=chosen.validation == "Strict")
        if info.verb == "patch":
            kind = request.content_type
            if kind == "application/apply-patch+yaml" and not request.query.get("fieldManager"):
                why = "fieldManager: Required value: is required for apply patch"
                raise ApiError(422, "Invalid", f'PatchOptions.meta.k8s.io "" is invalid: {why}')
            before = self._operations.version_of(resource, info)
            thing = self._operations.patch(resource, info, body, kind, chosen)
            status = 200 if before else 201
        elif info.verb == "create":
            thing, status = self._operations.create(resource, info, body, chosen), 201
        elif info.verb == "update":
            status = 200 if self._operations.version_of(resource, info) else 201
            thing = self._operations.update(resource, info, body, chosen)
        else:
            raise method_not_allowed()
        self.warnings += chosen.warnings
        # One header for all: a client sees them joined by commas either way.
        quoted = ", ".join(f"299 - {json.dumps(warning)}" for warning in chosen.warnings)
        return _json(status, thing, {"Warning": quoted} if quoted else {})

    def _watch(self, request: web.BaseRequest, info: RequestInfo) -> Answer:
        wanted = self._operations.watch_request(info, request.query)
        watch = Watch(self._operations.store, wanted, self._settings)
        if self._faults.gone_as_http:
            watch.past()
        return Answer(200, stream=watch.lines)

    def _logs(self, request: web.BaseRequest, info: RequestInfo) -> Answer:
        stream = self._operations.logs(info, request.query)
        return Answer(200, content_type="text/plain", stream=lambda _cut: stream)

    def _review(self, request: web.BaseRequest, body: Any) -> Answer:
        if not isinstance(body, dict) or body.get("kind") != "SelfSubjectAccessReview":
            raise no_such_path()
        wanted: Object = (body.get("spec") or {}).get("resourceAttributes") or {}
        info = RequestInfo(
            verb=wanted.get("verb", ""),
            path="",
            group=wanted.get("group", ""),
            version=wanted.get("version", ""),
            resource=wanted.get("resource", ""),
            namespace=wanted.get("namespace", ""),
            name=wanted.get("name", ""),
            subresource=wanted.get("subresource", ""),
        )
        allowed = self._access.allows(request.headers.get("Authorization", ""), info)
        return _json(201, body | {"status": {"allowed": allowed}})

    def _about_itself(self, request: web.BaseRequest) -> Answer:
        if request.method not in ("GET", "HEAD"):
            raise method_not_allowed()
        if request.path.rstrip("/") in HEALTH:
            return Answer(200, b"ok", "text/plain")
        found = self._discovery.answer(request.path)
        if found is None:
            raise no_such_path()
        return _json(200, found)

    async def _body(self, request: web.BaseRequest, warnings: list[str] | None = None, *, strict: bool = False) -> Any:
        try:
            raw = await request.read()
        except web.HTTPRequestEntityTooLarge as error:
            message = "Request entity too large: limit is 3145728"
            raise ApiError(413, "RequestEntityTooLarge", message) from error
        if not raw:
            return None
        value, duplicates = bodies.parsed(raw, request.content_type)
        problems = [f'duplicate field "{one}"' for one in duplicates]
        if problems and strict:
            raise bad_request("strict decoding error: " + ", ".join(problems))
        if warnings is not None:
            warnings += problems
        return value


def _json(status: int, thing: Object, headers: Mapping[str, str] | None = None) -> Answer:
    return Answer(status, json.dumps(thing, separators=(",", ":")).encode(), JSON, headers or {})


def _error(error: ApiError) -> Answer:
    return _json(error.code, error.as_json(), error.headers)
