"""How busy a function's pods are: calls in flight, processor time and memory."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable

from springtide.provider.kubernetes.manifests import keys
from springtide.provider.kubernetes.manifests.keys import PORT
from springtide.provider.kubernetes.views import PodView
from springtide.provider.spec import Usage
from springtide.provider.watchdog_endpoints import READY_PATH, in_flight
from springtide.runtime.errors import SpringtideError
from springtide.runtime.http_probe import probe
from springtide.runtime.kubernetes.api import KubernetesApi, Where
from springtide.runtime.kubernetes.resources import POD_METRICS
from springtide.runtime.quantities import parse
from springtide.scaler.core.vocabulary import FunctionRef

METRICS_PORT, METRICS_PATH = 8081, "/metrics"
"""Of stock watchdogs."""
PROBE_S = 0.5
MAX_AT_ONCE = 50
_IN_FLIGHT = re.compile(rb"^http_requests_in_flight(?:\{[^}]*\})? ([0-9.e+]+)$", re.MULTILINE)


async def calls_in_flight(pods: Iterable[PodView]) -> dict[str, float]:
    """By pod, as its watchdog tells; pods that do not answer in time are left out."""
    at_once = asyncio.Semaphore(MAX_AT_ONCE)

    async def calls_of(pod: PodView) -> tuple[str, float | None]:
        async with at_once:
            own, metrics = await asyncio.gather(
                probe(pod.ip, PORT, READY_PATH, connect_s=PROBE_S, answer_s=PROBE_S),
                probe(pod.ip, METRICS_PORT, METRICS_PATH, connect_s=PROBE_S, answer_s=PROBE_S),
            )
        if own is not None and (calls := in_flight(own)) is not None:  # Our own watchdog.
            return pod.name, calls
        return pod.name, None if metrics is None else _calls_in(metrics.body)

    answers = await asyncio.gather(*(calls_of(pod) for pod in pods if pod.ip and pod.ready))
    return {name: calls for name, calls in answers if calls is not None}


async def usage_of(api: KubernetesApi, ref: FunctionRef) -> Usage | None:
    """From the cluster's metrics server; None where there is none, or nothing is measured yet."""
    try:
        listing = await api.list(POD_METRICS, Where(ref.namespace, labels=f"{keys.FUNCTION}={ref.name}"))
    except SpringtideError:
        return None
    used = [container.get("usage") or {} for pod in listing.items for container in pod.get("containers") or ()]
    if not used:
        return None
    try:
        cpu = sum(parse(item["cpu"]) for item in used) * 1000
        return Usage(float(cpu), float(sum(parse(item["memory"]) for item in used)))
    except (KeyError, ValueError):
        return None


def _calls_in(exposition: bytes) -> float | None:
    found = _IN_FLIGHT.search(exposition)
    return float(found[1]) if found is not None else None
