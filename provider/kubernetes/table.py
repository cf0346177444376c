"""The endpoint table that gateways follow, kept right as functions, pods and slices change.

Two things are known here before Kubernetes says them: a starting pod that answered us (``early``), and a pod that is
about to go (``withdrawn``). Both are beliefs with an end: Kubernetes' word replaces them, or time does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from springtide.provider.endpoint_feed import EndpointFeed
from springtide.provider.kubernetes.deployed import Deployed
from springtide.provider.kubernetes.endpoints import Slice, taking_calls
from springtide.provider.kubernetes.manifests.keys import PORT
from springtide.provider.kubernetes.pods import Pod, how_it_ended
from springtide.provider.kubernetes.readiness import Asking, Question
from springtide.scaler.core.ports import Clock
from springtide.scaler.core.vocabulary import FunctionRef
from springtide.wire.endpoint_stream import Endpoint, FunctionEndpoints

log = structlog.get_logger(__name__)

WITHDRAWN_MOST_S = 30.0
"""A pod that still is not going then stays, and takes calls again."""

STARTING_S = 10.0
"""For that long a pod may run without being ready before that is worth a word."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """``early_s``: how long a pod that answers us may lack Kubernetes' own readiness. ``unschedulable_s``: how long one
    may wait for a node before callers are sent away."""

    early_s: float
    unschedulable_s: float


class Known(Protocol):
    """What the caches have of a function."""

    def function(self, ref: FunctionRef) -> Deployed | None: ...

    def pods(self, ref: FunctionRef) -> Mapping[str, Pod]: ...

    def slices(self, ref: FunctionRef) -> Iterable[Slice]: ...

    def cluster_address(self, ref: FunctionRef) -> str:
        """Of its Service, where calls are to go there; else empty."""


@dataclass(slots=True)
class _Beliefs:
    """By pod name, and when each ends on its own."""

    early: dict[str, asyncio.TimerHandle] = field(default_factory=dict)
    withdrawn: dict[str, asyncio.TimerHandle] = field(default_factory=dict)
    given_up: set[str] = field(default_factory=set)
    """Were early for too long; only Kubernetes' word counts for them."""

    def drop(self, which: dict[str, asyncio.TimerHandle], names: Iterable[str]) -> None:
        for name in list(names):
            timer = which.pop(name, None)
            if timer is not None:
                timer.cancel()


