"""What a delivery is about: which it is of its sender's, and what its function is told of it. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from springtide.runtime import bounded_json
from springtide.wire.events.event import Event
from springtide.wire.events.headers import RawHeaders, cloud_event
from springtide.wire.webhooks.shown import Shown
from springtide.wire.webhooks.webhook import Kind

CONNECTOR = "webhook"
PREFIX = "ce-"
MAX_LOOKED_INTO = 256 * 1024
"""Bytes of a body that is read as JSON: larger ones have no type, and are told apart by their signatures."""

MAX_CHALLENGE = 1_000

_SAID_TO_US = frozenset(("x-topic", "x-connector", "x-callback-url"))
"""Headers that nobody signs and that are ours to write, or would have us do something."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """``key`` is the same for a delivery that comes again, and no other; empty where there is no telling.

    ``challenge``: the sender asks whether anybody is here, and wants this back.
    """

    key: str
    event: Event
    challenge: str = ""


def described(
    kind: Kind, shown: Shown, headers: Mapping[str, str], body: bytes, *, source: str, now: float, fresh_id: str
) -> Described:
    """``headers`` by lower-case name. ``source`` is where it came in, ``fresh_id`` for one that has none."""
    said = _json(body)
    own_id = shown.id or _text(said, "id" if kind is Kind.STRIPE else "event_id" if kind is Kind.SLACK else "")
    signature = hashlib.sha256(b"".join(shown.proof.digests)).hexdigest() if shown.proof is not None else ""
    known_by = own_id or (signature if shown.at is not None else "")
    event = Event(
        topic=str(kind),
        body=b"",
        id=own_id or (signature[:32] if known_by else fresh_id),
        source=source,
        type=_type(kind, headers, said),
        time=shown.at if shown.at is not None else now,
    )
    # The line feed is one that no Idempotency-Key of a caller can hold.
    key = f"webhook {kind}\n{known_by}" if known_by else ""
    return Described(key=key, event=event, challenge=_challenge(said) if kind is Kind.SLACK else "")


def fields_with(fields: bytes, kind: Kind, event: Event) -> bytes:
    """Header lines as the function gets them, each with the CRLF before it: the sender's, and what this event is.

    A token is for us alone. Who proves nothing may send a CloudEvent that is described already.
    """
    lines = [(line, line.partition(b":")[0].lower().decode("latin-1")) for line in fields.split(b"\r\n")[1:]]
    keeps = kind is Kind.NONE and any(name == f"{PREFIX}specversion" for _, name in lines)
    dropped = _SAID_TO_US | ({"authorization"} if kind is Kind.ALERTMANAGER else frozenset())
    kept = [line for line, name in lines if name not in dropped and (keeps or not name.startswith(PREFIX))]
    said: RawHeaders = [(b"X-Topic", event.topic.encode()), (b"X-Connector", CONNECTOR.encode())]
    said += [] if keeps else cloud_event(event)
    return b"".join(b"\r\n" + line for line in (*kept, *(b"%b: %b" % header for header in said)))


def _type(kind: Kind, headers: Mapping[str, str], said: Mapping[str, Any]) -> str:
    match kind:
        case Kind.GITHUB:
            return ".".join(filter(None, ("com.github", headers.get("x-github-event", ""))))
        case Kind.STRIPE:
            return ".".join(filter(None, ("com.stripe", _text(said, "type"))))
        case Kind.SLACK:
            inner = said.get("event")
            what = _text(inner, "type") if isinstance(inner, dict) else _text(said, "type")
            return ".".join(filter(None, ("com.slack", what)))
        case Kind.ALERTMANAGER:
            return ".".join(filter(None, ("io.prometheus.alertmanager", _text(said, "status"))))
        case Kind.STANDARD:
            return _text(said, "type") or "webhook"
        case Kind.NONE:
            return "webhook"


def _challenge(said: Mapping[str, Any]) -> str:
    """https://docs.slack.dev/reference/events/url_verification"""
    return _text(said, "challenge")[:MAX_CHALLENGE] if said.get("type") == "url_verification" else ""


def _json(body: bytes) -> Mapping[str, Any]:
    """An empty one where it is no object, or too large."""
    if not body.startswith(b"{") or len(body) > MAX_LOOKED_INTO:
        return {}
    try:
        value = bounded_json.loads(body)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _text(said: Mapping[str, Any], key: str) -> str:
    value = said.get(key)
    return value if isinstance(value, str) else ""
