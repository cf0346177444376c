"""The table's beliefs: what it says before Kubernetes does, and when it takes that back."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from springtide.provider.endpoint_feed import EndpointFeed
from springtide.provider.kubernetes.deployed import Deployed
from springtide.provider.kubernetes.endpoints import Slice, slice_of
from springtide.provider.kubernetes.pods import Pod, pod_of
from springtide.provider.kubernetes.table import PATIENCE_S, WITHDRAWN_MOST_S, Table
from springtide.provider.spec import FunctionSpec
from springtide.runtime import virtual_time
from springtide.scaler.core.vocabulary import FunctionRef
from springtide.wire.endpoint_stream import FunctionEndpoints, Snapshot
from tests.provider.kubernetes.cluster_objects import endpoint, endpoint_slice, pod

ECHO = FunctionRef("openfaas-fn", "echo")
DEPLOYED = Deployed(
    spec=FunctionSpec(ref=ECHO, image="echo"), labels={}, desired=2, uid="u", generation=7, created_at=None
)
EARLY_S = 30.0


@dataclass
class Caches:
    """What the caches would have; ``ready`` and ``unready`` pods by name, with their slice in step."""

    deployed: Deployed | None = DEPLOYED
    pods_there: dict[str, Pod] = field(default_factory=dict)
    slices_there: list[Slice] = field(default_factory=list)
    service: str = ""

    def has(self, **ready: bool) -> None:
        self.pods_there = {
            name: pod_of(pod(name, ip=f"10.1.0.{n}", ready=is_ready))
            for n, (name, is_ready) in enumerate(ready.items())
        }
        entries = [endpoint(name, each.ip, ready=each.ready) for name, each in self.pods_there.items()]
        self.slices_there = [slice_of(endpoint_slice(*entries))]

    def function(self, ref: FunctionRef) -> Deployed | None:
        return self.deployed if ref == ECHO else None

    def pods(self, ref: FunctionRef) -> Mapping[str, Pod]:
        return self.pods_there if ref == ECHO else {}

    def slices(self, ref: FunctionRef) -> Iterable[Slice]:
        return self.slices_there if ref == ECHO else []

    def cluster_address(self, ref: FunctionRef) -> str:
        return self.service if ref == ECHO else ""


@dataclass
class Stage:
    caches: Caches
    table: Table
    feed: EndpointFeed

    async def published(self) -> FunctionEndpoints | None:
        async for event in self.feed.watch():
            assert isinstance(event, Snapshot)
            return event.functions[0] if event.functions else None
        raise AssertionError("the feed ended")

    async def taking(self) -> list[str]:
        function = await self.published()
        return [each.instance for each in function.endpoints] if function is not None else []


def stage(**ready: bool) -> Stage:
    caches, feed = Caches(), EndpointFeed()
    caches.has(**ready)
    table = Table(caches, feed, asking=None, early_most_s=EARLY_S)
    table.changed(ECHO)
    return Stage(caches, table, feed)


def play(story: Any) -> None:
    virtual_time.run(story(), virtual_time.VirtualTimeLoop())


def test_published_function_carries_version_count_and_problem() -> None:
    async def story() -> None:
        on = stage()
        on.caches.deployed = replace(DEPLOYED, problem="quota exceeded")
        on.table.changed(ECHO)

        function = await on.published()

        assert function is not None
        assert (function.replicas, function.version, function.problem) == (2, "7-u", "quota exceeded")

    play(story)


def test_function_with_an_endpoint_has_no_problem() -> None:
    async def story() -> None:
        on = stage(a=True)
        on.caches.deployed = replace(DEPLOYED, problem="quota exceeded")
        on.table.changed(ECHO)

        function = await on.published()

        assert function is not None
        assert function.problem is None

    play(story)


def test_sleeping_function_is_sent_nothing_though_its_pods_are_ready() -> None:
    async def story() -> None:
        on = stage(a=True)
        on.caches.deployed = replace(DEPLOYED, desired=0)
        on.table.changed(ECHO)

        assert await on.taking() == []

    play(story)


def test_pod_that_answered_is_given_up_when_kubernetes_never_calls_it_ready() -> None:
    async def story() -> None:
        on = stage(a=False)
        on.table.answered(on.caches.pods_there["a"])
        assert await on.taking() == ["a"]

        await asyncio.sleep(EARLY_S - 1)
        assert await on.taking() == ["a"]
        await asyncio.sleep(1)
        assert await on.taking() == []

    play(story)


def test_pod_that_answered_and_became_ready_is_kubernetes_from_then_on() -> None:
    async def story() -> None:
        on = stage(a=False)
        on.table.answered(on.caches.pods_there["a"])
        on.caches.has(a=True)
        on.table.changed(ECHO)
        await asyncio.sleep(EARLY_S + 1)
        assert await on.taking() == ["a"]

        on.caches.has(a=False)
        on.table.changed(ECHO)

        assert await on.taking() == []

    play(story)


def test_withdrawn_pod_that_is_not_taken_comes_back() -> None:
    async def story() -> None:
        on = stage(a=True, b=True)
        on.table.withdraw(ECHO, ["b"])
        assert await on.taking() == ["a"]

        await asyncio.sleep(WITHDRAWN_MOST_S)

        assert await on.taking() == ["a", "b"]

    play(story)


def test_withdrawn_pods_are_restored_at_once_when_they_stay() -> None:
    async def story() -> None:
        on = stage(a=True, b=True)
        on.table.withdraw(ECHO, ["a", "b"])

        on.table.restore(ECHO)

        assert await on.taking() == ["a", "b"]

    play(story)


def test_deleted_function_is_removed_with_all_beliefs() -> None:
    async def story() -> None:
        on = stage(a=False)
        on.table.answered(on.caches.pods_there["a"])
        on.caches.deployed = None
        on.table.changed(ECHO)

        assert await on.published() is None
        assert repr(on.table).endswith("beliefs about 0 functions>")

    play(story)


def test_service_stands_for_its_pods_while_one_takes_calls() -> None:
    async def story() -> None:
        on = stage(a=True, b=False)
        on.caches.service = "10.96.0.7"
        on.table.changed(ECHO)
        function = await on.published()
        assert function is not None
        assert [(each.instance, each.host, each.port) for each in function.endpoints] == [
            ("service", "10.96.0.7", 8080)
        ]

        on.caches.has(a=False, b=False)
        on.table.changed(ECHO)

        assert await on.taking() == []

    play(story)


def test_pod_without_a_node_is_told_only_when_it_lasts() -> None:
    async def story() -> None:
        on = stage()
        condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes"}
        waiting = pod_of(pod("a", ready=False, ip="", statuses=[], conditions=[condition]))
        on.caches.pods_there = {"a": waiting}

        assert on.table.unschedulable(ECHO, waiting.created_at + PATIENCE_S) is None
        assert on.table.unschedulable(ECHO, waiting.created_at + PATIENCE_S + 1) == "no node takes it: 0/3 nodes"

    play(story)
