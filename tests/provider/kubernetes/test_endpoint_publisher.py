"""The table's overrides: what it says before Kubernetes does, and when it takes that back."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import pytest

from springtide.provider.endpoint_feed import EndpointFeed
from springtide.provider.kubernetes.endpoint_publisher import MAX_WITHDRAWN_S, STARTING_S, EndpointPublisher, Patience
from springtide.provider.kubernetes.views import DeploymentView, PodView, SliceView, pod_view, slice_view
from springtide.provider.spec import FunctionSpec
from springtide.scaler.core.vocabulary import FunctionRef
from springtide.wire.endpoint_stream import FunctionEndpoints, Snapshot
from tests.provider.kubernetes.cluster_objects import CREATED, endpoint, endpoint_slice, pod

pytestmark = pytest.mark.virtual_time


ECHO = FunctionRef("openfaas-fn", "echo")
DEPLOYED = DeploymentView(
    spec=FunctionSpec(ref=ECHO, image="echo"), labels={}, desired=2, uid="u", generation=7, created_at=None
)
EARLY_S, UNSCHEDULABLE_S = 30.0, 20.0


@dataclass
class Caches:
    """What the caches would have; ``ready`` and ``unready`` pods by name, with their slice in step."""

    deployed: DeploymentView | None = DEPLOYED
    pods_there: dict[str, PodView] = field(default_factory=dict)
    slices_there: list[SliceView] = field(default_factory=list)
    service: str = ""

    def has(self, **ready: bool) -> None:
        self.pods_there = {
            name: pod_view(pod(name, ip=f"10.1.0.{n}", ready=is_ready))
            for n, (name, is_ready) in enumerate(ready.items())
        }
        entries = [endpoint(name, each.ip, ready=each.ready) for name, each in self.pods_there.items()]
        self.slices_there = [slice_view(endpoint_slice(*entries))]

    def function(self, ref: FunctionRef) -> DeploymentView | None:
        return self.deployed if ref == ECHO else None

    def pods(self, ref: FunctionRef) -> Mapping[str, PodView]:
        return self.pods_there if ref == ECHO else {}

    def slices(self, ref: FunctionRef) -> Iterable[SliceView]:
        return self.slices_there if ref == ECHO else []

    def cluster_address(self, ref: FunctionRef) -> str:
        return self.service if ref == ECHO else ""


@dataclass
class Stage:
    caches: Caches
    table: EndpointPublisher
    feed: EndpointFeed

    async def published(self) -> FunctionEndpoints | None:
        async for event in self.feed.watch():
            assert isinstance(event, Snapshot)
            return event.functions[0] if event.functions else None
        raise AssertionError("the feed ended")

    async def taking(self) -> list[str]:
        function = await self.published()
        return [each.instance for each in function.endpoints] if function is not None else []


class LoopClock:
    """The test's loop, as if it had begun when the pods were made."""

    def __init__(self) -> None:
        self._created = pod_view(pod("any")).created_at - self.now()

    def now(self) -> float:
        return asyncio.get_running_loop().time()

    def wall(self) -> float:
        return self._created + self.now()


def stage(*, stopped: str | None = None, **ready: bool) -> Stage:
    """``stopped``: what the kubelet is known to have done to each pod's last run."""
    caches, feed = Caches(), EndpointFeed()
    caches.has(**ready)
    patience = Patience(early_s=EARLY_S, unschedulable_s=UNSCHEDULABLE_S)
    table = EndpointPublisher(
        caches, feed, prober=None, stopped=lambda _: stopped, clock=LoopClock(), patience=patience
    )
    table.changed(ECHO)
    return Stage(caches, table, feed)


async def test_published_function_carries_version_count_and_problem() -> None:
    on = stage()
    on.caches.deployed = replace(DEPLOYED, problem="quota exceeded")
    on.table.changed(ECHO)

    function = await on.published()

    assert function is not None
    assert (function.replicas, function.version, function.problem) == (2, "7-u", "quota exceeded")


async def test_function_with_an_endpoint_has_no_problem() -> None:
    on = stage(a=True)
    on.caches.deployed = replace(DEPLOYED, problem="quota exceeded")
    on.table.changed(ECHO)

    function = await on.published()

    assert function is not None
    assert function.problem is None


async def test_sleeping_function_is_sent_nothing_though_its_pods_are_ready() -> None:
    on = stage(a=True)
    on.caches.deployed = replace(DEPLOYED, desired=0)
    on.table.changed(ECHO)

    assert await on.taking() == []


