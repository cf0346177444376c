"""The idle rule's measurements from Prometheus: one query per signal, whatever the number of functions.

An instant query carries the time of its evaluation, not of its samples, and answers with samples up to five minutes
old as if they were new. So the real sample times are asked for beside each signal, and so is whether every gateway
can be scraped. That first query has no time of its own: its answer tells Prometheus's clock, which must agree with
ours, and the others are evaluated at exactly that instant.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import httpx

from springtide.runtime.basic_auth import Credentials
from springtide.runtime.errors import Unavailable
from springtide.runtime.tls import client_context
from springtide.scaler.core import catalogue
from springtide.scaler.core.catalogue import Metric
from springtide.scaler.core.idle import Activity
from springtide.scaler.core.vocabulary import FunctionRef, Instant
from springtide.scaler.sources import readings
from springtide.wire.prometheus import PrometheusClient, quoted

MAX_SKEW_S = 10.0
"""Clocks that differ by more make every age wrong; well above what NTP leaves, well below any idle duration."""

_Vector = dict[str, tuple[float, float]]


class PrometheusActivity:
    """Implements ActivitySource. A question that fails is not repeated: the next sweep is the retry."""

    def __init__(
        self,
        url: str,
        *,
        deadline_s: float = 5.0,
        gateway_job: str = "gateway",
        credentials: Credentials | None = None,
    ) -> None:
        # Proxies and .netrc of the environment are not ours to use; entry points alone read the environment.
        self._http = httpx.AsyncClient(trust_env=False, verify=client_context(), headers={"User-Agent": "springtide"})
        self._prometheus = PrometheusClient(self._http, url, deadline_s=deadline_s, credentials=credentials)
        self._deadline_s = deadline_s
        self._gateway_job = gateway_job
        self._gateways: frozenset[str] = frozenset()

    def __repr__(self) -> str:
        return f"<PrometheusActivity {self._prometheus.url} {len(self._gateways)} gateways>"

    async def aclose(self) -> None:
        await self._http.aclose()

    async def activity(self, refs: Sequence[FunctionRef], now: Instant) -> dict[FunctionRef, Activity]:
        try:
            async with asyncio.timeout(self._deadline_s):
                at = await self._healthy_at(now)
                return await self._measured(refs, at)
        except Unavailable as error:
            return readings.unknown_all(refs, str(error))
        except TimeoutError:
            return readings.unknown_all(refs, f"Prometheus did not answer within {self._deadline_s:g} s")

    async def _healthy_at(self, now: Instant) -> float:
        """Prometheus's own time, once it is sure that every gateway it knows, or knew last time, is measured."""
        up = await self._query(f"min by (instance) (up{{job={quoted(self._gateway_job)}}})", label="instance", at=None)
        gateways = frozenset(up)
        gone, self._gateways = self._gateways - gateways, gateways
        if not up:
            raise Unavailable(f"Prometheus scrapes no gateway (no up for job {self._gateway_job!r})")
        at = max(evaluated for _, evaluated in up.values())
        if abs(at - now) > MAX_SKEW_S + self._deadline_s:
            raise Unavailable(f"the clock of Prometheus differs from ours by {at - now:+.0f} s")
        down = sorted(instance for instance, (value, _) in up.items() if value != 1)
        if down:
            raise Unavailable(f"a gateway cannot be scraped: {', '.join(down)}")
        if gone:
            # Also how a Prometheus that lost its data shows: it does not know every gateway again yet.
            raise Unavailable(f"a gateway is no longer scraped: {', '.join(sorted(gone))}")
        return at

    async def _measured(self, refs: Sequence[FunctionRef], at: float) -> dict[FunctionRef, Activity]:
        calls, actives = await asyncio.gather(
            self._signal(catalogue.IN_FLIGHT, "sum", at), self._signal(catalogue.LAST_ACTIVE, "max", at)
        )
        return readings.activities(
            refs,
            {name: readings.in_flight(value, measured_at) for name, (value, measured_at) in calls.items()},
            {name: readings.last_active(value, measured_at) for name, (value, measured_at) in actives.items()},
        )

    async def _signal(self, metric: Metric, aggregate: str, at: float) -> dict[str, tuple[float, float | None]]:
        """By function: the value over all gateways, and when the oldest of its samples was taken."""
        values, times = await asyncio.gather(
            self._query(f"{aggregate} by (function_name) ({metric.name})", label="function_name", at=at),
            self._query(f"min by (function_name) (timestamp({metric.name}))", label="function_name", at=at),
        )
        return {name: (value, times[name][0] if name in times else None) for name, (value, _) in values.items()}

    async def _query(self, query: str, *, label: str, at: float | None) -> _Vector:
        """Value and evaluation time by the value of ``label``."""
        samples = await self._prometheus.vector(query, at=at)
        return {sample.labels.get(label, ""): (sample.value, sample.at) for sample in samples}
