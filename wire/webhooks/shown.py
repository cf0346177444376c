"""What the head of a delivery shows of who sent it, when, and as what: by sender, as each documents it.

Pure: nothing here knows a secret. What cannot be right is refused before the body is read.
"""

from __future__ import annotations

import base64
import binascii
import enum
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from springtide.runtime.errors import Unauthenticated
from springtide.wire.webhooks.proof import DIGEST_BYTES, MAX_CANDIDATES, Proof
from springtide.wire.webhooks.webhook import Kind

MAX_VALUE = 4_096
"""Bytes of a header that is looked at."""

MAX_ID = 200

_SECONDS = re.compile(rb"[0-9]{1,12}")
_HEX = re.compile(rb"[0-9a-fA-F]{64}")


class Outcome(enum.StrEnum):
    """What became of a delivery, as metrics have it."""

    QUEUED = "queued"
    CALLED = "called"
    ANSWERED = "answered"
    """By the gateway, as the sender's protocol wants it."""
    REPEATED = "repeated"
    NO_SIGNATURE = "no_signature"
    MALFORMED = "malformed_signature"
    WRONG = "wrong_signature"
    TOO_OLD = "too_old"
    TOO_NEW = "too_new"
    TOO_LARGE = "too_large"
    INCOMPLETE = "incomplete"
    METHOD = "wrong_method"
    UNCHECKED = "unchecked"
    """Whether it is right cannot be told."""
    NOT_STORED = "not_stored"
    """It is right, and the queue does not take it."""


class Refused(Unauthenticated):
    """``outcome`` and the text are for the function's owner; the sender is told neither."""

    def __init__(self, outcome: Outcome, text: str) -> None:
        super().__init__(text)
        self.outcome = outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """``proof`` None: nothing needs to be proved. ``at``: when it was signed, in seconds since 1970, if that is told.

    ``id`` is the delivery's own, the same when it is repeated; empty where the head has none.
    """

    proof: Proof | None
    at: float | None = None
    id: str = ""


class _Head:
    """The headers of one delivery that count: each there once, and not too long."""

    def __init__(self, headers: Iterable[tuple[bytes, bytes]]) -> None:
        self._values: dict[bytes, list[bytes]] = {}
        for name, value in headers:
            self._values.setdefault(name.lower(), []).append(value.strip(b" \t"))

    def one(self, name: str) -> bytes:
        """Raises Refused."""
        values = self._values.get(name.lower().encode(), [])
        if not values or values == [b""]:
            raise Refused(Outcome.NO_SIGNATURE, f"it has no header {name}")
        if len(values) > 1 or len(values[0]) > MAX_VALUE:
            what = "several headers" if len(values) > 1 else f"more than {MAX_VALUE} bytes in"
            raise Refused(Outcome.MALFORMED, f"it has {what} {name}")
        return values[0]

    def id(self, name: str) -> str:
        """Raises Refused."""
        value = self.one(name)
        if len(value) > MAX_ID:
            raise Refused(Outcome.MALFORMED, f"its {name} has more than {MAX_ID} bytes")
        return value.decode("latin-1")


def shown_by(kind: Kind, headers: Iterable[tuple[bytes, bytes]], *, now: float, tolerance_s: float) -> Shown:
    """``now`` in seconds since 1970. Raises Refused."""
    shown = _READERS[kind](_Head(headers))
    if shown.at is not None and abs(now - shown.at) > tolerance_s:
        old, by = shown.at < now, f"{abs(now - shown.at):.0f} s"
        why = f"it was signed {by} ago" if old else f"it was signed {by} from now"
        remedy = f"at most {tolerance_s:g} s are tolerated (webhook_tolerance); is the clock right?"
        raise Refused(Outcome.TOO_OLD if old else Outcome.TOO_NEW, f"{why}; {remedy}")
    return shown


def _github(head: _Head) -> Shown:
    """https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries"""
    name = "X-Hub-Signature-256"
    scheme, _, digest = head.one(name).partition(b"=")
    digests = _decoded([digest] if scheme == b"sha256" else [], name, _from_hex)
    return Shown(proof=Proof(digests=digests), id=head.id("X-GitHub-Delivery"))


