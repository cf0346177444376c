"""Answers with what only this caller knows, and says which replica it is."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from typing import Any

PIECES = 8


async def handle(event: Any, context: Any) -> dict[str, Any]:
    """The request's body or its token, after ``?work=seconds``; with ``?pause=seconds`` the token, piece by piece."""
    token = event.headers["x-token"]
    headers = {
        "X-Replica": context.hostname,
        "X-Pid": str(os.getpid()),
        "X-Generation": os.environ["GENERATION"],
        "X-Token": token,
    }
    pause = event.query.get("pause")
    await asyncio.sleep(float(event.query.get("work", 0)))
    body = _pieces(token, float(pause)) if pause else event.body or token
    return {"statusCode": 200, "headers": headers, "body": body}


async def _pieces(token: str, pause_s: float) -> AsyncIterator[str]:
    for number in range(PIECES):
        yield f"{token} {number}\n"
        await asyncio.sleep(pause_s)
