"""A delivery as a sender would make it, signed as that sender documents: for trying a webhook."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from springtide.wire.webhooks.proof import key_of
from springtide.wire.webhooks.webhook import Kind

Headers = tuple[tuple[str, str], ...]

TEST_TYPE = "springtide.test"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """``headers`` are all but those of the body's own length."""

    headers: Headers
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamp:
    """``now``: whole seconds since 1970. ``id``: letters and digits that no other sample has."""

    now: int
    id: str


def sample(kind: Kind, secret: bytes, stamp: Stamp, *, body: bytes | None = None, event: str | None = None) -> Sample:
    """``secret`` as it was given to the provider; nothing for the kind ``none``. Without a ``body`` it has one that
    asks for nothing. ``event`` is GitHub's: other senders have it in the body.

    Raises BadInput for a secret that cannot be one, without its value.
    """
    content = _body(kind, stamp) if body is None else body
    key = b"" if kind is Kind.NONE else key_of(kind, secret)
    own = _SIGNED[kind](key, content, stamp)
    if kind is Kind.GITHUB:
        own = (("X-GitHub-Event", event or ("ping" if body is None else "push")), *own)
    return Sample(headers=(("Content-Type", "application/json"), *own), body=content)


def _body(kind: Kind, stamp: Stamp) -> bytes:
    at = datetime.fromtimestamp(stamp.now, UTC).isoformat().replace("+00:00", "Z")
    bodies: Mapping[Kind, Any] = {
        Kind.GITHUB: {"zen": "Springtide tries this webhook.", "hook_id": 0},
        Kind.STRIPE: {
            "id": f"evt_test_{stamp.id}",
            "object": "event",
            "type": TEST_TYPE,
            "created": stamp.now,
            "livemode": False,
            "data": {"object": {}},
        },
        # Slack's own question whether anybody is here: the gateway answers it, the function does not see it.
        Kind.SLACK: {"type": "url_verification", "challenge": stamp.id},
        Kind.STANDARD: {"type": TEST_TYPE, "timestamp": at, "data": {}},
        Kind.ALERTMANAGER: {
            "version": "4",
            "status": "resolved",
            "receiver": "springtide",
            "groupLabels": {"alertname": "SpringtideTest"},
            "commonLabels": {"alertname": "SpringtideTest"},
            "commonAnnotations": {},
            "alerts": [],
        },
        Kind.NONE: {"type": TEST_TYPE},
    }
    return json.dumps(bodies[kind]).encode()


def _github(key: bytes, body: bytes, stamp: Stamp) -> Headers:
    return ("X-GitHub-Delivery", stamp.id), ("X-Hub-Signature-256", f"sha256={_hex(key, body)}")


def _stripe(key: bytes, body: bytes, stamp: Stamp) -> Headers:
    return (("Stripe-Signature", f"t={stamp.now},v1={_hex(key, b'%d.%b' % (stamp.now, body))}"),)


def _slack(key: bytes, body: bytes, stamp: Stamp) -> Headers:
    signature = _hex(key, b"v0:%d:%b" % (stamp.now, body))
    return ("X-Slack-Request-Timestamp", str(stamp.now)), ("X-Slack-Signature", f"v0={signature}")


def _standard(key: bytes, body: bytes, stamp: Stamp) -> Headers:
    own_id = f"msg_{stamp.id}"
    signature = hmac.digest(key, b"%b.%d.%b" % (own_id.encode(), stamp.now, body), hashlib.sha256)
    return (
        ("webhook-id", own_id),
        ("webhook-timestamp", str(stamp.now)),
        ("webhook-signature", f"v1,{base64.b64encode(signature).decode()}"),
    )


def _alertmanager(key: bytes, body: bytes, stamp: Stamp) -> Headers:  # noqa: ARG001 - as all of them
    """Of USER:PASSWORD, as of a token, the whole is the secret."""
    return (("Authorization", f"Basic {base64.b64encode(key).decode()}" if b":" in key else f"Bearer {key.decode()}"),)


def _none(key: bytes, body: bytes, stamp: Stamp) -> Headers:  # noqa: ARG001 - as all of them
    return ()


_SIGNED: Mapping[Kind, Callable[[bytes, bytes, Stamp], Headers]] = {
    Kind.GITHUB: _github,
    Kind.STRIPE: _stripe,
    Kind.SLACK: _slack,
    Kind.STANDARD: _standard,
    Kind.ALERTMANAGER: _alertmanager,
    Kind.NONE: _none,
}


def _hex(key: bytes, signed: bytes) -> str:
    return hmac.new(key, signed, hashlib.sha256).hexdigest()
