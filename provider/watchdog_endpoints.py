"""What watchdogs answer about themselves, ours and others'."""

from __future__ import annotations

from springtide.runtime import bounded_json
from springtide.runtime.http_probe import Answer

READY_PATH, HEALTH_PATH = "/_/ready", "/_/health"


def in_flight(answer: Answer) -> int | None:
    """The calls in flight, which our own watchdog says beside being ready; None when it is another's."""
    try:
        return int(bounded_json.loads(answer.body)["inflight"])
    except (ValueError, TypeError, KeyError):
        return None
