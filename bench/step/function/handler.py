"""Answers after ``?seconds=``."""

from __future__ import annotations

import asyncio
from typing import Any


async def handle(event: Any, _context: Any) -> str:
    await asyncio.sleep(float(event.query["seconds"]))
    return "ok"
