"""``/metrics``, ``/healthz`` and ``/readyz``, which every process serves, as one small ASGI application."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from urllib.parse import parse_qs

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from springtide.runtime.asgi import App, Receive, Scope, Send, respond

OPEN_PATHS = ("/metrics", "/healthz", "/readyz")
"""What ``RequireBasicAuth`` lets through without credentials."""


class _Collected(Collector):
    """What was collected at one moment."""

    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def selected_metrics(scope: Scope, registry: CollectorRegistry) -> Collector:
    """The registry, or the part of it that ``name[]`` names."""
    names = parse_qs(scope["query_string"].decode("latin-1")).get("name[]")
    return registry.restricted_registry(names) if names else registry


async def send_metrics(scope: Scope, send: Send, collector: Collector) -> None:
    """Answer a scrape. The text is made in a thread: that of thousands of functions takes seconds."""
    accepted = ",".join(value.decode("latin-1") for name, value in scope["headers"] if name == b"accept")
    encode, content_type = choose_encoder(accepted)
    text = await asyncio.to_thread(encode, collector)
    await respond(send, 200, text, content_type=content_type.encode())


def exposition(
    registry: CollectorRegistry, inner: App | None = None, *, unready_reason: Callable[[], str | None] = lambda: None
) -> App:
    """``/metrics`` of ``registry``, ``/healthz`` and ``/readyz``; every other path goes to ``inner``, or is a 404.

    ``unready_reason`` says why no work should be sent here, though all is well; None when there is no reason not to.
    """

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] not in OPEN_PATHS:
            if inner is None:
                await respond(send, 404, b"not found")
            else:
                await inner(scope, receive, send)
        elif scope["method"] not in ("GET", "HEAD"):
            await respond(send, 405, b"use GET")
        elif scope["path"] == "/metrics":
            # Collected here, because the loop's own code changes the numbers.
            await send_metrics(scope, send, _Collected(list(selected_metrics(scope, registry).collect())))
        elif scope["path"] == "/readyz" and (why := unready_reason()) is not None:
            await respond(send, 503, why.encode())
        else:
            await respond(send, 200, b"OK")

    return app
