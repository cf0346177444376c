"""The endpoint table that gateways follow, kept right as functions, pods and slices change.

Two things are known here before Kubernetes says them: a starting pod that answered us (``early``), and a pod that is
about to go (``withdrawn``). Both override what Kubernetes says, until it says something newer or their time is over.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from springtide.provider.endpoint_feed import EndpointFeed
from springtide.provider.kubernetes.manifests.keys import PORT
from springtide.provider.kubernetes.readiness import ProbeTarget, ReadinessProber
from springtide.provider.kubernetes.views import DeploymentView, PodView, SliceView, how_it_ended
from springtide.scaler.core import call_timeout
from springtide.scaler.core.ports import Clock
from springtide.scaler.core.vocabulary import FunctionRef
from springtide.wire.endpoint_stream import Endpoint, FunctionEndpoints

log = structlog.get_logger(__name__)

MAX_WITHDRAWN_S = 30.0
"""A pod that is not being deleted by then stays, and takes calls again."""

STARTING_S = 10.0
"""A pod may run this long without being ready before that is reported."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """``early_s``: how long a pod that answers us may lack Kubernetes' own readiness. ``unschedulable_s``: how long one
    may wait for a node before callers are sent away."""

    early_s: float
    unschedulable_s: float


class ClusterView(Protocol):
    """What the caches have of a function."""

    def function(self, ref: FunctionRef) -> DeploymentView | None: ...

    def pods(self, ref: FunctionRef) -> Mapping[str, PodView]: ...

    def slices(self, ref: FunctionRef) -> Iterable[SliceView]: ...

    def cluster_address(self, ref: FunctionRef) -> str:
        """Of its Service, where calls are to go there; else empty."""


@dataclass(slots=True)
class _Overrides:
    """By pod name, each with the timer that ends it."""

    early: dict[str, asyncio.TimerHandle] = field(default_factory=dict)
    withdrawn: dict[str, asyncio.TimerHandle] = field(default_factory=dict)
    given_up: set[str] = field(default_factory=set)
    """Pods that were early for too long: only Kubernetes' own readiness counts for them."""

    def drop(self, which: dict[str, asyncio.TimerHandle], names: Iterable[str]) -> None:
        for name in list(names):
            timer = which.pop(name, None)
            if timer is not None:
                timer.cancel()


