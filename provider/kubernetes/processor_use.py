"""Processor time of every function, as the cluster's metrics server has it: rates, each as old as its last scrape."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from springtide.provider.kubernetes.cluster import Cluster
from springtide.provider.kubernetes.inventory import OF_FUNCTIONS, Inventory
from springtide.provider.kubernetes.views import DeploymentView, PodView, instant_of
from springtide.runtime.errors import SpringtideError
from springtide.runtime.kubernetes.api import Json, KubernetesApi, Where
from springtide.runtime.kubernetes.resources import POD_METRICS
from springtide.runtime.quantities import parse
from springtide.scaler.core.vocabulary import FunctionRef, Instant, NoData
from springtide.wire.processor_use import CpuRate, ProcessorUse

MAX_AT_ONCE = 8
"""Namespaces that are asked about at once."""


@dataclass(frozen=True, slots=True)
class PodUse:
    """What one pod used, over some seconds that ended ``at`` an instant."""

    millicores: float
    at: Instant


async def processor_use(api: KubernetesApi, cluster: Cluster, now: Instant) -> dict[FunctionRef, ProcessorUse]:
    """Of every function; ``now`` is when one that has no pods, and wants none, used nothing."""
    at_once = asyncio.Semaphore(MAX_AT_ONCE)

    async def of(inventory: Inventory) -> dict[FunctionRef, ProcessorUse]:
        async with at_once:
            return await _of_namespace(api, inventory, now)

    found = await asyncio.gather(*(of(inventory) for inventory in cluster))
    return {ref: use for uses in found for ref, use in uses.items()}


async def _of_namespace(api: KubernetesApi, inventory: Inventory, now: Instant) -> dict[FunctionRef, ProcessorUse]:
    functions = list(inventory.functions())
    if not functions:
        return {}
    try:
        listing = await api.list(POD_METRICS, Where(inventory.namespace, labels=OF_FUNCTIONS.labels))
    except SpringtideError as error:
        unknown = NoData(f"the cluster's metrics server (metrics.k8s.io) cannot be asked: {error}")
        return {function.ref: unknown for function in functions}
    measured = pod_uses(listing.items)
    return {
        function.ref: function_use(function, inventory.pods(function.ref.name).values(), measured, now)
        for function in functions
    }


def pod_uses(items: Sequence[Json]) -> dict[str, PodUse]:
    """By pod. One whose numbers make no sense, or has no container yet, is not measured."""
    uses = {}
    for item in items:
        try:
            used = [parse(container["usage"]["cpu"]) for container in item["containers"]]
            at = instant_of(item["timestamp"])
            if used and at is not None:
                uses[item["metadata"]["name"]] = PodUse(float(sum(used)) * 1000, at)
        except (KeyError, TypeError, ValueError):
            continue
    return uses


def function_use(
    function: DeploymentView, pods: Iterable[PodView], measured: Mapping[str, PodUse], now: Instant
) -> ProcessorUse:
    """The sum over its pods, as old as the oldest of them.

    A pod that takes calls and is not measured yet makes the sum unknown: without it the function would seem to need
    fewer replicas right after it grew.
    """
    pods = list(pods)
    serving = [pod.name for pod in pods if pod.ready and not pod.terminating]
    unmeasured = [name for name in serving if name not in measured]
    if unmeasured:
        return NoData(f"{len(unmeasured)} of {len(serving)} ready pods are not measured yet by the metrics server")
    known = [measured[pod.name] for pod in pods if pod.name in measured]
    if known:
        return CpuRate(sum(use.millicores for use in known), min(use.at for use in known))
    if function.desired == 0:
        return CpuRate(0.0, now)
    return NoData("none of its pods is ready and measured yet")
