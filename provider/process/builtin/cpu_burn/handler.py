"""Keeps a processor busy for a while: to try out limits and scaling by load."""

from __future__ import annotations

import hashlib
import time
from typing import Any

MAX_MS = 60_000


def handle(event: Any, _context: Any) -> dict[str, Any]:
    """For ``?ms=`` milliseconds of processor time; for 100 where it does not say."""
    asked = event.query.get("ms") or "100"
    if not asked.isdecimal() or len(asked) > 6 or int(asked) > MAX_MS:
        return {"statusCode": 400, "body": f"ms: write a whole number of milliseconds, at most {MAX_MS}\n"}
    ends_at = time.thread_time() + int(asked) / 1000
    rounds, digest = 0, b""
    while time.thread_time() < ends_at:
        digest = hashlib.sha256(digest + b"\0" * 4_096).digest()
        rounds += 1
    return {"statusCode": 200, "body": f"{rounds} rounds in {asked} ms of processor time\n"}
