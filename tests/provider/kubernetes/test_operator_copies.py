"""Two copies of the operator with different settings, as during a rollout of the provider, and one Lease."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator
from typing import Any

from springtide.provider.kubernetes.manifests.settings import ManifestSettings
from springtide.runtime.kubernetes.api import KubernetesApi
from springtide.runtime.kubernetes.lease import Lease
from springtide.runtime.kubernetes.lease_record import LeaseName
from springtide.runtime.kubernetes.settings import LeaseSettings
from tests.kubernetes.emulator import Emulator
from tests.kubernetes.emulator.store import Change
from tests.provider.kubernetes.operating import NAMESPACE, a_cluster, an_operator, function, is_applied

FUNCTIONS = "functions.openfaas.com"
QUICK = LeaseSettings(lease_duration_s=120.0, lease_renew_deadline_s=90.0, lease_retry_s=0.1)
"""A copy that ends gives its lease up. On a slow machine, one that goes on must not lose it."""
OLD, NEW = ManifestSettings(), ManifestSettings(readiness_period_s=7)


@contextlib.asynccontextmanager
async def a_copy(api: KubernetesApi, identity: str, manifests: ManifestSettings) -> AsyncIterator[Lease]:
    lease = Lease(api, LeaseName("openfaas", "springtide-operator"), QUICK, identity=identity)
    operator = an_operator(api, leadership=lease, manifests=manifests)
    await lease.start()
    await operator.start()
    try:
        yield lease
    finally:
        await operator.stop()
        await lease.stop()


def period(deployment: Any) -> int:
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    return int(container["readinessProbe"]["periodSeconds"])


async def until_applied(cluster: Emulator, *names: str) -> None:
    def done(found: list[Any]) -> bool:
        return {one["metadata"]["name"] for one in found if is_applied()(one)} >= set(names)

    await cluster.until(FUNCTIONS, done, namespace=NAMESPACE)


async def test_copies_with_different_settings_make_one_rollout_when_they_take_over() -> None:
    async with (
        asyncio.timeout(300),
        a_cluster() as (cluster, api),
        contextlib.AsyncExitStack() as old,
        contextlib.AsyncExitStack() as new,
    ):
        first = await old.enter_async_context(a_copy(api, "old", OLD))
        await first.change(None)
        cluster.create(function())
        await until_applied(cluster, "echo")
        second = await new.enter_async_context(a_copy(api, "new", NEW))
        # Were both at work, each of these would give the new one time to write as well.
        for number in range(5):
            cluster.create(function(f"f{number}"))
            await until_applied(cluster, f"f{number}")
        found = cluster.objects("deployments", NAMESPACE)
        before = {one["metadata"]["name"]: one["metadata"]["generation"] for one in found}
        assert {period(one) for one in found} == {OLD.readiness_period_s}
        assert second.hold() is None

        await old.aclose()
        await cluster.until("deployments", lambda found: {period(one) for one in found} == {7}, namespace=NAMESPACE)

        cluster.create(function("last"))
        await until_applied(cluster, "last")
        after = {
            one["metadata"]["name"]: one["metadata"]["generation"] for one in cluster.objects("deployments", NAMESPACE)
        }
        assert {name: after[name] for name in before} == {name: count + 1 for name, count in before.items()}


class Tellable:
    """A leadership whose term somebody ends."""

    role = "openfaas/springtide-operator"

    def __init__(self) -> None:
        self._term: int | None = 1
        self._terms = itertools.count(2)
        self._changed = asyncio.Event()

    def hold(self) -> int | None:
        return self._term

    def left_s(self) -> float:
        return 0.0 if self._term is None else 60.0

    async def change(self, known: int | None) -> int | None:
        while self._term == known:
            self._changed.clear()
            await self._changed.wait()
        return self._term

    def end(self, *, tell: bool) -> None:
        """``tell`` False: as for a process that was stopped, whose tasks did not hear of it yet."""
        self._term = None
        if tell:
            self._changed.set()

    def begin(self) -> None:
        self._term = next(self._terms)
        self._changed.set()


async def test_term_that_ends_in_the_middle_of_a_function_leaves_the_rest_to_the_next_one() -> None:
    async with asyncio.timeout(60), a_cluster() as (cluster, api):
        leadership = Tellable()

        def ends_with_the_first_write(change: Change) -> None:
            if change.object["kind"] == "Deployment":
                leadership.end(tell=False)

        operator = an_operator(api, leadership=leadership)
        await operator.start()
        try:
            unlisten = cluster.store.listen(ends_with_the_first_write)
            cluster.create(function())
            # It notices before its next write, and cannot even tell the object: the status is a write, too.
            while "1 paused" not in repr(operator):  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.005)
            assert cluster.objects("services", NAMESPACE) == []
            assert "status" not in cluster.objects(FUNCTIONS, NAMESPACE)[0]

            unlisten()
            leadership.end(tell=True)
            await asyncio.sleep(0)
            leadership.begin()
            await until_applied(cluster, "echo")
            assert len(cluster.objects("services", NAMESPACE)) == 1
        finally:
            await operator.stop()
