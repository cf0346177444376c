"""Query parameters with a form of their own; what cannot be understood is Unprocessable (422)."""

from __future__ import annotations

import re
from datetime import datetime

from runtime.errors import Unprocessable
from scaler.core.vocabulary import Instant

TRUE = ("1", "true")
_INTEGER = re.compile(r"-?[0-9]{1,9}")
_SECONDS = re.compile(r"[0-9]{1,12}(\.[0-9]{1,9})?")


def flag(text: str | None) -> bool:
    """``true`` or ``1``; anything else is false, as OpenFaaS's providers have it."""
    return (text or "").lower() in TRUE


def instant(key: str, text: str | None) -> Instant | None:
    """RFC 3339, or seconds since the epoch; None when not given."""
    if not text:
        return None
    if _SECONDS.fullmatch(text):
        return Instant(float(text))
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise Unprocessable(f"{key}: {text!r} is not an RFC 3339 time such as 2026-01-31T12:00:00Z")
    return Instant(at.timestamp())


def tail(text: str | None) -> int | None:
    """How many of the newest lines; None (for 0, -1 or not given) means all."""
    if not text:
        return None
    if not _INTEGER.fullmatch(text) or int(text) < -1:
        raise Unprocessable(f"tail: {text!r} is not a number of lines; -1 and 0 mean all")
    return int(text) if int(text) > 0 else None
