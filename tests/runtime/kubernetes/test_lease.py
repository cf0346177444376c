"""Leadership by a Lease: one at a time whatever fails, and soon another."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from springtide.runtime.errors import BadInput
from springtide.runtime.kubernetes import lease_record
from springtide.runtime.kubernetes.api import KubernetesApi, connected
from springtide.runtime.kubernetes.lease import Lease, sleepless_clock
from springtide.runtime.kubernetes.lease_record import LeaseName, LeaseRecord
from springtide.runtime.kubernetes.settings import KubernetesSettings, LeaseSettings
from springtide.runtime.settings import read
from tests.runtime.kubernetes.api_server import ApiServer, Fault, background, until

PATH = "apis/coordination.k8s.io/v1/leases"
NAME = LeaseName("ns", "role")
SHORT = LeaseSettings(lease_duration_s=1, lease_renew_deadline_s=0.6, lease_retry_s=0.1)
LONG = LeaseSettings(lease_duration_s=3600, lease_renew_deadline_s=1800, lease_retry_s=0.1)


@dataclass
class Clock:
    """The machine's, and how far this copy's is off, for ever or for now."""

    offset_s: float = 0.0

    def __call__(self) -> float:
        return sleepless_clock() + self.offset_s


@dataclass
class World:
    server: ApiServer
    api: KubernetesApi
    settings: LeaseSettings
    copies: list[Lease] = field(default_factory=list)

    def copy(self, *, offset_s: float = 0.0) -> Lease:
        lease = Lease(self.api, NAME, self.settings, identity=f"copy-{len(self.copies)}", now=Clock(offset_s))
        self.copies.append(lease)
        return lease

    @property
    def leading(self) -> list[Lease]:
        return [copy for copy in self.copies if copy.hold() is not None]

    @property
    def record(self) -> dict[str, Any]:
        value = self.server._objects[PATH, NAME.namespace, NAME.name]
        return dict(value["spec"])


@contextlib.asynccontextmanager
async def a_world(folder: Path, settings: LeaseSettings = LONG) -> AsyncIterator[World]:
    async with ApiServer() as server, asyncio.timeout(60):
        kubernetes = KubernetesSettings(kubeconfig=server.kubeconfig(folder), kube_deadline_s=5)
        async with connected(kubernetes) as api:
            made = World(server, api, settings)
            async with background(_never_two(made)) as watch:
                try:
                    yield made
                finally:
                    for copy in made.copies:
                        await copy.stop()
                assert not watch.done()


async def _never_two(world: World) -> None:
    """Looks all the time; two leaders at once fail the test."""
    while True:
        assert len(world.leading) <= 1, world.leading
        await asyncio.sleep(0)


async def leader_and_waiting(world: World) -> tuple[Lease, Lease, int]:
    """A copy that leads, another that knows it does, and the leader's term."""
    one, two = world.copy(), world.copy()
    await one.start()
    term = await one.change(None)
    await two.start()
    await until(lambda: "copy-0" in repr(two))
    assert term is not None
    return one, two, term


async def vanish(lease: Lease) -> None:
    """The process is gone without a word."""
    for task in lease._tasks:
        task.cancel()
    await asyncio.wait(lease._tasks)


