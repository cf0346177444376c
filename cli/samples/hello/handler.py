"""Greets the caller: by the request's body, by ?name=…, or as the world."""

from __future__ import annotations

from typing import Any


def handle(event: Any, _context: Any) -> dict[str, Any]:
    """Answer one request; the return value is its status, headers and body."""
    said = event.body.decode(errors="replace") if isinstance(event.body, bytes) else str(event.body or "")
    name = said.strip() or event.query.get("name") or "world"
    return {
        "statusCode": 200,
        "headers": {"Content-Type": "text/plain; charset=utf-8"},
        "body": f"Hello, {name}!\n",
    }
