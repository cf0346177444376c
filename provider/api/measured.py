"""Counts and times the API's requests, under labels that nobody can multiply."""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping
from typing import Any

from prometheus_client import CollectorRegistry

from springtide.runtime.asgi import App, Receive, Scope, Send
from springtide.scaler.core import catalogue
from springtide.scaler.core.ports import Clock
from springtide.wire import instruments

VERBS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"})
OTHER = "other"


class Measured:
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
