"""Storing a job: once for each idempotency key, wherever its body fits."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass

from springtide.gateway.asynchronous.requested import Requested
from springtide.runtime.errors import TooMany, Unprocessable
from springtide.scaler.core.ports import Clock
from springtide.scaler.core.vocabulary import FunctionRef
from springtide.wire.jobs.job import Job, Lane, StoredBody
from springtide.wire.jobs.job_id import new_token
from springtide.wire.jobs.ports import Claim, JobStore


@dataclass(frozen=True, slots=True)
class Target:
    """What is called: the function, and what its request says behind its name."""

    function: FunctionRef
    method: str
    path: str
    query: str


class Acceptance:
    """One asynchronous call on its way to the disk. Its body comes to ``whole`` or, where it is large, to ``streamed``;
    each returns the id of its job once that is stored."""

    def __init__(self, store: JobStore, clock: Clock, target: Target, requested: Requested) -> None:
        self._store = store
        self._clock = clock
        self._target = target
        self._requested = requested
        self.repeated = False
        """The job that stands for it was stored before."""

    def __repr__(self) -> str:
        return f"<Acceptance for {self._target.function}>"

    async def whole(self, body: bytes) -> str:
        digest = hashlib.sha256(body) if self._requested.key else None
        return await self._placed(new_token(), digest, body, None)

    async def streamed(self, pieces: AsyncIterator[bytes]) -> str:
        """Raises what ``pieces`` raises."""
        token, digest = new_token(), hashlib.sha256() if self._requested.key else None
        stored = await self._store.store_body(token, pieces if digest is None else _digested(pieces, digest))
        return await self._placed(token, digest, b"", stored)

    async def _placed(self, token: str, digest: hashlib._Hash | None, body: bytes, stored: StoredBody | None) -> str:
        """``digest`` is of the body, None where the caller gave no key. A stored body stays where a job refers to it,
        and where that is not known: it has an age at which it goes."""
        try:
            if digest is None:
                return await self._store.submit(self._job(token, stored), body)
            claim = Claim(token, self._fingerprint(digest), self._clock.wall())
            noted = await self._store.claim(self._key(), claim)
            _check_same(claim, noted)
            self.repeated = noted != claim
            job_id = noted.id
            if not job_id and noted != claim:
                # An earlier try that was not answered, or another that is under way: its job may be there.
                job_id = await self._store.stored_under(self._job(noted.token).lane, noted.token, noted.claimed_at)
            if job_id and stored is not None:
                await self._store.discard_body(stored)
            job_id = job_id or await self._store.submit(self._job(noted.token, stored), body)
        except (TooMany, Unprocessable):
            if stored is not None:
                await self._store.discard_body(stored)
            raise
        if not noted.id:
            await self._store.confirm(self._key(), noted._replace(id=job_id))
        return job_id

    def _fingerprint(self, digest: hashlib._Hash) -> str:
        requested, target = self._requested, self._target
        if requested.key_is_all:
            return str(target.function)
        about = [str(target.function), target.method, target.path, target.query, requested.callback, digest.hexdigest()]
        return hashlib.sha256(json.dumps(about).encode()).hexdigest()

    def _key(self) -> str:
        return claim_key(self._target.function, self._requested.key)

    def _job(self, token: str, stored: StoredBody | None = None) -> Job:
        requested, target = self._requested, self._target
        return Job(
            token=token,
            lane=Lane(requested.queue, target.function, requested.tenant),
            method=target.method,
            path=target.path,
            query=target.query,
            headers=requested.headers,
            accepted_at=self._clock.wall(),
            callback=requested.callback,
            not_before=requested.not_before,
            stored_body=stored,
        )


def claim_key(function: FunctionRef, key: str) -> str:
    """What an Idempotency-Key is noted under: it is its caller's own, for each function."""
    return f"{function} {key}"


def _check_same(claim: Claim, noted: Claim) -> None:
    """Raises Unprocessable."""
    if noted.fingerprint != claim.fingerprint:
        raise Unprocessable(
            "Idempotency-Key was used for another call of this function within the last 24 hours: another path, "
            "callback or body; take a new key"
        )


async def _digested(pieces: AsyncIterator[bytes], digest: hashlib._Hash) -> AsyncIterator[bytes]:
    async for piece in pieces:
        digest.update(piece)
        yield piece
