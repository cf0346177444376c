"""Answers with the status that the path names: to try out alerts, retries, and what a client makes of an error."""

from __future__ import annotations

import http
from typing import Any


def handle(event: Any, _context: Any) -> dict[str, Any]:
    """``/503`` is answered 503; without one 200."""
    asked = event.path.strip("/") or "200"
    if not asked.isdecimal() or not 200 <= int(asked[:4]) <= 599 or len(asked) != 3:
        return {"statusCode": 400, "body": "call /STATUS, from 200 to 599\n"}
    status = int(asked)
    phrase = next((each.phrase for each in http.HTTPStatus if each == status), "a status without a name")
    return {"statusCode": status, "body": "" if status in (204, 304) else f"{status} {phrase}\n"}
