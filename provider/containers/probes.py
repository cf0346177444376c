"""How a container is asked whether it takes calls, and whether it is alive."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from springtide.provider import annotation_table
from springtide.provider.annotation_table import HEALTH, READY
from springtide.provider.probe_annotations import ProbeReader
from springtide.provider.watchdog_endpoints import HEALTH_PATH, READY_PATH, in_flight
from springtide.runtime import http_probe

PORT = 8080
"""Where every function of OpenFaaS's listens."""
FULL = 429
"""All its places are taken: as ready as it gets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Probes:
    """Times in seconds; 0 is what the provider's settings say. ``ready_path`` empty: the watchdogs' own paths."""

    ready_path: str = ""
    health_path: str = HEALTH_PATH
    delay_s: int = 0
    """Before it is asked for the first time whether it is alive."""
    period_s: int = 0
    timeout_s: int = 0
    failures: int = 0
    """In a row, after which it is replaced."""


@dataclass(frozen=True, slots=True)
class ProbeAnswer:
    """``alive`` None: it did not answer in time."""

    ready: bool
    alive: bool | None
    in_flight: int | None = None
    """None where its watchdog does not say."""
    said: str = ""
    """Why it is not ready, as far as it tells."""


def probes_of(annotations: Mapping[str, str]) -> Probes:
    """Of values that were checked when they were deployed. The path of health is that of readiness, if it has none."""
    ready, health = ProbeReader(annotations, READY), ProbeReader(annotations, HEALTH)
    path = annotation_table.path
    own = health.get("path", path, "")
    return Probes(
        ready_path=ready.get("path", path, own),
        health_path=own or HEALTH_PATH,
        delay_s=health.time("initialDelay", 0),
        period_s=health.time("period", 0, least=1),
        timeout_s=health.time("timeout", 0, least=1),
        failures=health.get("failureThreshold", annotation_table.threshold, 0),
    )


async def ask(probes: Probes, address: str, *, deadline_s: float) -> ProbeAnswer:
    """Never raises for what it does or does not do."""
    if not address:
        return ProbeAnswer(ready=False, alive=None, said="it has no address")
    try:
        async with asyncio.timeout(deadline_s):
            return await _asked(probes, address)
    except (OSError, TimeoutError):
        return ProbeAnswer(ready=False, alive=None)


async def _asked(probes: Probes, address: str) -> ProbeAnswer:
    path = probes.ready_path or READY_PATH
    answer = await http_probe.fetch(address, PORT, path)
    if answer is not None and answer.status == 404 and not probes.ready_path:
        path = HEALTH_PATH
        answer = await http_probe.fetch(address, PORT, path)
    if answer is None:
        return ProbeAnswer(ready=False, alive=None, said="what it answers is no HTTP")
    if 200 <= answer.status < 300 or answer.status == FULL:
        return ProbeAnswer(ready=True, alive=True, in_flight=in_flight(answer))
    said = f"it answers {path} with {answer.status}"
    if path != probes.health_path:
        answer = await http_probe.fetch(address, PORT, probes.health_path)
    alive = answer is not None and 200 <= answer.status < 300
    return ProbeAnswer(ready=False, alive=alive, said=said)
