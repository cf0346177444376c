"""Whether a function's events go through the queue or call it at once: an annotation of the function."""

from __future__ import annotations

import enum
from collections.abc import Mapping

ANNOTATION = "com.springtide.trigger.delivery"


class DeliveryMode(enum.StrEnum):
    SYNC = "sync"
    """The function is called, and the event is over once it has answered."""
    ASYNC = "async"
    """The event is over once the call is stored in the queue."""


def delivery_mode(annotations: Mapping[str, str], default: DeliveryMode) -> DeliveryMode:
    """Raises ValueError naming annotation, value and remedy."""
    given = annotations.get(ANNOTATION, "").strip().lower()
    try:
        return DeliveryMode(given) if given else default
    except ValueError:
        raise ValueError(f"{ANNOTATION}: {given[:40]!r} is neither sync nor async") from None
