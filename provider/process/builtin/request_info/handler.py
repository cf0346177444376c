"""What a function is told of a call: to see what a proxy, a browser or a webhook really sends."""

from __future__ import annotations

import json
from typing import Any

MAX_SHOWN = 4_096
"""Bytes of the body that are repeated."""


def handle(event: Any, context: Any) -> dict[str, Any]:
    body = event.body if isinstance(event.body, bytes) else str(event.body).encode()
    told = {
        "method": event.method,
        "path": event.path,
        "query": dict(event.query),
        "headers": dict(event.headers.items()),
        "body_bytes": len(body),
        "body": body[:MAX_SHOWN].decode(errors="replace"),
        "replica": context.hostname,
    }
    return {"statusCode": 200, "body": json.dumps(told), "headers": {"Content-Type": "application/json"}}