class Table:
    """Publishes each function anew whenever something about it changed."""

    def __init__(
        self,
        known: Known,
        feed: EndpointFeed,
        *,
        asking: Asking | None,
        stopped: Callable[[Pod], str | None],
        clock: Clock,
        patience: Patience,
    ) -> None:
        """``asking`` None: only Kubernetes' readiness counts. ``stopped``: what the kubelet did to a pod's last run."""
        self._known, self._feed, self._asking, self._stopped = known, feed, asking, stopped
        self._clock, self._patience = clock, patience
        self._late: dict[FunctionRef, asyncio.TimerHandle] = {}
        self._beliefs: dict[FunctionRef, _Beliefs] = {}

    def __repr__(self) -> str:
        return f"<Table {self._feed!r}, beliefs about {len(self._beliefs)} functions>"

    def close(self) -> None:
        for ref in {*self._beliefs, *self._late}:
            self._forget(ref)

    def endpoints(self, ref: FunctionRef) -> tuple[Endpoint, ...]:
        """The pods that take calls now."""
        deployed = self._known.function(ref)
        if deployed is None or deployed.desired == 0:
            return ()  # One that goes to sleep is sent nothing new, whatever its pods say.
        beliefs = self._beliefs.get(ref) or _Beliefs()
        return taking_calls(
            self._known.slices(ref), self._known.pods(ref), early=beliefs.early, withdrawn=beliefs.withdrawn
        )

    def changed(self, ref: FunctionRef) -> None:
        deployed = self._known.function(ref)
        if deployed is None:
            self._forget(ref)
            self._feed.remove(ref)
            return
        self._look_again(ref)
        self._settle(ref)
        endpoints = self.endpoints(ref)
        lacking = deployed.desired and not endpoints
        self._feed.publish(
            FunctionEndpoints(
                ref=ref,
                replicas=deployed.desired,
                version=deployed.version,
                endpoints=self._sent_to(ref, endpoints),
                labels=deployed.labels,
                problem=self.problem(ref) if lacking else None,
                delay=self.delay(ref) if lacking else None,
                annotations=deployed.spec.annotations,
            )
        )
        self._ask(deployed, nobody_answers=not endpoints)

    def problem(self, ref: FunctionRef) -> str | None:
        """Why no pod of it starts, where waiting is of no use."""
        deployed, now = self._known.function(ref), self._clock.wall()
        staying = self._staying(ref)
        for pod in staying:
            if pod.crashing and (ended := how_it_ended(pod, self._stopped(pod))):
                return ended
            if pod.problem:
                return pod.problem
        if deployed is not None and deployed.problem:
            return deployed.problem
        due = self._patience.unschedulable_s
        return next((pod.unschedulable for pod in staying if pod.unschedulable and now - pod.created_at >= due), None)

    def delay(self, ref: FunctionRef) -> str | None:
        """Why its pods take long, where they may come yet."""
        now = self._clock.wall()
        for pod in self._staying(ref):
            if pod.unschedulable:
                return pod.unschedulable
            if pod.ready or not pod.running or now - pod.created_at < STARTING_S:
                continue
            refusal = self._asking.refusal(pod) if self._asking is not None else None
            ended = how_it_ended(pod, self._stopped(pod))
            return "; ".join(filter(None, (refusal or "it runs, but its readiness probe does not succeed", ended)))
        return None

    def answered(self, pod: Pod) -> None:
        """It takes calls, whatever Kubernetes says as yet."""
        early = self._beliefs.setdefault(pod.ref, _Beliefs()).early
        if pod.name not in early:
            loop = asyncio.get_running_loop()
            early[pod.name] = loop.call_later(self._patience.early_s, self._end_early, pod.ref, pod.name)
            self.changed(pod.ref)

    def withdraw(self, ref: FunctionRef, names: Iterable[str]) -> None:
        """These pods are about to go."""
        withdrawn = self._beliefs.setdefault(ref, _Beliefs()).withdrawn
        loop = asyncio.get_running_loop()
        for name in names:
            if name not in withdrawn:
                withdrawn[name] = loop.call_later(WITHDRAWN_MOST_S, self._end_withdrawn, ref, name)
        self.changed(ref)

    def restore(self, ref: FunctionRef) -> None:
        """Those withdrawn stay after all."""
        beliefs = self._beliefs.get(ref)
        if beliefs is not None and beliefs.withdrawn:
            beliefs.drop(beliefs.withdrawn, beliefs.withdrawn)
            self.changed(ref)

    # Inside.

    def _staying(self, ref: FunctionRef) -> list[Pod]:
        return [pod for pod in self._known.pods(ref).values() if not pod.terminating]

    def _look_again(self, ref: FunctionRef) -> None:
        """When a pod that is not ready becomes late: nobody tells that."""
        timer, now = self._late.pop(ref, None), self._clock.wall()
        if timer is not None:
            timer.cancel()
        waits = [
            pod.created_at + wait_s - now
            for pod in self._staying(ref)
            if not pod.ready
            for wait_s in (STARTING_S, self._patience.unschedulable_s)
        ]
        if coming := [wait_s for wait_s in waits if wait_s > 0]:
            self._late[ref] = asyncio.get_running_loop().call_later(min(coming) + 0.01, self.changed, ref)

    def _sent_to(self, ref: FunctionRef, endpoints: tuple[Endpoint, ...]) -> tuple[Endpoint, ...]:
        """The pods themselves, or their Service, once at least one takes calls."""
        address = self._known.cluster_address(ref)
        return (Endpoint("service", address, PORT),) if address and endpoints else endpoints

    def _settle(self, ref: FunctionRef) -> None:
        """Where Kubernetes has spoken, what we believed ends."""
        beliefs = self._beliefs.get(ref)
        if beliefs is None:
            return
        pods = self._known.pods(ref)
        gone = [name for name in (*beliefs.early, *beliefs.withdrawn) if name not in pods or pods[name].terminating]
        ready = [address.pod for each in self._known.slices(ref) for address in each.addresses if address.ready]
        beliefs.drop(beliefs.early, (*gone, *ready))
        beliefs.drop(beliefs.withdrawn, gone)
        beliefs.given_up &= pods.keys() - set(ready)
        if not beliefs.early and not beliefs.withdrawn and not beliefs.given_up:
            del self._beliefs[ref]

    def _ask(self, deployed: Deployed, *, nobody_answers: bool) -> None:
        """Starting pods are asked whether they answer, while nobody else does."""
        if self._asking is None:
            return
        beliefs = self._beliefs.get(deployed.ref) or _Beliefs()
        settled = beliefs.withdrawn.keys() | beliefs.given_up
        pods = self._known.pods(deployed.ref).values() if deployed.desired and nobody_answers else ()
        waiting = [pod for pod in pods if pod.ip and not pod.terminating and pod.name not in settled]
        questions = [Question(pod, PORT, deployed.ready_paths) for pod in waiting if not pod.ready]
        self._asking.about(deployed.ref, questions, self.answered)
        for pod in waiting:
            if pod.ready:
                self.answered(pod)  # Its slice is about to say so, too.

    def _end_early(self, ref: FunctionRef, name: str) -> None:
        """It answers us but not Kubernetes, which must have a reason: it is not asked again."""
        beliefs = self._beliefs[ref]
        beliefs.drop(beliefs.early, [name])
        beliefs.given_up.add(name)
        log.warning("a pod that answers is not ready for Kubernetes", pod=name, function=str(ref))
        self.changed(ref)

    def _end_withdrawn(self, ref: FunctionRef, name: str) -> None:
        beliefs = self._beliefs[ref]
        beliefs.drop(beliefs.withdrawn, [name])
        self.changed(ref)

    def _forget(self, ref: FunctionRef) -> None:
        timer = self._late.pop(ref, None)
        if timer is not None:
            timer.cancel()
        beliefs = self._beliefs.pop(ref, None)
        if beliefs is not None:
            beliefs.drop(beliefs.early, beliefs.early)
            beliefs.drop(beliefs.withdrawn, beliefs.withdrawn)
        if self._asking is not None:
            self._asking.about(ref, (), self.answered)