class EndpointPublisher:
    """Publishes each function anew whenever something about it changed."""

    def __init__(
        self,
        known: ClusterView,
        feed: EndpointFeed,
        *,
        prober: ReadinessProber | None,
        stopped: Callable[[PodView], str | None],
        clock: Clock,
        patience: Patience,
    ) -> None:
        """``prober`` None: only Kubernetes' readiness counts. ``stopped``: what the kubelet did to a pod's last run."""
        self._known, self._feed, self._prober, self._stopped = known, feed, prober, stopped
        self._clock, self._patience = clock, patience
        self._late: dict[FunctionRef, asyncio.TimerHandle] = {}
        self._overrides: dict[FunctionRef, _Overrides] = {}

    def __repr__(self) -> str:
        return f"<EndpointPublisher {self._feed!r}, overrides for {len(self._overrides)} functions>"

    def close(self) -> None:
        for ref in {*self._overrides, *self._late}:
            self._forget(ref)

    def endpoints(self, ref: FunctionRef) -> tuple[Endpoint, ...]:
        """The pods that take calls now."""
        function = self._known.function(ref)
        if function is None or function.desired == 0:
            return ()  # One that goes to sleep is sent nothing new, whatever its pods say.
        overrides = self._overrides.get(ref) or _Overrides()
        return serving_endpoints(
            self._known.slices(ref), self._known.pods(ref), early=overrides.early, withdrawn=overrides.withdrawn
        )

    def changed(self, ref: FunctionRef) -> None:
        function = self._known.function(ref)
        if function is None:
            self._forget(ref)
            self._feed.remove(ref)
            return
        self._schedule_late_check(ref)
        self._drop_confirmed(ref)
        endpoints = self.endpoints(ref)
        lacking = function.desired and not endpoints
        self._feed.publish(
            FunctionEndpoints(
                ref=ref,
                replicas=function.desired,
                version=function.version,
                endpoints=self._addressed(ref, endpoints),
                labels=function.labels,
                problem=self.problem(ref) if lacking else None,
                delay=self.delay(ref) if lacking else None,
                annotations=function.spec.annotations,
                timeout=call_timeout.of_function(function.spec.annotations, function.spec.env_vars),
                learned_wake=function.learned_wake,
                created_at=function.created_at,
                longest_start_s=function.longest_start_s,
            )
        )
        self._probe_starting(function, nobody_answers=not endpoints)

    def problem(self, ref: FunctionRef) -> str | None:
        """Why no pod of it starts, where waiting is of no use."""
        function, now = self._known.function(ref), self._clock.wall()
        staying = self._staying(ref)
        for pod in staying:
            if pod.crashing and (ended := how_it_ended(pod, self._stopped(pod))):
                return ended
            if pod.problem:
                return pod.problem
        if function is not None and function.problem:
            return function.problem
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
            refusal = self._prober.refusal(pod) if self._prober is not None else None
            ended = how_it_ended(pod, self._stopped(pod))
            return "; ".join(filter(None, (refusal or "it runs, but its readiness probe does not succeed", ended)))
        return None

    def answered(self, pod: PodView) -> None:
        """The pod takes calls, though Kubernetes does not say so yet."""
        early = self._overrides.setdefault(pod.ref, _Overrides()).early
        if pod.name not in early:
            loop = asyncio.get_running_loop()
            early[pod.name] = loop.call_later(self._patience.early_s, self._end_early, pod.ref, pod.name)
            self.changed(pod.ref)

    def withdraw(self, ref: FunctionRef, names: Iterable[str]) -> None:
        """These pods are about to go."""
        withdrawn = self._overrides.setdefault(ref, _Overrides()).withdrawn
        loop = asyncio.get_running_loop()
        for name in names:
            if name not in withdrawn:
                withdrawn[name] = loop.call_later(MAX_WITHDRAWN_S, self._end_withdrawn, ref, name)
        self.changed(ref)

    def restore(self, ref: FunctionRef) -> None:
        """Those withdrawn stay after all."""
        overrides = self._overrides.get(ref)
        if overrides is not None and overrides.withdrawn:
            overrides.drop(overrides.withdrawn, overrides.withdrawn)
            self.changed(ref)

    # Inside.

    def _staying(self, ref: FunctionRef) -> list[PodView]:
        return [pod for pod in self._known.pods(ref).values() if not pod.terminating]

    def _schedule_late_check(self, ref: FunctionRef) -> None:
        """Publish again when a pod that is not ready becomes late: no event says so."""
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

    def _addressed(self, ref: FunctionRef, endpoints: tuple[Endpoint, ...]) -> tuple[Endpoint, ...]:
        """The pods themselves, or their Service, once at least one takes calls."""
        address = self._known.cluster_address(ref)
        return (Endpoint("service", address, PORT),) if address and endpoints else endpoints

    def _drop_confirmed(self, ref: FunctionRef) -> None:
        """End the overrides of pods about which Kubernetes now says the same."""
        overrides = self._overrides.get(ref)
        if overrides is None:
            return
        pods = self._known.pods(ref)
        gone = [name for name in (*overrides.early, *overrides.withdrawn) if name not in pods or pods[name].terminating]
        ready = [address.pod for each in self._known.slices(ref) for address in each.addresses if address.ready]
        overrides.drop(overrides.early, (*gone, *ready))
        overrides.drop(overrides.withdrawn, gone)
        overrides.given_up &= pods.keys() - set(ready)
        if not overrides.early and not overrides.withdrawn and not overrides.given_up:
            del self._overrides[ref]

    def _probe_starting(self, function: DeploymentView, *, nobody_answers: bool) -> None:
        """Starting pods are probed for whether they answer, while no other does."""
        if self._prober is None:
            return
        overrides = self._overrides.get(function.ref) or _Overrides()
        settled = overrides.withdrawn.keys() | overrides.given_up
        pods = self._known.pods(function.ref).values() if function.desired and nobody_answers else ()
        waiting = [pod for pod in pods if pod.ip and not pod.terminating and pod.name not in settled]
        targets = [ProbeTarget(pod, PORT, function.ready_paths) for pod in waiting if not pod.ready]
        self._prober.probe(function.ref, targets, self.answered)
        for pod in waiting:
            if pod.ready:
                self.answered(pod)  # Its slice is about to say so, too.

    def _end_early(self, ref: FunctionRef, name: str) -> None:
        """The pod answers us but not Kubernetes, which must have a reason: it is not probed again."""
        overrides = self._overrides[ref]
        overrides.drop(overrides.early, [name])
        overrides.given_up.add(name)
        log.warning("a pod that answers is not ready for Kubernetes", pod=name, function=str(ref))
        self.changed(ref)

    def _end_withdrawn(self, ref: FunctionRef, name: str) -> None:
        overrides = self._overrides[ref]
        overrides.drop(overrides.withdrawn, [name])
        self.changed(ref)

    def _forget(self, ref: FunctionRef) -> None:
        timer = self._late.pop(ref, None)
        if timer is not None:
            timer.cancel()
        overrides = self._overrides.pop(ref, None)
        if overrides is not None:
            overrides.drop(overrides.early, overrides.early)
            overrides.drop(overrides.withdrawn, overrides.withdrawn)
        if self._prober is not None:
            self._prober.probe(ref, (), self.answered)


def serving_endpoints(
    slices: Iterable[SliceView], pods: Mapping[str, PodView], *, early: Collection[str], withdrawn: Collection[str]
) -> tuple[Endpoint, ...]:
    """Ready by their slice, or found to answer (``early``); not those that end or are about to (``withdrawn``).

    A pod that only a slice knows of does not count: it belonged to a former function of that name, or is news in a
    moment.
    """
    hosts: dict[str, tuple[str, int]] = {}
    for address in sorted(
        (address for each in slices for address in each.addresses), key=lambda address: ":" in address.host
    ):
        # A pod of a dual-stack Service is in two slices; its first address, the IPv4 one, is enough.
        if address.ready or address.pod in early:
            hosts.setdefault(address.pod, (address.host, address.port))
    for name in early:
        if name in pods and pods[name].ip:
            hosts.setdefault(name, (pods[name].ip, PORT))
    staying = {name for name, pod in pods.items() if not pod.terminating} - set(withdrawn)
    return tuple(Endpoint(name, host, port) for name, (host, port) in sorted(hosts.items()) if name in staying)
