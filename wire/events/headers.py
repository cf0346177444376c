"""What an event says in the headers of the call that it makes.

The headers of OpenFaaS's connectors, and beside them those of CloudEvents' HTTP binding in binary mode
(https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md, section 3.1). Nothing
that a producer wrote ends a header, begins another one or is lost with its event: what HTTP cannot carry is encoded.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from urllib.parse import quote

from springtide.wire.events.event import Event, Headers

SDK = "connector-sdk"
SPEC_VERSION = "1.0"
DEFAULT_CONTENT_TYPE = "text/plain"

MAX_VALUE_BYTES = 4096
"""Of a header that a source adds; a longer one is left out. X-Topic is cut."""

MAX_BYTES = 24 * 1024
"""Of all that a source adds: the gateway takes 64 KiB of headers in all."""

_AS_IS = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in '"%')
"""What CloudEvents sends as it stands."""

_UNFIT = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]|\A[ \t]+|[ \t]+\Z")
"""What ends a header, or is lost on the way."""

_TYPE = re.compile(r"[\x21-\x7e]([\x20-\x7e]{0,198}[\x21-\x7e])?")
_NAME = re.compile(r"[Xx]-[A-Za-z0-9!#$&'*+.^_`|~-]{1,98}")
_ATTRIBUTE = re.compile(r"[a-z0-9]{1,40}")

_OURS = frozenset(
    (
        *("x-topic", "x-connector", "x-call-id", "x-callback-url", "x-delay", "x-not-before", "x-queue"),
        *("x-fairness-key", "x-start-time", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip"),
    )
)
"""Said by us, or to the gateway: who produces an event steers no call."""

RawHeaders = list[tuple[bytes, bytes]]


def call_headers(
    event: Event, *, connector: str, content_type: str = DEFAULT_CONTENT_TYPE, also_sdk: bool = True
) -> RawHeaders:
    """``connector`` is the name of ours that makes the call; ``content_type`` counts where the event has none.

    ``also_sdk``: a first X-Connector says that it is a connector, as OpenFaaS's own have it.
    """
    given = event.content_type if _TYPE.fullmatch(event.content_type) else content_type
    headers: RawHeaders = [
        (b"Content-Type", given.encode()),
        (b"X-Topic", field_value(event.topic[:MAX_VALUE_BYTES])),
        *([(b"X-Connector", SDK.encode())] if also_sdk else []),
        (b"X-Connector", connector.encode()),
        (b"User-Agent", f"springtide/{connector}".encode()),
    ]
    return [*headers, *cloud_event(event), *_added(event.headers)]


def cloud_event(event: Event) -> RawHeaders:
    """``ce-*``. What its producer said wins, where it is an attribute at all."""
    attributes = {"specversion": SPEC_VERSION, "id": event.id, "source": event.source, "type": event.type}
    if event.subject:
        attributes["subject"] = event.subject
    if event.time is not None:
        attributes["time"] = timestamp(event.time)
    attributes |= {name: value for name, value in event.attributes if _ATTRIBUTE.fullmatch(name) and value}
    encoded = [(f"ce-{name}".encode(), attribute_value(value)) for name, value in attributes.items()]
    return _bounded(encoded)


def attribute_value(text: str) -> bytes:
    """As CloudEvents has it: spaces, quotes, percent signs and all that is not ASCII as ``%XX`` of UTF-8."""
    return quote(text, safe=_AS_IS, errors="replace").encode()


def field_value(text: str) -> bytes:
    """In UTF-8 as it stands, but for control characters and for white space at its ends, which become ``%XX``."""
    return _UNFIT.sub(lambda found: b"".join(b"%%%02X" % byte for byte in found[0]), text.encode(errors="replace"))


def timestamp(seconds: float) -> str:
    """RFC 3339 in UTC, to the millisecond. Instants that no calendar has are the nearest that one has."""
    at = datetime.fromtimestamp(min(max(seconds, 0.0), 253_402_300_799.0), UTC)
    return at.isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def _added(headers: Headers) -> RawHeaders:
    allowed = [(name, value) for name, value in headers if _NAME.fullmatch(name) and not _is_ours(name.lower())]
    return _bounded([(name.encode(), field_value(value)) for name, value in allowed])


def _is_ours(name: str) -> bool:
    return name in _OURS or name.startswith("x-springtide-")


def _bounded(headers: RawHeaders) -> RawHeaders:
    """Those that are not too long, the first of them, as many as there is room for."""
    kept, room = [], MAX_BYTES
    for name, value in headers:
        if len(value) <= MAX_VALUE_BYTES and len(name) + len(value) <= room:
            room -= len(name) + len(value)
            kept.append((name, value))
    return kept
