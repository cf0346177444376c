"""What the sender of a delivery shows, and whether that is right: a digest over its raw body, or a token.

All that is compared is compared in constant time, and every candidate with every secret, whichever fits.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass

from springtide.runtime.errors import BadInput
from springtide.wire.webhooks.webhook import Kind

MAX_CANDIDATES = 10
"""Signatures in one delivery: senders have two while they change keys."""

MAX_HEADER = 16_384
DIGEST_BYTES = 32
STANDARD_PREFIX = b"whsec_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """``digests``: HMAC-SHA256 of ``prefix`` and the body, of which one must be right; or ``tokens``, of which one is
    to be the secret itself."""

    prefix: bytes = b""
    digests: tuple[bytes, ...] = ()
    tokens: tuple[bytes, ...] = ()

    def __repr__(self) -> str:
        """Without what it proves with: a token is the secret."""
        return f"<Proof of {len(self.digests)} digests, {len(self.tokens)} tokens>"

    def to_header(self) -> str:
        parts = (self.prefix, *self.digests), self.tokens
        return ".".join(",".join(base64.b64encode(one).decode() for one in part) for part in parts)

    @classmethod
    def from_header(cls, text: str) -> Proof:
        """Raises BadInput, which does not repeat it."""
        try:
            signed, tokens = (
                [base64.b64decode(one, validate=True) for one in part.split(",")]
                for part in text[: MAX_HEADER + 1].split(".")
            )
        except (ValueError, binascii.Error):
            raise BadInput("the proof of a delivery cannot be read; is the gateway of this version?") from None
        return cls(prefix=signed[0], digests=tuple(signed[1:]), tokens=tuple(filter(None, tokens)))


class ProofCheck:
    """One delivery's: fed its body in pieces, so that nobody has to keep it."""

    def __init__(self, proof: Proof, keys: Sequence[bytes]) -> None:
        """``keys`` by ``key_of``."""
        self._proof = proof
        self._keys = keys
        self._running = [hmac.new(key, proof.prefix, hashlib.sha256) for key in keys]

    def __repr__(self) -> str:
        return f"<ProofCheck of {self._proof!r} by {len(self._keys)} secrets>"

    def feed(self, piece: bytes) -> None:
        for running in self._running:
            running.update(piece)

    def right(self) -> bool:
        found = [running.digest() for running in self._running]
        fits = [hmac.compare_digest(one, given) for one in found for given in self._proof.digests]
        # Digests of tokens have one length, so that the comparison tells nothing of the secret's.
        known = [hashlib.sha256(key).digest() for key in self._keys]
        shown = [hashlib.sha256(token).digest() for token in self._proof.tokens]
        return any(fits + [hmac.compare_digest(one, given) for one in known for given in shown])


def key_of(kind: Kind, value: bytes) -> bytes:
    """What a secret's value checks with; white space around it was added by an editor. Raises BadInput, without it."""
    value = value.strip()
    if kind is Kind.STANDARD:
        try:
            bare = value.removeprefix(STANDARD_PREFIX)
            value = base64.b64decode(bare + b"=" * (-len(bare) % 4), validate=True)
        except binascii.Error:
            raise BadInput(
                "is not base64, with whsec_ before it or without, as Standard Webhooks has secrets"
            ) from None
    if not value:
        raise BadInput("is empty, and anybody could sign with it; give it a value")
    return value
