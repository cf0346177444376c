"""``/metrics`` and ``/healthz``, which every process serves, as one small ASGI application."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, make_asgi_app

from runtime.basic_auth import App, Receive, Scope, Send

OPEN_PATHS = ("/metrics", "/healthz")
"""What ``RequireBasicAuth`` lets through without credentials."""


async def respond(
    send: Send, status: int, body: bytes = b"", *, content_type: bytes = b"text/plain; charset=utf-8"
) -> None:
    """Send one whole answer."""
    headers = [(b"content-type", content_type), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def exposition(registry: CollectorRegistry, inner: App | None = None) -> App:
    """``/metrics`` of ``registry`` and ``/healthz``; every other path goes to ``inner``, or is a 404."""
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
        else:
            await respond(send, 200, b"OK")

    return app
