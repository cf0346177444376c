"""The idle rule's measurements straight from the gateways: as fresh as can be, for the look before a write."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime

import httpx
from prometheus_client.parser import text_string_to_metric_families

from springtide.runtime.dns import all_resolved_urls
from springtide.runtime.errors import Unavailable
from springtide.runtime.tls import client_context
from springtide.scaler.core import catalogue
from springtide.scaler.core.idle import Activity
from springtide.scaler.core.vocabulary import FunctionRef, Instant, NoData, Sample
from springtide.scaler.sources import readings
from springtide.wire import metrics_endpoint

MAX_SKEW_S = 10.0

_SAMPLES = (catalogue.IN_FLIGHT.name, catalogue.LAST_ACTIVE.name)
_WANTED = tuple(name.encode() for name in _SAMPLES)


@dataclass(frozen=True, slots=True)
class Scrape:
    """What one gateway says: values by metric label."""

    in_flight: dict[str, float] = field(default_factory=dict)
    last_active: dict[str, float] = field(default_factory=dict)


class GatewayActivity:
    """Implements ActivitySource over every gateway there is; one that does not answer makes everything unknown.

    A name that has several addresses stands for as many gateways.
    """

    def __init__(self, urls: Sequence[str], *, deadline_s: float = 2.0) -> None:
        self._urls = tuple(urls)
        self._deadline_s = deadline_s
        self._http = httpx.AsyncClient(
            timeout=deadline_s, trust_env=False, verify=client_context(), headers={"User-Agent": "springtide"}
        )

    def __repr__(self) -> str:
        return f"<GatewayActivity {' '.join(self._urls)}>"

    async def aclose(self) -> None:
        await self._http.aclose()

    async def activity(self, refs: Sequence[FunctionRef], now: Instant) -> dict[FunctionRef, Activity]:
        if not self._urls:
            return readings.unknown_all(refs, "no gateway is configured")
        try:
            urls = await all_resolved_urls(self._urls, deadline_s=self._deadline_s)
        except Unavailable as error:
            return readings.unknown_all(refs, f"a gateway cannot be asked: {error}")
        answers = await asyncio.gather(*(self._scrape(url, now) for url in urls), return_exceptions=True)
        scrapes: list[Scrape] = []
        for answer in answers:
            if isinstance(answer, Unavailable):
                return readings.unknown_all(refs, str(answer))
            if isinstance(answer, BaseException):
                raise answer
            scrapes.append(answer)
        return readings.activities(
            refs,
            {str(ref): _in_flight(scrapes, str(ref), now) for ref in refs},
            {str(ref): _last_active(scrapes, str(ref), now) for ref in refs},
        )

    async def _scrape(self, url: str, now: Instant) -> Scrape:
        try:
            exposition = await metrics_endpoint.fetch(self._http, url, samples=_SAMPLES, deadline_s=self._deadline_s)
            self._check_clock(url, exposition.date, now)
            return parse(exposition.body)
        except Unavailable as error:
            raise Unavailable(f"gateway {error}") from error
        except ValueError as error:
            raise Unavailable(f"gateway {url}: not metrics: {error}") from error

    def _check_clock(self, url: str, date: str | None, now: Instant) -> None:
        """``last_active`` is an instant of the gateway's clock; compared with ours, it must be the same time."""
        if date is None:
            return
        skew_s = parsedate_to_datetime(date).timestamp() - now
        if abs(skew_s) > MAX_SKEW_S + self._deadline_s:
            raise Unavailable(f"{url} has a clock that differs from ours by {skew_s:+.0f} s")


def parse(text: bytes) -> Scrape:
    """The two signals in a text exposition. Other families are skipped unparsed: there can be very many."""
    lines = [line for line in text.split(b"\n") if line.startswith(_WANTED)]
    scrape = Scrape()
    by_name = {catalogue.IN_FLIGHT.name: scrape.in_flight, catalogue.LAST_ACTIVE.name: scrape.last_active}
    for family in text_string_to_metric_families(b"\n".join(lines).decode() + "\n"):
        values = by_name.get(family.name)
        if values is not None:
            values.update((sample.labels.get("function_name", ""), sample.value) for sample in family.samples)
    return scrape


def _in_flight(scrapes: Sequence[Scrape], name: str, now: Instant) -> Sample | NoData:
    """The sum over all gateways; one that does not list the function may be just about to serve it."""
    values = [scrape.in_flight.get(name) for scrape in scrapes]
    known = [value for value in values if value is not None]
    return readings.in_flight(sum(known) if len(known) == len(values) else None, now)


def _last_active(scrapes: Sequence[Scrape], name: str, now: Instant) -> Sample | NoData:
    """The latest over all gateways."""
    values = [scrape.last_active.get(name) for scrape in scrapes]
    known = [value for value in values if value is not None]
    if any(value != value for value in known):  # noqa: PLR0124 - NaN, which max() would lose or keep by position
        return NoData("the value is not a number (nan)")
    return readings.last_active(max(known) if len(known) == len(values) else None, now)
