"""The gateway's API of asynchronous calls, as the console uses it: what is in the queues, and one call's story."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from springtide.console.gateway_api import GatewayApi
from springtide.console.view import Json
from springtide.runtime.errors import BadInput, NotFound
from springtide.wire.jobs.job import JobState
from springtide.wire.jobs.job_id import OF_CALLBACK, place_of

MAX_LISTED = 100
"""Jobs or dead letters of one answer."""

MAX_BODY_CHARS = 64 * 1024
"""Of an answer; the command line has all of it."""


class QueueApi:
    """Values are the gateway's, as ``wire.jobs.status_json`` makes them."""

    def __init__(self, gateway: GatewayApi) -> None:
        self._gateway = gateway

    def __repr__(self) -> str:
        return f"<QueueApi of {self._gateway!r}>"

    async def depths(self) -> Json:
        return _object(await self._gateway.json("GET", "/system/queues"))

    async def jobs(self, asked: Mapping[str, str]) -> Json:
        """``asked`` may name a state and a function. Raises BadInput."""
        params = {**_function(asked), "limit": str(MAX_LISTED)}
        if state := asked.get("state"):
            if state not in set(JobState):
                raise BadInput(f"state: {state[:40]!r} is none of {', '.join(JobState)}")
            params["state"] = state
        return _object(await self._gateway.json("GET", "/system/jobs", params=params))

    async def job(self, job_id: str) -> Json:
        """With the beginning of its answer. By the id of a callback's dead letter it is that, or the call whose it was.
        Raises NotFound."""
        call = job_id.removesuffix(OF_CALLBACK)
        if call != job_id:
            with contextlib.suppress(NotFound):
                return _shortened(_object(await self._gateway.json("GET", f"/system/dead-letters/{_letter(job_id)}")))
        return _shortened(_object(await self._gateway.json("GET", f"/async-function/{_job(call)}")))

    async def cancel(self, job_id: str) -> Json:
        return _shortened(_object(await self._gateway.json("DELETE", f"/async-function/{_job(job_id)}")))

    async def letters(self, asked: Mapping[str, str]) -> Json:
        """``asked`` may name a function, and what the answer before had as its ``next``."""
        params = {**_function(asked), "limit": str(MAX_LISTED)}
        if after := asked.get("after"):
            params["after"] = after
        return _object(await self._gateway.json("GET", "/system/dead-letters", params=params))

    async def put_back(self, letter_id: str) -> None:
        await self._gateway.call("POST", f"/system/dead-letters/{_letter(letter_id)}/retry")

    async def purge(self, letter_id: str) -> None:
        await self._gateway.call("DELETE", f"/system/dead-letters/{_letter(letter_id)}")


def _function(asked: Mapping[str, str]) -> dict[str, str]:
    return {"function": asked["function"]} if asked.get("function") else {}


def _job(job_id: str) -> str:
    if place_of(job_id) is None:
        raise NotFound(f"{job_id[:80]!r} is no id of an asynchronous call")
    return job_id


def _letter(letter_id: str) -> str:
    _job(letter_id.removesuffix(OF_CALLBACK))
    return quote(letter_id, safe="")


def _object(value: Any) -> Json:
    return value if isinstance(value, dict) else {}


def _shortened(job: Json) -> Json:
    answer = job.get("answer")
    if isinstance(answer, dict) and len(body := str(answer.get("body", ""))) > MAX_BODY_CHARS:
        job["answer"] = {**answer, "body": body[:MAX_BODY_CHARS], "truncated": True}
    return job
