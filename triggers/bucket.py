"""A bucket of the broker's own store, which every copy of a part reaches: a value for each key.

Each write names the one that it follows: a copy that leads no more, and does not know it, changes nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

from nats.js.api import Header
from nats.js.errors import APIError

from springtide.runtime.errors import Conflict
from springtide.wire.jobs.nats.broker import Broker
from springtide.wire.jobs.nats.connection import translated

AT_ONCE = 100
_WRONG_LAST_SEQUENCE = 10071
_SEQUENCE = "Nats-Sequence"


class Bucket:
    """Both methods raise SpringtideError."""

    def __init__(self, broker: Broker, stream: Callable[[], Awaitable[str]], *, name: str, what: str) -> None:
        """``stream`` makes sure that there is the bucket's, and says how that is called; ``what`` is kept."""
        self._broker, self._stream = broker, stream
        self._prefix, self._what = f"$KV.{name}.", what
        self._sequences: dict[str, int] = {}

    def __repr__(self) -> str:
        return f"<Bucket of {len(self._sequences)} keys>"

    async def load(self) -> dict[str, bytes]:
        bucket = await self._stream()
        state = await self._broker.streams.state(bucket, subjects=f"{self._prefix}>")
        keys = [subject.removeprefix(self._prefix) for subject in state.subjects]
        self._sequences.clear()
        values: dict[str, bytes] = {}
        for begin in range(0, len(keys), AT_ONCE):
            some = keys[begin : begin + AT_ONCE]
            found = await asyncio.gather(*(self._value(bucket, key) for key in some))
            values |= {key: value for key, value in zip(some, found, strict=True) if value}
        return values

    async def store(self, writes: Sequence[tuple[str, bytes]]) -> None:
        """An empty value is none any more. Raises Conflict where another copy has written a key since."""
        for begin in range(0, len(writes), AT_ONCE):
            await asyncio.gather(*(self._store(key, body) for key, body in writes[begin : begin + AT_ONCE]))

    async def _store(self, key: str, body: bytes) -> None:
        follows: Mapping[str, str] = {Header.EXPECTED_LAST_SUBJECT_SEQUENCE.value: str(self._sequences.get(key, 0))}
        async with translated(f"keeping {self._what}"):
            try:
                sequence = await self._broker.requests.store(self._stream, self._prefix + key, body, dict(follows))
            except APIError as error:
                if error.err_code != _WRONG_LAST_SEQUENCE:
                    raise
                raise Conflict(f"{key}: another copy has written it") from error
        self._sequences[key] = sequence

    async def _value(self, bucket: str, key: str) -> bytes:
        async with translated(f"reading {self._what}"):
            found = await self._broker.requests.ask(f"$JS.API.DIRECT.GET.{bucket}.{self._prefix}{key}")
        headers = found.headers or {}
        if Header.STATUS in headers:
            return b""
        self._sequences[key] = int(headers[_SEQUENCE])
        return found.data