async def test_first_copy_leads_and_the_second_waits(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        one, two, term = await leader_and_waiting(world)

        assert (two.hold(), two.left_s()) == (None, 0)
        assert one.hold() == term
        assert 0 < one.left_s() <= LONG.lease_renew_deadline_s
        assert world.record["holderIdentity"] == "copy-0"
        assert world.record["leaseDurationSeconds"] == 3600


async def test_orderly_stop_hands_over_at_once_to_a_later_term(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        one, two, first = await leader_and_waiting(world)

        await one.stop()
        # The lease is good for an hour, so waiting for its end would fail the test.
        second = await two.change(None)

        assert second is not None
        assert second > first
        assert world.record["leaseTransitions"] == 1


async def test_lost_leader_is_replaced_once_its_lease_is_over(tmp_path: Path) -> None:
    async with a_world(tmp_path, SHORT) as world:
        one, two, _ = await leader_and_waiting(world)
        await vanish(one)

        await two.change(None)

        assert one.hold() is None


async def test_renewal_keeps_the_term(tmp_path: Path) -> None:
    async with a_world(tmp_path, SHORT) as world:
        one = world.copy()
        await one.start()
        term = await one.change(None)
        await until(lambda: world.server.count("PUT") >= 15)

        assert one.hold() == term
        assert world.record["leaseTransitions"] == 0


async def test_clocks_of_copies_may_be_hours_apart(tmp_path: Path) -> None:
    async with a_world(tmp_path, SHORT) as world:
        one, two = world.copy(offset_s=-7200), world.copy(offset_s=7200)
        await one.start()
        await one.change(None)
        await two.start()
        puts = world.server.count("PUT")
        await until(lambda: world.server.count("PUT") >= puts + 15)
        assert world.leading == [one]
        await vanish(one)
        await two.change(None)


@pytest.mark.parametrize("renewed", ["1970-01-01T00:00:00.000000Z", "2999-01-01T00:00:00.000000Z"])
async def test_what_the_holders_clock_says_is_not_believed(tmp_path: Path, renewed: str) -> None:
    async with a_world(tmp_path, SHORT) as world:
        spec = {"holderIdentity": "another", "leaseDurationSeconds": 1, "renewTime": renewed, "acquireTime": renewed}
        one = world.copy()
        world.server.put(PATH, {"metadata": {"namespace": "ns", "name": "role"}, "spec": spec})
        await one.start()
        for _ in range(15):
            world.server.put(PATH, {"metadata": {"namespace": "ns", "name": "role"}, "spec": {**spec}})
            await asyncio.sleep(0.1)  # it renews like that
            assert one.hold() is None
        await one.change(None)


async def test_holder_that_renews_unseen_is_not_robbed(tmp_path: Path) -> None:
    async with a_world(tmp_path, SHORT) as world:
        spec = {"holderIdentity": "another", "leaseDurationSeconds": 1}
        world.server.put(PATH, {"metadata": {"namespace": "ns", "name": "role"}, "spec": spec})
        one = world.copy()
        await one.start()
        await until(lambda: "another" in repr(one))
        # From now on it sees nothing: its watch is deaf, and only compare-and-set tells it.
        world.server._record = lambda *_: None  # type: ignore[method-assign]
        world.server.put(PATH, {"metadata": {"namespace": "ns", "name": "role"}, "spec": spec})
        await until(lambda: world.server.count("PUT") == 1)

        assert one.hold() is None
        assert world.record["holderIdentity"] == "another"


async def test_leader_that_cannot_renew_stops_believing_and_leads_anew_later(tmp_path: Path) -> None:
    async with a_world(tmp_path, SHORT) as world:
        one = world.copy()
        await one.start()
        first = await one.change(None)
        await world.server.down()
        assert await one.change(first) is None
        await world.server.up()
        second = await one.change(None)

        assert first is not None
        assert second is not None
        assert second > first


async def test_machine_that_slept_knows_that_it_may_have_lost(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        one = world.copy()
        await one.start()
        await one.change(None)
        assert isinstance(one._now, Clock)

        one._now.offset_s += 3600

        assert one.hold() is None
        assert one.left_s() == 0


async def test_deleted_lease_is_not_taken_before_its_holder_can_know(tmp_path: Path) -> None:
    async with a_world(tmp_path, SHORT) as world:
        one, two, first = await leader_and_waiting(world)
        # The holder is cut off, so it goes on believing; the other one sees the deletion.
        await vanish(one)
        world.server.remove(PATH, "role", namespace="ns")
        second = await two.change(None)

        assert one.hold() is None
        assert second is not None
        assert second > first


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(Fault(500, method="PUT", after=True), id="done, but answered 500"),
        pytest.param(Fault(method="PUT", reset=True, after=True), id="done, but the connection broke"),
        pytest.param(Fault(method="PUT", hang=True, after=True), id="done, but never answered"),
        pytest.param(Fault(method="PUT", reset=True), id="not done, the connection broke"),
        pytest.param(Fault(429, method="PUT", headers={"Retry-After": "60"}), id="told to wait for a minute"),
    ],
)
async def test_renewal_with_an_unknown_outcome_does_not_cost_the_leadership_for_long(
    tmp_path: Path, fault: Fault
) -> None:
    async with a_world(tmp_path, SHORT) as world:
        fault.left = 1
        one = world.copy()
        await one.start()
        await one.change(None)
        world.server.faults.append(fault)
        await until(lambda: fault.left == 0)
        before = LeaseRecord.read(world.server._objects[PATH, "ns", "role"]).version
        await until(lambda: LeaseRecord.read(world.server._objects[PATH, "ns", "role"]).version != before)
        await until(lambda: one.hold() is not None)


async def test_faults_at_random_never_make_two_leaders_and_end_with_one(tmp_path: Path) -> None:
    async with a_world(tmp_path, SHORT) as world:
        choose = random.Random(7)
        for _ in range(3):
            await world.copy(offset_s=choose.uniform(-1000, 1000)).start()
        terms: set[int] = set()
        for _ in range(60):
            fault = choose.choice(
                [
                    Fault(500, method="PUT", after=True),
                    Fault(409, method="PUT"),
                    Fault(method="PUT", hang=True, left=3),
                    Fault(method="PUT", reset=True, after=True, left=2),
                    Fault(503, left=5),
                ]
            )
            world.server.faults = [fault]
            if choose.random() < 0.3:
                world.server.cut_watches()
            if choose.random() < 0.1:
                with contextlib.suppress(KeyError):
                    world.server.remove(PATH, "role", namespace="ns")
            await asyncio.sleep(choose.uniform(0, 0.15))
            terms |= {term for copy in world.copies if (term := copy.hold()) is not None}
        world.server.faults = []
        await until(lambda: len(world.leading) == 1)

        last = world.leading[0].hold()
        assert last is not None
        assert last >= max(terms)


async def test_copy_without_permission_goes_on_trying(tmp_path: Path) -> None:
    async with a_world(tmp_path, SHORT) as world:
        one = world.copy()
        world.server.faults.append(Fault(403, method="POST", left=2, body=b"no"))
        await one.start()

        await one.change(None)


async def test_stop_without_leading_leaves_the_lease_alone(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        _, two, _ = await leader_and_waiting(world)
        await two.stop()

        assert world.record["holderIdentity"] == "copy-0"


def test_record_is_taken_renewed_and_released_as_other_clients_do() -> None:
    taken = lease_record.held(NAME, "me", duration_s=12, known=None, wall=0)
    known = LeaseRecord.read({**taken, "metadata": {"resourceVersion": "5"}})
    renewed = lease_record.held(NAME, "me", duration_s=12, known=known, wall=10.5)
    robbed = lease_record.held(NAME, "you", duration_s=12, known=known, wall=20)
    released = lease_record.released(NAME, known, wall=30)

    assert taken["spec"] == {
        "holderIdentity": "me",
        "leaseDurationSeconds": 12,
        "acquireTime": "1970-01-01T00:00:00.000000Z",
        "renewTime": "1970-01-01T00:00:00.000000Z",
        "leaseTransitions": 0,
    }
    assert renewed["spec"] == {**taken["spec"], "renewTime": "1970-01-01T00:00:10.500000Z"}
    assert renewed["metadata"]["resourceVersion"] == "5"
    assert (robbed["spec"]["leaseTransitions"], robbed["spec"]["acquireTime"]) == (1, "1970-01-01T00:00:20.000000Z")
    assert "holderIdentity" not in released["spec"]
    assert released["spec"]["leaseDurationSeconds"] > 0


async def test_labels_that_somebody_put_on_the_lease_stay(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        labels = {"app.kubernetes.io/part-of": "springtide"}
        world.server.put(PATH, {"metadata": {"namespace": "ns", "name": "role", "labels": labels}, "spec": {}})
        one = world.copy()
        await one.start()
        await one.change(None)
        await until(lambda: world.server.count("PUT") >= 3)

        assert world.server._objects[PATH, "ns", "role"]["metadata"]["labels"] == labels


@pytest.mark.parametrize(
    ("environ", "told"),
    [
        pytest.param({"lease_duration": "5s"}, "renew deadline 10 s", id="duration too short"),
        pytest.param({"lease_retry": "11s"}, "retry 11 s", id="retry too long"),
        pytest.param({"lease_duration": "12500ms"}, "whole seconds", id="half a second"),
    ],
)
def test_times_that_do_not_fit_together_are_refused(environ: dict[str, str], told: str) -> None:
    with pytest.raises(BadInput, match=told):
        read(LeaseSettings, environ)


def test_defaults_replace_a_lost_leader_within_15_s() -> None:
    settings = LeaseSettings()

    assert settings.lease_duration_s + settings.lease_retry_s / 4 < 15
    assert 60 / settings.lease_retry_s <= 12  # requests a minute, which a cluster at rest pays for nothing else
    # One renewal may hang, and the next still comes in time.
    spare_s = settings.lease_renew_deadline_s - settings.lease_retry_s
    assert spare_s / 2 + settings.lease_retry_s / 4 < spare_s
    assert not settings.leader_election
