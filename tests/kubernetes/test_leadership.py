"""Two idlers, each a real process, and one Lease: at no time two writers, and never for long none."""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from springtide.runtime.kubernetes.lease_record import LeaseRecord
from springtide.scaler.core.vocabulary import Instant
from tests.fakes.gateway import lines
from tests.kubernetes.idlers import ECHO, LEASE, Field, Idler, field_of_idlers


@asynccontextmanager
async def leader_and_follower(folder: Path) -> AsyncIterator[tuple[Field, Idler, Idler]]:
    """One idler that leads and writes, and one on standby."""
    async with field_of_idlers(folder) as field:
        leader = await field.start_idler()
        await field.until_writing()
        follower = await field.start_idler()
        await field.until(lambda: field.cluster.streams == 2, "the second one watches the lease")
        yield field, leader, follower
        assert_one_writer(field)


def assert_one_writer(field: Field) -> None:
    """No write of a term after one of a later term, and none after somebody else had taken the lease."""
    writes = field.provider.writes
    assert [write.term for write in writes] == sorted(write.term for write in writes)
    assert [write for write in writes if write.term < write.since] == []


def told_off(field: Field) -> bool:
    """Some idler was about to act in a term that is over: it noticed itself, or the provider told it."""
    told = [decision.detail for decision in field.decisions.since(Instant(0))]
    return any("does not lead" in detail or "another copy leads now" in detail for detail in told)


async def test_leader_that_was_stopped_and_goes_on_does_not_write_again(tmp_path: Path) -> None:
    async with leader_and_follower(tmp_path) as (field, leader, follower):
        term = field.provider.writes[-1].term
        chance = random.Random(1)
        for _ in range(4):
            # At any point of a sweep, of a renewal, of a write.
            await asyncio.sleep(chance.uniform(0, 0.3))
            leader.pause()
            term = await field.until_writing(term)
            leader.resume()
            await field.until(lambda leader=leader: "not leading any more" in leader.said[-3000:], "it notices")
            count = len(field.provider.writes)
            await field.until(lambda count=count: len(field.provider.writes) > count + 5, "the new one goes on")
            leader, follower = follower, leader  # noqa: PLW2901 - they take turns

        assert len({write.term for write in field.provider.writes}) == 5


async def test_leader_stopped_in_the_middle_of_a_sweep_does_not_finish_it(tmp_path: Path) -> None:
    async with leader_and_follower(tmp_path) as (field, leader, follower):
        leader.wire.what = b"GET /system/function/"
        await field.until(leader.wire.held.is_set, "the leader reads the version that is to guard its write")
        # Only its own clock can tell it.
        leader.api.cut = True
        leader.pause()
        # The new leader sees a call in flight and leaves the function alone, so its version stays as it is.
        follower.gateway.text = lines(str(ECHO), calls=1, active=1)
        writes = len(field.provider.writes)
        await field.until(lambda: follower.gateway.scrapes > 0, "the new leader looks")

        leader.wire.hold.set()
        leader.resume()
        await field.until(lambda: told_off(field), "the old leader goes on with its sweep")

        assert len(field.provider.writes) == writes
        assert await field.provider.count() == 1


async def test_leader_cut_off_from_the_api_server_stops_before_another_begins(tmp_path: Path) -> None:
    async with leader_and_follower(tmp_path) as (field, leader, _follower):
        term = field.provider.writes[-1].term
        leader.api.cut = True
        await field.until_writing(term)
        count = len(field.provider.writes)
        await field.until(lambda: len(field.provider.writes) > count + 10, "the new one goes on")


async def test_write_that_was_on_its_way_for_long_is_refused_though_nobody_wrote_since(tmp_path: Path) -> None:
    async with leader_and_follower(tmp_path) as (field, leader, follower):
        leader.wire.what = b"POST /system/scale-function/"
        await field.until(leader.wire.held.is_set, "the leader has sent a write")
        leader.pause()
        follower.gateway.text = lines(str(ECHO), calls=1, active=1)
        version = (await field.provider.read(ECHO)).scale.version
        writes = len(field.provider.writes)
        await field.until(lambda: follower.gateway.scrapes > 2, "the new leader looks, and does not write")

        leader.wire.hold.set()
        await field.until(lambda: bool(leader.wire.answers), "the write arrives")

        assert b"412 " in leader.wire.answers[0]
        assert b"another copy leads now" in b"".join(leader.wire.answers)
        # The version it named still is the one there is: compare-and-set alone would have let it through.
        assert (await field.provider.read(ECHO)).scale.version == version
        assert len(field.provider.writes) == writes
        leader.resume()


async def test_orderly_stop_hands_over_before_the_lease_ends(tmp_path: Path) -> None:
    async with leader_and_follower(tmp_path) as (field, leader, _follower):
        term = field.provider.writes[-1].term
        first = field.lease.holder
        leader.end(signal.SIGTERM)
        await field.until_writing(term)

        # Given back, not run out: between the two holders there was nobody.
        assert field.lease.holders[:2] == [first, ""]
        assert len(field.lease.holders) == 3
        assert leader.process.wait(120) == 0


async def test_killed_leader_is_replaced_when_its_lease_has_run_out(tmp_path: Path) -> None:
    async with leader_and_follower(tmp_path) as (field, leader, _follower):
        term = field.provider.writes[-1].term
        first = field.lease.holder
        leader.end(signal.SIGKILL)
        await field.until_writing(term)

        assert field.lease.holders[0] == first
        assert "" not in field.lease.holders
        lease = field.cluster.object("leases", "openfaas", LEASE)
        assert lease is not None
        assert LeaseRecord.read(lease).transitions == 1


async def test_api_server_away_stops_the_writes_and_they_go_on_after_it_is_back(tmp_path: Path) -> None:
    async with leader_and_follower(tmp_path) as (field, leader, follower):
        term = field.provider.writes[-1].term
        await field.cluster.go_away()
        await field.until(lambda: "not leading any more" in leader.said, "the leader gives up")
        count = len(field.provider.writes)
        sweeps = len(field.prometheus.queries)
        await field.until(lambda: len(field.prometheus.queries) > sweeps + 50, "both go on measuring")
        assert len(field.provider.writes) == count

        await field.cluster.come_back()
        await field.until_writing(term)

        # Told at its start and at its end, with its duration, however many attempts there were.
        for words in ("over: lease not written", "over: not watching"):
            await field.until(lambda words=words: words in leader.said, "the end is told")
        for idler in (leader, follower):
            await field.until(lambda idler=idler: "over: not watching" in idler.said, "each tells of its own watch")
            assert idler.said.count("not watching") == 2
            assert idler.said.count("lease not written") in (0, 2)  # a standby need not have tried
        assert leader.said.count('"lasted_s": ') == 2
