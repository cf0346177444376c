"""Answers after ``?ms=`` milliseconds, as a function does that has so much to wait for."""

from __future__ import annotations

import asyncio
from typing import Any

MAX_MS = 10_000.0


async def handle(event: Any, _context: Any) -> str:
    await asyncio.sleep(min(float(event.query.get("ms", 0)), MAX_MS) / 1000)
    return "answered\n"
