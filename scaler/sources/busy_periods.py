"""When functions were busy, asked of every gateway there is: of all of them, or nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import httpx

from springtide.runtime.dns import all_resolved_urls
from springtide.runtime.errors import Unavailable
from springtide.runtime.tls import client_context
from springtide.wire import busy_periods, metrics_endpoint
from springtide.wire.busy_periods import BusyReport

MAX_SKEW_S = 10.0
"""Instants of clocks that differ by more cannot be put in order."""


class GatewayPeriods:
    """A name that has several addresses stands for as many gateways."""

    def __init__(self, urls: Sequence[str], *, deadline_s: float = 3.0) -> None:
        """``urls`` are those of the gateways' ports for metrics; what follows the port is left out."""
        self._urls = tuple(str(httpx.URL(url).copy_with(path="", query=None)) for url in urls)
        self._deadline_s = deadline_s
        self._http = httpx.AsyncClient(
            timeout=deadline_s, trust_env=False, verify=client_context(), headers={"User-Agent": "springtide"}
        )

    def __repr__(self) -> str:
        return f"<GatewayPeriods {' '.join(self._urls)}>"

    async def aclose(self) -> None:
        await self._http.aclose()

    async def told(self, since: float, now: float) -> Mapping[str, BusyReport]:
        """By address, what ended at ``since`` or later. Raises Unavailable unless every gateway answers."""
        urls = await all_resolved_urls(self._urls, deadline_s=self._deadline_s)
        if not urls:
            raise Unavailable("there is no gateway")
        answers = await asyncio.gather(*(self._ask(url, since, now) for url in urls), return_exceptions=True)
        found: dict[str, BusyReport] = {}
        for url, answer in zip(urls, answers, strict=True):
            if isinstance(answer, BaseException):
                raise answer
            found[url] = answer
        return found

    async def _ask(self, url: str, since: float, now: float) -> BusyReport:
        asked = f"{url.rstrip('/')}{busy_periods.PATH}?since={since:.3f}"
        answer = await metrics_endpoint.read(self._http, url, asked, deadline_s=self._deadline_s)
        told = busy_periods.decode(answer.body)
        if abs(told.at - now) > MAX_SKEW_S + self._deadline_s:
            raise Unavailable(f"the clock of {url} differs from ours by {told.at - now:+.0f} s")
        return told
