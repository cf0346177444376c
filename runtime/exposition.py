"""``/metrics``, ``/healthz`` and ``/readyz``, which every process serves, as one small ASGI application."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, make_asgi_app

from runtime.basic_auth import App, Receive, Scope, Send

OPEN_PATHS = ("/metrics", "/healthz", "/readyz")
"""What ``RequireBasicAuth`` lets through without credentials."""


async def respond(
    send: Send,
    status: int,
    body: bytes = b"",
    *,
    content_type: bytes = b"text/plain; charset=utf-8",
    more_headers: Iterable[tuple[bytes, bytes]] = (),
) -> None:
    """Send one whole answer."""
    headers = [(b"content-type", content_type), (b"content-length", str(len(body)).encode()), *more_headers]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def exposition(
    registry: CollectorRegistry, inner: App | None = None, *, obstacle: Callable[[], str | None] = lambda: None
) -> App:
    """``/metrics`` of ``registry``, ``/healthz`` and ``/readyz``; every other path goes to ``inner``, or is a 404.

    ``obstacle`` says why no work should be sent here, though all is well; None when there is no reason not to.
    """
    metrics: App = make_asgi_app(registry)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] not in OPEN_PATHS:
            if inner is None:
                await respond(send, 404, b"not found")
            else:
                await inner(scope, receive, send)
        elif scope["method"] not in ("GET", "HEAD"):
            await respond(send, 405, b"use GET")
        elif scope["path"] == "/metrics":
            await metrics(scope, receive, send)
        elif scope["path"] == "/readyz" and (why := obstacle()) is not None:
            await respond(send, 503, why.encode())
        else:
            await respond(send, 200, b"OK")

    return app
