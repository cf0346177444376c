"""``GET /system/events?function=&limit=``: the last events, asked of every connector, the newest first."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from springtide.runtime import bounded_json
from springtide.runtime.basic_auth import Credentials
from springtide.runtime.dns import resolved_urls
from springtide.runtime.errors import Unavailable, Unsupported, kind_and_reason_of
from springtide.runtime.query import whole_number
from springtide.runtime.routes import Routes
from springtide.scaler.core.vocabulary import FunctionRef
from springtide.wire.announced_connectors import announced

DEFAULT_LIMIT, MAX_LIMIT = 100, 1000
DEADLINE_S = 5.0
"""For all of them: one that hangs must not keep what the others tell."""

Json = dict[str, Any]


class EventsApi:
    """``urls`` are the connectors' base URLs; a name with several addresses stands for a copy at each. In ``folder``
    those on this machine say where they are; empty: none does."""

    def __init__(
        self,
        http: httpx.AsyncClient,
        urls: Sequence[str],
        folder: str,
        *,
        credentials: Credentials | None,
        namespace: str,
    ) -> None:
        self._http = http
        self._urls = tuple(urls)
        self._folder = folder
        self._authorization = {} if credentials is None else {"Authorization": credentials.header}
        self._namespace = namespace

    def __repr__(self) -> str:
        return f"<EventsApi of {len(self._urls)} connectors>"

    def add_to(self, routes: Routes) -> None:
        @routes.get("/system/events")
        async def events(request: Request) -> Response:
            """``connectors`` says of each whether its events are among these; a ``problem`` is why they are not."""
            if not self._urls and not self._folder:
                raise Unsupported("no connector is configured; set connector_urls")
            limit = whole_number("limit", request.query_params.get("limit", str(DEFAULT_LIMIT)), low=1, high=MAX_LIMIT)
            asked = {"limit": str(limit)}
            if function := request.query_params.get("function"):
                namespace = request.query_params.get("namespace") or self._namespace
                asked["function"] = str(FunctionRef.parse(function, namespace))
            answers = await asyncio.gather(*(self._of(url, asked) for url in await self._known()))
            told = [one for some in answers for one in some]
            found = [event for events, _ in told for event in events]
            found.sort(key=lambda event: str(event.get("time")), reverse=True)
            return JSONResponse({"events": found[:limit], "connectors": [connector for _, connector in told]})

    async def _known(self) -> Sequence[str]:
        if not self._folder:
            return self._urls
        return tuple(dict.fromkeys((*self._urls, *await asyncio.to_thread(announced, Path(self._folder)))))

    async def _of(self, url: str, asked: Json) -> list[tuple[list[Json], Json]]:
        """What each of its copies tells."""
        try:
            copies = await resolved_urls(url)
        except Unavailable as error:
            return [([], {"url": url, "problem": str(error)})]
        return await asyncio.gather(*(self._told(copy, asked) for copy in copies))

    async def _told(self, url: str, asked: Json) -> tuple[list[Json], Json]:
        """A connector's events, and how it is."""
        try:
            async with asyncio.timeout(DEADLINE_S):
                answer = await self._http.get(
                    f"{url.rstrip('/')}/events?{urlencode(asked)}", headers=self._authorization, timeout=DEADLINE_S
                )
            answer.raise_for_status()
            found = [one for one in bounded_json.loads(answer.content) if isinstance(one, dict)]
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, ValueError, TypeError) as error:
            return [], {"url": url, "problem": kind_and_reason_of(error)}
        return found, {"url": url, "problem": None}