def _stripe(head: _Head) -> Shown:
    """https://docs.stripe.com/webhooks#verify-manually"""
    name = "Stripe-Signature"
    pairs = [part.strip().partition(b"=") for part in head.one(name).split(b",")]
    times = [value for scheme, _, value in pairs if scheme == b"t"]
    seconds = _seconds(times[0] if len(times) == 1 else b"", f"{name}'s t")
    digests = _decoded([value for scheme, _, value in pairs if scheme == b"v1"], name, _from_hex)
    return Shown(proof=Proof(prefix=b"%b." % seconds, digests=digests), at=float(seconds))


def _slack(head: _Head) -> Shown:
    """https://docs.slack.dev/authentication/verifying-requests-from-slack"""
    name = "X-Slack-Signature"
    scheme, _, digest = head.one(name).partition(b"=")
    seconds = _seconds(head.one("X-Slack-Request-Timestamp"), "X-Slack-Request-Timestamp")
    digests = _decoded([digest] if scheme == b"v0" else [], name, _from_hex)
    return Shown(proof=Proof(prefix=b"v0:%b:" % seconds, digests=digests), at=float(seconds))


def _standard(head: _Head) -> Shown:
    """https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md

    Signatures of asymmetric keys (v1a) are passed over. An id with a dot would leave open where it ends.
    """
    name = "webhook-signature"
    signatures, own_id = head.one(name), head.id("webhook-id")
    if "." in own_id:
        raise Refused(Outcome.MALFORMED, "its webhook-id has a dot")
    seconds = _seconds(head.one("webhook-timestamp"), "webhook-timestamp")
    versions = [part.partition(b",") for part in signatures.split(b" ")]
    digests = _decoded([value for version, _, value in versions if version == b"v1"], name, _from_base64)
    prefix = b"%b.%b." % (own_id.encode("latin-1"), seconds)
    return Shown(proof=Proof(prefix=prefix, digests=digests), at=float(seconds), id=own_id)


def _alertmanager(head: _Head) -> Shown:
    """``authorization`` or ``basic_auth`` of its http_config: the secret is the token, or USER:PASSWORD, or the
    password alone, and then the user may be any."""
    scheme, _, token = head.one("Authorization").partition(b" ")
    token = token.strip()
    if scheme.lower() == b"bearer" and token:
        return Shown(proof=Proof(tokens=(token,)))
    try:
        shown = base64.b64decode(token, validate=True) if scheme.lower() == b"basic" else b""
    except binascii.Error:
        shown = b""
    _, colon, password = shown.partition(b":")
    if not colon or not password:
        raise Refused(Outcome.MALFORMED, "its Authorization is neither a bearer token nor a user and a password")
    return Shown(proof=Proof(tokens=(shown, password)))


def _none(head: _Head) -> Shown:  # noqa: ARG001 - as all of them
    return Shown(proof=None)


_READERS: Mapping[Kind, Callable[[_Head], Shown]] = {
    Kind.GITHUB: _github,
    Kind.STRIPE: _stripe,
    Kind.SLACK: _slack,
    Kind.STANDARD: _standard,
    Kind.ALERTMANAGER: _alertmanager,
    Kind.NONE: _none,
}


def _seconds(text: bytes, what: str) -> bytes:
    """As written: that is what was signed."""
    if not _SECONDS.fullmatch(text):
        raise Refused(Outcome.MALFORMED, f"its {what} is no time in seconds")
    return text


def _decoded(given: list[bytes], name: str, decode: Callable[[bytes], bytes]) -> tuple[bytes, ...]:
    if len(given) > MAX_CANDIDATES:
        raise Refused(Outcome.MALFORMED, f"its {name} has more than {MAX_CANDIDATES} signatures")
    digests = tuple(digest for one in given if len(digest := decode(one)) == DIGEST_BYTES)
    if not digests:
        raise Refused(Outcome.MALFORMED, f"its {name} has no signature of the kind that is checked")
    return digests


def _from_hex(text: bytes) -> bytes:
    return bytes.fromhex(text.decode()) if _HEX.fullmatch(text) else b""


def _from_base64(text: bytes) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        return b""
