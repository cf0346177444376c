"""An event, whatever system it came from."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What happened, and how it is told to functions.

    ``id`` is the same each time that an event is told, and within ``source`` no other event has it: a repetition is
    known by it. ``source`` says where it came from, as a URI reference (``/nats/orders``), without credentials.
    """

    topic: str
    """What functions want by their annotation, and the header X-Topic."""
    body: bytes
    id: str
    source: str
    type: str
    """As CloudEvents has it: ``com.springtide.nats.message``."""
    pattern: str = ""
    """Where it came by a subscription to many topics, what was subscribed to: functions may want that, too."""
    content_type: str = ""
    """Empty where its system does not say."""
    subject: str = ""
    time: float | None = None
    """When it happened, in seconds since 1970; None where its system does not say."""
    headers: Headers = ()
    """Those of its kind of source: their names begin with ``X-``."""
    redelivered: bool = False
    """Its system says that it gave it before. One that comes again and again ends whoever has it in flight."""
    attributes: Headers = ()
    """Of CloudEvents, by name without ``ce-``, where its producer gave it some: they win over ours."""

    @property
    def names(self) -> tuple[str, ...]:
        """What functions may want it by."""
        return (self.topic, self.pattern) if self.pattern and self.pattern != self.topic else (self.topic,)


def idempotency_key(event: Event) -> str:
    """The same for each repetition of an event. The body counts: should two events have one id, both are run."""
    digest = hashlib.sha256()
    for part in (event.source.encode(), event.id.encode(errors="replace"), event.topic.encode(errors="replace")):
        digest.update(b"%d:%b" % (len(part), part))
    digest.update(event.body)
    return f"event-{digest.hexdigest()}"
