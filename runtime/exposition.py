"""``/metrics``, ``/healthz`` and ``/readyz``, which every process serves, as one small ASGI application."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from urllib.parse import parse_qs

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.registry import Collector

from springtide.runtime.asgi import App, Receive, Scope, Send, respond
from springtide.runtime.exposition_text import ExpositionText

OPEN_PATHS = ("/metrics", "/healthz", "/readyz")
"""What ``RequireBasicAuth`` lets through without credentials."""

MAX_SAMPLES_AT_ONCE = 300
"""Written in the event loop, in three milliseconds; more in a thread: those of thousands of functions take seconds."""


def selected_metrics(scope: Scope, registry: CollectorRegistry) -> Collector:
    """The registry, or the part of it that ``name[]`` names."""
    names = parse_qs(scope["query_string"].decode("latin-1")).get("name[]")
    return registry.restricted_registry(names) if names else registry


async def send_metrics(scope: Scope, send: Send, families: Sequence[Metric], texts: ExpositionText) -> None:
    """Answer a scrape."""
    accepted = ",".join(value.decode("latin-1") for name, value in scope["headers"] if name == b"accept")
    if texts.new_samples(families, accepted) <= MAX_SAMPLES_AT_ONCE:
        text, content_type = texts.write(families, accepted)
    else:
        text, content_type = await asyncio.to_thread(texts.write, families, accepted)
    await respond(send, 200, text, content_type=content_type.encode())


def exposition(
    registry: CollectorRegistry, inner: App | None = None, *, unready_reason: Callable[[], str | None] = lambda: None
) -> App:
    """``/metrics`` of ``registry``, ``/healthz`` and ``/readyz``; every other path goes to ``inner``, or is a 404.

    ``unready_reason`` says why no work should be sent here, though all is well; None when there is no reason not to.
    """
    texts = ExpositionText()

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
            await send_metrics(scope, send, list(selected_metrics(scope, registry).collect()), texts)
        elif scope["path"] == "/readyz" and (why := unready_reason()) is not None:
            await respond(send, 503, why.encode())
        else:
            await respond(send, 200, b"OK")

    return app
