"""What every request passes on its way to a route: it is counted, its body is bounded, former leaders are shut out."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, MutableMapping
from typing import Any

from prometheus_client import CollectorRegistry

from springtide.runtime.asgi import App, Receive, Scope, Send, bounded, respond
from springtide.runtime.errors import SpringtideError, status_of
from springtide.scaler.core import catalogue
from springtide.scaler.core.ports import Clock
from springtide.wire import instruments
from springtide.wire.leadership import LEADER_HEADER, Terms

VERBS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"})
OTHER = "other"
_NAME = LEADER_HEADER.lower().encode()
MAX_BODY_BYTES = 1 << 20


class RequestMetrics:
    """Middleware. The time is until the answer's status is known, so that streams count like any other request."""

    def __init__(self, app: App, *, paths: Iterable[str], registry: CollectorRegistry, clock: Clock) -> None:
        """``paths`` are route templates; what stands before their first parameter becomes the label."""
        self._app, self._clock = app, clock
        self._labels = frozenset(path.partition("/{")[0].rstrip("/") for path in paths)
        self._requests = instruments.counter(catalogue.PROVIDER_REQUESTS, registry)
        self._seconds = instruments.histogram(catalogue.PROVIDER_SECONDS, registry)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = self._clock.now()
        method = scope["method"] if scope["method"] in VERBS else OTHER
        path = self._label(scope["path"])

        async def measuring(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                labels = (str(message["status"]), method, path)
                self._requests.labels(*labels).inc()
                self._seconds.labels(*labels).observe(self._clock.now() - began)
            await send(message)

        await self._app(scope, receive, measuring)

    def _label(self, path: str) -> str:
        path = path.rstrip("/")
        if path in self._labels:
            return path
        family = path.rpartition("/")[0]
        return family if family in self._labels else OTHER


class LeaderFence:
    """Looks at every request, reads included: by reading, a new leader begins its term here."""

    def __init__(self, app: App, terms: Terms, *, open_paths: Collection[str]) -> None:
        """``open_paths`` need no credentials, so what they say of terms counts for nothing."""
        self._app, self._terms, self._open_paths = app, terms, open_paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] not in self._open_paths:
            given = dict(scope["headers"]).get(_NAME)
            try:
                self._terms.check(None if given is None else given.decode("latin-1"))
            except SpringtideError as error:
                await respond(send, status_of(error), str(error).encode())
                return
        await self._app(scope, receive, send)


class BoundedBody:
    """Refuses bodies that are too large (413) or too slow (408), whatever handler reads them.

    ``larger`` says which paths take more bytes; those of ``unbounded`` paths have bounds of their own.
    """

    def __init__(
        self,
        app: App,
        *,
        max_bytes: int,
        deadline_s: float,
        larger: Mapping[str, int] | None = None,
        unbounded: Collection[str] = (),
    ) -> None:
        self._app, self._unbounded = app, unbounded
        self._max_bytes, self._larger = max_bytes, larger or {}
        self._deadline_s = deadline_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] not in self._unbounded:
            limit = "read_timeout of the provider"
            max_bytes = self._larger.get(scope["path"], self._max_bytes)
            receive = bounded(receive, max_bytes=max_bytes, deadline_s=self._deadline_s, limit=limit)
        await self._app(scope, receive, send)
