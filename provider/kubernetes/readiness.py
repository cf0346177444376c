"""Asking pods directly whether they answer, because a kubelet looks only once in each period of its probe.

Only pods of functions that nobody serves are asked, each from the moment it has an address until it answers, is ready
or is gone, and never for longer than a bound. The more pods are asked, the longer the pause of each: all together
cost at most ``MAX_PER_S`` small requests a second, and ``MAX_IN_FLIGHT`` are under way at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import structlog

from springtide.provider.kubernetes.asked import ask
from springtide.provider.kubernetes.pods import Pod
from springtide.scaler.core.ports import Clock
from springtide.scaler.core.vocabulary import FunctionRef

READY_PATH, HEALTH_PATH = "/_/ready", "/_/health"
MAX_PER_S, MAX_IN_FLIGHT = 1_000, 64

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Question:
    """Where a pod is asked. ``paths``: the next one when a pod does not know the one before."""

    pod: Pod
    port: int
    paths: tuple[str, ...] = (READY_PATH, HEALTH_PATH)


class Asking:
    """Every pod is asked in one go only, and not again for as long as it stays in question."""

    def __init__(self, *, clock: Clock, pause_s: float, most_s: float) -> None:
        self._clock = clock
        self._pause_s, self._most_s = pause_s, most_s
        self._tasks: dict[FunctionRef, dict[str, asyncio.Task[None]]] = {}
        """By the pod's uid; done ones stay, so that a pod which never answers is not asked for ever."""
        self._refusals: dict[str, str] = {}
        """What a pod that takes no calls answered last, by its uid."""
        self._under_way = 0
        self._slots = asyncio.Semaphore(MAX_IN_FLIGHT)

    def __repr__(self) -> str:
        return f"<Asking {self._under_way} pods>"

    def about(self, ref: FunctionRef, questions: Iterable[Question], answered: Callable[[Pod], None]) -> None:
        """These pods of the function are in question now, and no others; ``answered`` is told of each that says 200."""
        open_questions = {question.pod.uid: question for question in questions}
        tasks = self._tasks.pop(ref, {})
        for uid in tasks.keys() - open_questions.keys():
            tasks.pop(uid).cancel()
            self._refusals.pop(uid, None)
        for uid, question in open_questions.items():
            if uid not in tasks:
                tasks[uid] = asyncio.create_task(self._ask(question, answered), name=f"ask {question.pod.name}")
        if tasks:
            self._tasks[ref] = tasks

    def refusal(self, pod: Pod) -> str | None:
        """What it answered last, when that was that it takes no calls."""
        return self._refusals.get(pod.uid)

    async def aclose(self) -> None:
        tasks = [task for asked in self._tasks.values() for task in asked.values()]
        self._tasks.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _ask(self, question: Question, answered: Callable[[Pod], None]) -> None:
        pod, paths, until = question.pod, list(question.paths), self._clock.now() + self._most_s
        self._under_way += 1
        try:
            while paths and self._clock.now() < until:
                async with self._slots:
                    answer = await ask(pod.ip, question.port, paths[0])
                if answer is not None and answer.status == 200:
                    answered(pod)
                    return
                if answer is not None and answer.status == 404:
                    paths.pop(0)
                else:
                    if answer is not None:
                        self._refusals[pod.uid] = f"it answers {paths[0]} with {answer.status}"
                    await asyncio.sleep(max(self._pause_s, self._under_way / MAX_PER_S))
        finally:
            self._under_way -= 1
        log.info("a pod is left to its own readiness probe", pod=pod.name, function=str(pod.ref))
