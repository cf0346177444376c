"""When functions were busy, asked of every gateway there is: of all of them, or nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import httpx

from springtide.runtime.dns import all_resolved_urls
from springtide.runtime.errors import Unavailable, reason_of
from springtide.runtime.tls import client_context
from springtide.wire import busy_periods
from springtide.wire.busy_periods import MAX_BYTES, BusyReport

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
        try:
            async with asyncio.timeout(self._deadline_s), self._http.stream("GET", asked) as answer:
                if answer.status_code != 200:
                    raise Unavailable(f"{url} answered {answer.status_code}")
                body = bytearray()
                async for chunk in answer.aiter_bytes():
                    body += chunk
                    if len(body) > MAX_BYTES:
                        raise Unavailable(f"{url} answered more than {MAX_BYTES} bytes")
        except (TimeoutError, httpx.TimeoutException) as error:
            raise Unavailable(f"{url} did not answer within {self._deadline_s:g} s") from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise Unavailable(f"{url} cannot be reached: {reason_of(error)}") from error
        told = busy_periods.decode(bytes(body))
        if abs(told.at - now) > MAX_SKEW_S + self._deadline_s:
            raise Unavailable(f"the clock of {url} differs from ours by {told.at - now:+.0f} s")
        return told
