"""Waits, then answers: to try out scaling, limits of calls in flight, and time-outs."""

from __future__ import annotations

import re
import time
from os import environ  # Function code, run in a replica: its environment is its settings.
from typing import Any

MAX_S = 600.0
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "": 1.0}
_DURATION = re.compile(r"(\d{1,6}(?:\.\d{1,6})?)(ms|s|m|)")


def handle(event: Any, _context: Any) -> dict[str, Any]:
    """For ``?for=``, the header ``X-Sleep``, or the variable ``sleep_duration``: ``250ms``, ``2s``; else for 2 s."""
    usual = environ.get("sleep_duration") or "2s"  # noqa: SIM112 - the name that this function has had elsewhere
    asked = event.query.get("for") or event.headers.get("X-Sleep") or usual
    match = _DURATION.fullmatch(asked.strip())
    wait_s = float(match[1]) * _UNITS[match[2]] if match else -1.0
    if not 0 <= wait_s <= MAX_S:
        return {"statusCode": 400, "body": f"write a duration such as 250ms or 2s, at most {MAX_S:g} s\n"}
    time.sleep(wait_s)
    return {"statusCode": 200, "body": f"slept for {wait_s:g} s\n"}
