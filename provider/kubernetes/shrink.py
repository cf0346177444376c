"""Which pods of a function go when it shrinks, and the mark by which its ReplicaSet agrees."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Mapping, Sequence

import structlog

from springtide.provider.kubernetes.asked import ask
from springtide.provider.kubernetes.manifests.keys import PORT
from springtide.provider.kubernetes.pods import DELETION_COST, Pod
from springtide.provider.kubernetes.readiness import READY_PATH
from springtide.runtime import bounded_json
from springtide.runtime.errors import SpringtideError
from springtide.runtime.kubernetes.api import KubernetesApi
from springtide.runtime.kubernetes.resources import PODS

GOES_FIRST = -1000
"""Lower than the 0 of a pod without the mark."""

METRICS_PORT, METRICS_PATH = 8081, "/metrics"
ASK_S = 0.5
MAX_AT_ONCE = 50
_IN_FLIGHT = re.compile(rb"^http_requests_in_flight(?:\{[^}]*\})? ([0-9.e+]+)$", re.MULTILINE)

log = structlog.get_logger(__name__)


def leaving(pods: Iterable[Pod], keep: int, calls: Mapping[str, float]) -> list[Pod]:
    """The pods to go so that ``keep`` stay: first those not ready, then those marked, the least busy, the newest.

    ``calls`` in flight by pod; one that is not in it counts as busiest, because what is not known is not zero.
    The order agrees with the ReplicaSet controller's, which also takes pods that are not ready before all others.
    """
    staying = [pod for pod in pods if not pod.terminating]

    def order(pod: Pod) -> tuple[bool, int, float, float, str]:
        return pod.ready, pod.deletion_cost, calls.get(pod.name, float("inf")), -pod.created_at, pod.name

    return sorted(staying, key=order)[: max(0, len(staying) - keep)]


async def calls_in_flight(pods: Iterable[Pod]) -> dict[str, float]:
    """By pod, as the watchdogs tell; those that do not answer in time are left out."""
    at_once = asyncio.Semaphore(MAX_AT_ONCE)

    async def asked(pod: Pod) -> tuple[str, float | None]:
        async with at_once:
            own, metrics = await asyncio.gather(
                ask(pod.ip, PORT, READY_PATH, connect_s=ASK_S, answer_s=ASK_S),
                ask(pod.ip, METRICS_PORT, METRICS_PATH, connect_s=ASK_S, answer_s=ASK_S),
            )
        calls = _told(own.body) if own is not None else None
        return pod.name, calls if calls is not None else _measured(metrics.body) if metrics is not None else None

    answers = await asyncio.gather(*(asked(pod) for pod in pods if pod.ip and pod.ready))
    return {name: calls for name, calls in answers if calls is not None}


async def mark(api: KubernetesApi, pods: Sequence[Pod], cost: int | None) -> list[Pod]:
    """Set or remove the deletion cost; the pods where that worked. The others' ReplicaSet chooses by itself."""
    at_once = asyncio.Semaphore(MAX_AT_ONCE)
    patch = {"metadata": {"annotations": {DELETION_COST: None if cost is None else str(cost)}}}

    async def marked(pod: Pod) -> bool:
        try:
            async with at_once:
                await api.merge_patch(PODS, pod.name, patch, namespace=pod.ref.namespace)
        except SpringtideError as error:
            log.warning("a pod's deletion cost was not set", pod=pod.name, function=str(pod.ref), why=str(error))
            return False
        return True

    done = await asyncio.gather(*(marked(pod) for pod in pods))
    return [pod for pod, worked in zip(pods, done, strict=True) if worked]


def _told(body: bytes) -> float | None:
    """What our own watchdog says beside being ready."""
    try:
        return float(bounded_json.loads(body)["inflight"])
    except (ValueError, TypeError, KeyError):
        return None


def _measured(exposition: bytes) -> float | None:
    found = _IN_FLIGHT.search(exposition)
    return float(found[1]) if found is not None else None
