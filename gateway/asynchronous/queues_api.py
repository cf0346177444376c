"""What is in the queues: how much, which jobs, and those that were given up.

GET    /system/queues
GET    /system/queues/delayed                  when calls that were put off are due, the nearest first
GET    /system/jobs?queue=&function=&namespace=&state=&limit=
GET    /system/jobs?id=&id=                     those that are known still, of up to 100
GET    /system/jobs?key=NAME.NAMESPACE%20KEY    by their Idempotency-Keys
GET    /system/dead-letters?queue=&function=&namespace=&after=&limit=
GET    /system/dead-letters/ID
DELETE /system/dead-letters/ID
POST   /system/dead-letters/ID/retry
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from springtide.gateway.asynchronous.stores import Opened, Stores
from springtide.runtime.errors import BadInput
from springtide.runtime.query import whole_number
from springtide.runtime.routes import Routes
from springtide.scaler.core.ports import Clock
from springtide.scaler.core.vocabulary import FunctionRef
from springtide.wire.jobs import names
from springtide.wire.jobs.job import JobState, StoredLetter
from springtide.wire.jobs.ports import DeadLetters, Wanted
from springtide.wire.jobs.status_json import body_json, delayed_json, depths_json, headers_json, job_json, letter_json

DEFAULT_LIMIT, MAX_LIMIT = 100, 1000
MAX_NAMED = 100
MAX_DELAYED = 10_000
"""Instants, of all functions."""
MAX_LOOKED_AT = 10_000
"""Dead letters, for one answer; the rest is behind its ``next``."""

DEPTHS_KNOWN_S = 1.0
"""One look is for everybody who asks within it."""


class QueuesApi:
    def __init__(self, stores: Stores, clock: Clock, namespace: str) -> None:
        self._stores = stores
        self._clock = clock
        self._namespace = namespace
        self._lock = asyncio.Lock()
        self._depths: dict[str, Any] = {}
        self._depths_at = float("-inf")

    def __repr__(self) -> str:
        return f"<QueuesApi over {self._stores!r}>"

    def add_to(self, routes: Routes) -> None:
        @routes.get("/system/queues")
        async def queues() -> Response:
            return JSONResponse(await self._known_depths())

        @routes.get("/system/queues/delayed")
        async def delayed() -> Response:
            return JSONResponse(delayed_json(await (await self._opened()).delayed.nearest(MAX_DELAYED)))

        @routes.get("/system/jobs")
        async def jobs(request: Request) -> Response:
            if ids_and_keys := _named(request):
                return JSONResponse({"jobs": await self._known(*ids_and_keys), "complete": True})
            wanted = Wanted(_queue(request), self._function(request), _states(request))
            found, complete = await (await self._opened()).listing.jobs(wanted, _limit(request))
            return JSONResponse({"jobs": [job_json(status) for status in found], "complete": complete})

        @routes.get("/system/dead-letters")
        async def letters(request: Request) -> Response:
            page = _Page(_queue(request), self._function(request), *_after(request), _limit(request))
            return JSONResponse(await page.read((await self._opened()).letters))

        @routes.get("/system/dead-letters/{letter_id}")
        async def letter(letter_id: str) -> Response:
            found, body = await (await self._opened()).letters.letter(letter_id)
            value = letter_json(found, answer=True) | {"headers": headers_json(found.letter.job.headers)}
            return JSONResponse(value | body_json(body, size=found.size))

        @routes.delete("/system/dead-letters/{letter_id}")
        async def purge(letter_id: str) -> Response:
            await (await self._opened()).letters.purge(letter_id)
            return Response(status_code=204)

        @routes.post("/system/dead-letters/{letter_id}/retry")
        async def retry(letter_id: str) -> Response:
            await (await self._opened()).letters.put_back(letter_id)
            return Response(status_code=202)

    async def _opened(self) -> Opened:
        return await self._stores.all()

    async def _known_depths(self) -> dict[str, Any]:
        async with self._lock:
            if self._clock.now() - self._depths_at >= DEPTHS_KNOWN_S:
                depths = await (await self._stores.open()).depths()
                self._depths, self._depths_at = depths_json(depths, now=self._clock.wall()), self._clock.now()
            return self._depths

    async def _known(self, ids: Sequence[str], keys: Sequence[str]) -> list[dict[str, Any]]:
        store = await self._stores.open()

        async def by_key(key: str) -> dict[str, Any] | None:
            noted = await store.claimed(key)
            found = await store.find(noted.id) if noted is not None and noted.id else None
            return job_json(found) | {"key": key} if found is not None else None

        async def by_id(job_id: str) -> dict[str, Any] | None:
            found = await store.find(job_id)
            return job_json(found) if found is not None else None

        found = await asyncio.gather(*map(by_id, ids), *map(by_key, keys))
        return [job for job in found if job is not None]

    def _function(self, request: Request) -> FunctionRef | None:
        asked = request.query_params
        name = asked.get("function")
        return FunctionRef.parse(name, asked.get("namespace") or self._namespace) if name else None


class _Page:
    """Dead letters behind a place, which is a queue and a sequence number."""

    def __init__(self, queue: str, function: FunctionRef | None, at: str, after: int, limit: int) -> None:
        self._queue = queue
        self._function = function
        self._at = at
        self._after = after
        self._limit = limit
        self._looked_at = 0

    def __repr__(self) -> str:
        return f"<_Page of {self._limit} behind {self._at}:{self._after}>"

    async def read(self, letters: DeadLetters) -> dict[str, Any]:
        found: list[StoredLetter] = []
        for queue in [self._queue] if self._queue else await letters.queues():
            if queue < self._at:
                continue
            after = self._after if queue == self._at else 0
            async with contextlib.aclosing(letters.letters(queue, after=after)) as those:
                async for letter in those:
                    if len(found) >= self._limit or self._looked_at >= MAX_LOOKED_AT:
                        return _listed(found, f"{queue}:{after}")
                    after, self._looked_at = letter.sequence, self._looked_at + 1
                    if self._function in (None, letter.letter.job.lane.function):
                        found.append(letter)
        return _listed(found, None)


def _listed(found: list[StoredLetter], more: str | None) -> dict[str, Any]:
    return {"letters": [letter_json(letter) for letter in found], "next": more}


def _named(request: Request) -> tuple[list[str], list[str]] | None:
    """Ids and keys; None where other jobs are asked for."""
    ids, keys = request.query_params.getlist("id"), request.query_params.getlist("key")
    if len(ids) + len(keys) > MAX_NAMED:
        raise BadInput(f"id and key are given {len(ids) + len(keys)} times; at most {MAX_NAMED} are looked for at once")
    for key in keys:
        function, _, own = key.partition(" ")
        if not own or "." not in function:
            raise BadInput(f"key is {key[:80]!r}; write the function with its namespace, a space, and the key")
    return (ids, keys) if ids or keys else None


def _queue(request: Request) -> str:
    queue = request.query_params.get("queue") or ""
    return names.checked_queue(queue, "queue") if queue else ""


def _after(request: Request) -> tuple[str, int]:
    text = request.query_params.get("after") or ""
    queue, _, number = text.partition(":")
    if text and not (names.QUEUE_NAME.fullmatch(queue) and number.isascii() and number.isdigit() and len(number) < 19):
        raise BadInput(f"after is {text[:80]!r}; take it from an answer's next")
    return queue, int(number or 0)


def _limit(request: Request) -> int:
    return whole_number("limit", request.query_params.get("limit") or str(DEFAULT_LIMIT), low=1, high=MAX_LIMIT)


def _states(request: Request) -> frozenset[JobState]:
    given = [word for text in request.query_params.getlist("state") for word in text.split(",") if word]
    try:
        return frozenset(map(JobState, given)) or frozenset(JobState)
    except ValueError as error:
        raise BadInput(f"state: {error}; there are {', '.join(JobState)}") from None
