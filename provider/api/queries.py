"""Query parameters with a form of their own; what cannot be understood is Unprocessable (422)."""

from __future__ import annotations

import re
from datetime import datetime

from springtide.runtime.errors import Unprocessable
from springtide.scaler.core.vocabulary import Instant

TRUE, FALSE = ("1", "true"), ("0", "false")
_INTEGER = re.compile(r"-?[0-9]{1,9}")
_BLANK_ZONE = re.compile(r" (\d\d:?\d\d)$")
_SECONDS = re.compile(r"[0-9]{1,12}(\.[0-9]{1,9})?")


def flag(text: str | None) -> bool:
    """``true`` or ``1``; anything else is false, as OpenFaaS's providers have it."""
    return (text or "").lower() in TRUE


def yes_or_no(key: str, text: str | None) -> bool:
    """``flag`` for what is ours alone: a slip is told, not taken for no."""
    if text and text.lower() not in TRUE + FALSE:
        raise Unprocessable(f"{key}: {text!r} is neither yes nor no; write true or false")
    return flag(text)


def instant(key: str, text: str | None) -> Instant | None:
    """RFC 3339, or seconds since the epoch; None when not given."""
    if not text:
        return None
    if _SECONDS.fullmatch(text):
        return Instant(float(text))
    try:
        # A plus that was not written as %2B arrives as a blank: `date --iso-seconds` writes +00:00.
        at = datetime.fromisoformat(_BLANK_ZONE.sub(r"+\1", text))
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise Unprocessable(f"{key}: {text!r} is not an RFC 3339 time such as 2026-01-31T12:00:00Z or epoch seconds")
    return Instant(at.timestamp())


def tail(text: str | None) -> int | None:
    """How many of the newest lines; None (for 0, -1 or not given) means all."""
    if not text:
        return None
    if not _INTEGER.fullmatch(text) or int(text) < -1:
        raise Unprocessable(f"tail: {text!r} is not a number of lines; -1 and 0 mean all")
    return int(text) if int(text) > 0 else None
