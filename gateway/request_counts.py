"""Requests of the system API, counted by method, path and status under the names that OpenFaaS's gateway had."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, MutableMapping
from typing import Any

from springtide.gateway.call_metrics import OWN_SERIES, Histogram, code
from springtide.runtime.asgi import App, Receive, Scope, Send
from springtide.scaler.core import catalogue
from springtide.scaler.core.ports import Clock

VERBS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"})
OTHER = "other"
"""The label of methods and paths that are none of ours, so that nobody grows the label sets by asking for nonsense."""

MAX_SEGMENTS = 4
"""Of a path that are looked at."""

Numbers = list[tuple[str, str, str, list[float]]]
"""RequestCounts as JSON can carry them: method, path, status, histogram."""


class RequestCounts:
    """Histograms of the seconds until an answer began, of one process or of several added up."""

    def __init__(self) -> None:
        self._seconds: dict[tuple[str, str, str], Histogram] = {}

    def __repr__(self) -> str:
        return f"<RequestCounts {len(self._seconds)} series>"

    def __iter__(self) -> Iterator[tuple[tuple[str, str, str], Histogram]]:
        """By method, path and status."""
        return iter(sorted(self._seconds.items(), key=lambda item: item[0]))

    def observe(self, method: str, path: str, status: int, seconds: float) -> None:
        self._of(method, path, code(status if status in OWN_SERIES else status // 100)).observe(seconds)

    def as_numbers(self) -> Numbers:
        return [(*labels, histogram.as_numbers()) for labels, histogram in self._seconds.items()]

    def add(self, numbers: Numbers) -> None:
        """Count in what another process counted."""
        for method, path, status, histogram in numbers:
            self._of(method, path, status).add(histogram)

    def _of(self, *labels: str) -> Histogram:
        method, path, status = labels
        key = (method, path, status)
        histogram = self._seconds.get(key)
        if histogram is None:
            histogram = self._seconds[key] = Histogram(catalogue.SYSTEM_SECONDS.buckets)
        return histogram


class CountedRequests:
    """Middleware around everything. The time is until the status is known, so that streams count like the rest."""

    def __init__(self, app: App, counts: RequestCounts, *, paths: Iterable[str], clock: Clock) -> None:
        """``paths`` are route templates; what stands before their first parameter becomes the label."""
        self._app, self._counts, self._clock = app, counts, clock
        self._labels = frozenset(path.partition("/{")[0] for path in paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = self._clock.now()
        method = scope["method"] if scope["method"] in VERBS else OTHER
        path = self._label(scope["path"])

        async def measuring(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                self._counts.observe(method, path, message["status"], self._clock.now() - began)
            await send(message)

        await self._app(scope, receive, measuring)

    def _label(self, path: str) -> str:
        """The longest beginning of ``path`` that is one of ours."""
        segments = path.rstrip("/").split("/", MAX_SEGMENTS)[:MAX_SEGMENTS]
        for end in range(len(segments), 1, -1):
            label = "/".join(segments[:end])
            if label in self._labels:
                return label
        return "/" if path == "/" else OTHER
