"""How many asynchronous calls each function has, and when those that were put off are due, as gateways tell: for who
scales by them."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

import httpx

from springtide.runtime import bounded_json
from springtide.runtime.basic_auth import Credentials
from springtide.runtime.errors import NotFound, SpringtideError, Unavailable, Unsupported, error_for_status, reason_of
from springtide.runtime.tls import client_context
from springtide.scaler.core.delayed_calls import DelayedCalls
from springtide.scaler.core.vocabulary import FunctionRef
from springtide.wire.json_api import NONSENSE

T = TypeVar("T")

PATH = "/system/queues"
DELAYED_PATH = "/system/queues/delayed"

DEADLINE_S = 2.0
"""Of one gateway; the next one is asked then."""

MAX_ANSWER_BYTES = 16 * 1024 * 1024
"""100,000 functions, whose names and numbers take 150 bytes each."""


class PendingJobs:
    """Every gateway knows all queues: the first that answers is believed."""

    def __init__(self, urls: Sequence[str], credentials: Credentials | None, *, deadline_s: float = DEADLINE_S) -> None:
        """``urls`` are those of the gateways' public ports, such as ``http://gateway:8080``."""
        self._deadline_s = deadline_s
        self._urls = tuple(url.rstrip("/") for url in urls)
        headers = {"User-Agent": "springtide"}
        if credentials is not None:
            headers["Authorization"] = credentials.header
        self._http = httpx.AsyncClient(timeout=deadline_s, trust_env=False, verify=client_context(), headers=headers)

    def __repr__(self) -> str:
        return f"<PendingJobs at {', '.join(self._urls)}>"

    async def aclose(self) -> None:
        await self._http.aclose()

    async def pending(self) -> Mapping[FunctionRef, int]:
        """Jobs that wait, run or are to be tried again, of each function that has any, over all queues.

        Raises Unsupported where the gateways have no queues, and Unavailable.
        """
        return await self._first(PATH, pending_by_function)

    async def delayed(self) -> DelayedCalls:
        """When jobs that were put off are due, over all queues. Raises as ``pending`` does."""
        return await self._first(DELAYED_PATH, delayed_calls)

    async def _first(self, path: str, read: Callable[[Any], T]) -> T:
        problem: SpringtideError = Unavailable("there is no gateway to ask")
        for url in self._urls:
            try:
                return await self._told(url, path, read)
            except NotFound as error:
                problem = Unsupported(f"the gateway at {url} knows no queues: {error}")
            except SpringtideError as error:
                problem = error
        raise problem

    async def _told(self, url: str, path: str, read: Callable[[Any], T]) -> T:
        try:
            async with asyncio.timeout(self._deadline_s), self._http.stream("GET", url + path) as response:
                content = b""
                async for piece in response.aiter_bytes():
                    content += piece
                    if len(content) > MAX_ANSWER_BYTES:
                        raise Unavailable(f"the gateway at {url} told more than {MAX_ANSWER_BYTES} bytes of its queues")
        except (TimeoutError, httpx.TimeoutException) as error:
            raise Unavailable(f"the gateway at {url} did not tell its queues within {self._deadline_s:g} s") from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise Unavailable(f"the gateway at {url} cannot be asked for its queues: {reason_of(error)}") from error
        if response.status_code != 200:
            text = content.decode(errors="replace").strip()[:200] or response.reason_phrase
            raise error_for_status(response.status_code)(text)
        try:
            return read(bounded_json.loads(content))
        except NONSENSE as error:
            raise Unavailable(
                f"what the gateway at {url} tells of its queues makes no sense: {error!r:.200}"
            ) from error


def pending_by_function(answer: Any) -> dict[FunctionRef, int]:
    """What ``PATH`` answers, added up over the queues. Raises what ``NONSENSE`` has for another shape."""
    found: dict[FunctionRef, int] = {}
    for queue in answer["queues"]:
        for function in queue["functions"]:
            ref, count = FunctionRef(str(function["namespace"]), str(function["function"])), function["pending"]
            if isinstance(count, bool) or not isinstance(count, int) or count < 0:
                raise ValueError(f"{ref} has {str(count)[:40]} jobs pending")
            found[ref] = found.get(ref, 0) + count
    return found


def delayed_calls(answer: Any) -> DelayedCalls:
    """What ``DELAYED_PATH`` answers. Raises as ``pending_by_function`` does."""
    due = {
        FunctionRef(str(one["namespace"]), str(one["function"])): tuple(sorted(map(_instant, one["due"])))
        for one in answer["functions"]
    }
    return DelayedCalls(due, _instant(answer["until"]) if answer["until"] is not None else math.inf)


def _instant(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