async def test_pod_that_answered_is_given_up_when_kubernetes_never_calls_it_ready() -> None:
    on = stage(a=False)
    on.table.answered(on.caches.pods_there["a"])
    assert await on.taking() == ["a"]

    await asyncio.sleep(EARLY_S - 1)
    assert await on.taking() == ["a"]
    await asyncio.sleep(1)
    assert await on.taking() == []


async def test_pod_that_answered_and_became_ready_is_kubernetes_from_then_on() -> None:
    on = stage(a=False)
    on.table.answered(on.caches.pods_there["a"])
    on.caches.has(a=True)
    on.table.changed(ECHO)
    await asyncio.sleep(EARLY_S + 1)
    assert await on.taking() == ["a"]

    on.caches.has(a=False)
    on.table.changed(ECHO)

    assert await on.taking() == []


async def test_withdrawn_pod_that_is_not_taken_comes_back() -> None:
    on = stage(a=True, b=True)
    on.table.withdraw(ECHO, ["b"])
    assert await on.taking() == ["a"]

    await asyncio.sleep(MAX_WITHDRAWN_S)

    assert await on.taking() == ["a", "b"]


async def test_withdrawn_pods_are_restored_at_once_when_they_stay() -> None:
    on = stage(a=True, b=True)
    on.table.withdraw(ECHO, ["a", "b"])

    on.table.restore(ECHO)

    assert await on.taking() == ["a", "b"]


async def test_deleted_function_is_removed_with_all_overrides() -> None:
    on = stage(a=False)
    on.table.answered(on.caches.pods_there["a"])
    on.caches.deployed = None
    on.table.changed(ECHO)

    assert await on.published() is None
    assert repr(on.table).endswith("overrides for 0 functions>")


async def test_service_stands_for_its_pods_while_one_takes_calls() -> None:
    on = stage(a=True, b=False)
    on.caches.service = "10.96.0.7"
    on.table.changed(ECHO)
    function = await on.published()
    assert function is not None
    assert [(each.instance, each.host, each.port) for each in function.endpoints] == [("service", "10.96.0.7", 8080)]

    on.caches.has(a=False, b=False)
    on.table.changed(ECHO)

    assert await on.taking() == []


async def test_pod_without_a_node_delays_at_first_and_is_a_problem_when_it_lasts() -> None:
    on = stage()
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes"}
    on.caches.pods_there = {"a": pod_view(pod("a", ready=False, ip="", statuses=[], conditions=[condition]))}
    on.table.changed(ECHO)
    why = "no node takes it: 0/3 nodes"

    first = await on.published()
    # Nothing more is heard of it from the API server.
    await asyncio.sleep(UNSCHEDULABLE_S - 0.1)
    still = await on.published()
    await asyncio.sleep(0.2)
    lasting = await on.published()

    assert first is not None
    assert still is not None
    assert lasting is not None
    assert [(it.problem, it.delay) for it in (first, still, lasting)] == [(None, why), (None, why), (why, why)]

    on.caches.has(a=True)
    on.table.changed(ECHO)
    cured = await on.published()
    assert cured is not None
    assert (cured.problem, cured.delay) == (None, None)


async def test_pod_that_runs_and_does_not_become_ready_is_told_without_sending_callers_away() -> None:
    on = stage(a=False)

    early = await on.published()
    await asyncio.sleep(STARTING_S + 0.1)
    late = await on.published()

    assert early is not None
    assert late is not None
    assert (early.problem, early.delay) == (None, None)
    assert (late.problem, late.delay) == (None, "it runs, but its readiness probe does not succeed")


async def test_container_that_the_kubelet_stopped_is_not_told_as_having_ended_by_itself() -> None:
    ended = {"terminated": {"exitCode": 0, "startedAt": CREATED, "finishedAt": CREATED}}
    back_off = [
        {
            "name": "echo",
            "state": {"waiting": {"reason": "CrashLoopBackOff"}},
            "restartCount": 3,
            "lastState": ended,
        }
    ]
    by_itself, stopped = stage(), stage(stopped="was stopped because its liveness probe failed")
    for on in (by_itself, stopped):
        on.caches.pods_there = {"a": pod_view(pod("a", ready=False, statuses=back_off))}

    assert by_itself.table.problem(ECHO) == "its container exited with 0, 3 restarts (CrashLoopBackOff)"
    assert stopped.table.problem(ECHO) == (
        "its container was stopped because its liveness probe failed, 3 restarts (CrashLoopBackOff)"
    )
