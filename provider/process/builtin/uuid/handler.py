"""Random identifiers, one a line."""

from __future__ import annotations

import uuid
from typing import Any

MAX_COUNT = 1_000


def handle(event: Any, _context: Any) -> dict[str, Any]:
    """As many as ``?count=`` says; one where it does not."""
    asked = event.query.get("count") or "1"
    if not asked.isdecimal() or len(asked) > 4 or not 1 <= int(asked) <= MAX_COUNT:
        return {"statusCode": 400, "body": f"count: write a whole number from 1 to {MAX_COUNT}\n"}
    return {"statusCode": 200, "body": "".join(f"{uuid.uuid4()}\n" for _ in range(int(asked)))}
