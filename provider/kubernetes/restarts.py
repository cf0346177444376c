"""Whether a container was restarted because the kubelet stopped it: a pod's status says only how its last run ended,
which for a server that was asked to stop is ``0``. The kubelet's own Events tell, and are asked for once a restart.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import structlog

from springtide.provider.kubernetes.views import LastRun, PodView, instant_of
from springtide.runtime.errors import SpringtideError
from springtide.runtime.kubernetes.api import KubernetesApi, Where
from springtide.runtime.kubernetes.resources import CORE_EVENTS
from springtide.scaler.core.vocabulary import FunctionRef

MAX_AT_ONCE = 4
MAX_REMEMBERED = 2_000
SLACK_S = 2.0
"""Both sides count whole seconds."""

KILLED = {
    "failed liveness probe": "was stopped because its liveness probe failed",
    "failed startup probe": "was stopped because its startup probe failed",
}
"""What the kubelet says in an Event, and what we say."""

log = structlog.get_logger(__name__)


class Restarts:
    """``changed`` hears, later, of a function about one of whose pods something became known."""

    def __init__(self, api: KubernetesApi, *, changed: Callable[[FunctionRef], None]) -> None:
        self._api, self._changed = api, changed
        self._known: dict[tuple[str, int], str | None] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._slots = asyncio.Semaphore(MAX_AT_ONCE)

    def __repr__(self) -> str:
        return f"<Restarts {len(self._known)} known, {len(self._tasks)} asked about>"

    def why(self, pod: PodView) -> str | None:
        """What the kubelet did to its last run; None when it ended by itself, or that is not known yet."""
        if pod.last_run is None or pod.last_run.out_of_memory:
            return None
        key = (pod.uid, pod.restarts)
        if key not in self._known:
            if len(self._known) >= MAX_REMEMBERED:
                del self._known[next(iter(self._known))]
            self._known[key] = None
            task = asyncio.create_task(self._ask(pod, pod.last_run), name=f"why {pod.name} was restarted")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return self._known[key]

    async def aclose(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _ask(self, pod: PodView, run: LastRun) -> None:
        where = Where(pod.ref.namespace, fields=f"involvedObject.uid={pod.uid},reason=Killing")
        try:
            async with self._slots:
                events = await self._api.list(CORE_EVENTS, where)
        except SpringtideError as error:
            log.info("not known why a container was restarted", pod=pod.name, function=str(pod.ref), why=str(error))
            return
        told = next((words for event in events.items if (words := _killed(event, run))), None)
        if told is not None and (pod.uid, pod.restarts) in self._known:
            self._known[pod.uid, pod.restarts] = told
            self._changed(pod.ref)


def _killed(event: Mapping[str, Any], run: LastRun) -> str | None:
    """What an Event says about that run."""
    last = (event.get("series") or {}).get("lastObservedTime") or event.get("lastTimestamp") or event.get("eventTime")
    at, message = instant_of(last), str(event.get("message", ""))
    if at is None or not run.began_at - SLACK_S <= at <= run.ended_at + SLACK_S:
        return None
    return next((words for said, words in KILLED.items() if said in message), None)
