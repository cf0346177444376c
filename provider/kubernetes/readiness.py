"""Probes starting pods directly for whether they answer, because a kubelet looks only once in each period of its probe.

Only pods of functions that nobody serves are probed, each from the moment it has an address until it answers, is ready
or is gone, and never for longer than a bound. The more pods are probed, the longer the pause of each: all together
cost at most ``MAX_PER_S`` small requests a second, and ``MAX_IN_FLIGHT`` are under way at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import structlog

from springtide.provider.kubernetes.views import PodView
from springtide.provider.watchdog_endpoints import HEALTH_PATH, READY_PATH
from springtide.runtime.http_probe import probe
from springtide.scaler.core.ports import Clock
from springtide.scaler.core.vocabulary import FunctionRef

MAX_PER_S, MAX_IN_FLIGHT = 1_000, 64
OWN_PATH = "one that is asked at another path names it in the annotation com.openfaas.ready.http.path"

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ProbeTarget:
    """Where a pod is probed: at the first of ``paths`` that it knows."""

    pod: PodView
    port: int
    paths: tuple[str, ...] = (READY_PATH, HEALTH_PATH)


class ReadinessProber:
    """Probes a pod in one go only, and not again for as long as it stays a target."""

    def __init__(self, *, clock: Clock, pause_s: float, most_s: float) -> None:
        self._clock = clock
        self._pause_s, self._most_s = pause_s, most_s
        self._tasks: dict[FunctionRef, dict[str, asyncio.Task[None]]] = {}
        """By the pod's uid; done ones stay, so that a pod which never answers is not probed for ever."""
        self._refusals: dict[str, str] = {}
        """What a pod that takes no calls answered last, by its uid."""
        self._under_way = 0
        self._slots = asyncio.Semaphore(MAX_IN_FLIGHT)

    def __repr__(self) -> str:
        return f"<ReadinessProber {self._under_way} pods>"

    def probe(self, ref: FunctionRef, targets: Iterable[ProbeTarget], answered: Callable[[PodView], None]) -> None:
        """Probe these pods of the function from now on and no others; ``answered`` is called for each that says 200."""
        by_uid = {target.pod.uid: target for target in targets}
        tasks = self._tasks.pop(ref, {})
        for uid in tasks.keys() - by_uid.keys():
            tasks.pop(uid).cancel()
            self._refusals.pop(uid, None)
        for uid, target in by_uid.items():
            if uid not in tasks:
                tasks[uid] = asyncio.create_task(self._probe(target, answered), name=f"probe {target.pod.name}")
        if tasks:
            self._tasks[ref] = tasks

    def refusal(self, pod: PodView) -> str | None:
        """What it answered last, when that was that it takes no calls."""
        return self._refusals.get(pod.uid)

    async def aclose(self) -> None:
        tasks = [task for of_function in self._tasks.values() for task in of_function.values()]
        self._tasks.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _probe(self, target: ProbeTarget, answered: Callable[[PodView], None]) -> None:
        pod, paths, until = target.pod, list(target.paths), self._clock.now() + self._most_s
        self._under_way += 1
        try:
            while paths and self._clock.now() < until:
                async with self._slots:
                    answer = await probe(pod.ip, target.port, paths[0])
                if answer is not None and answer.status == 200:
                    answered(pod)
                    return
                if answer is not None and answer.status == 404:
                    unknown = paths.pop(0)
                    if not paths:
                        self._refusals[pod.uid] = f"it answers {unknown} with 404; {OWN_PATH}"
                else:
                    if answer is not None:
                        self._refusals[pod.uid] = f"it answers {paths[0]} with {answer.status}"
                    await asyncio.sleep(max(self._pause_s, self._under_way / MAX_PER_S))
        finally:
            self._under_way -= 1
        log.info("a pod is left to its own readiness probe", pod=pod.name, function=str(pod.ref))
