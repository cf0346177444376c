"""Deliveries and descents in virtual time: what is written, when to the second, and what is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st

from springtide.alert_receiver.history_store import HistoryStore
from springtide.alert_receiver.leadership_term import LeadershipTerm
from springtide.alert_receiver.load_visibility import LoadVisibility
from springtide.alert_receiver.settings import AlertReceiverSettings
from springtide.alert_receiver.stepper import Stepper
from springtide.runtime.errors import BadInput, Conflict, NotFound, Unavailable
from springtide.runtime.virtual_time import EPOCH, VirtualTimeLoop
from springtide.scaler.core.steps import AlertEvent, AlertId, AlertStatus, StepHistory
from springtide.scaler.core.vocabulary import FunctionRef, Instant, Reason
from springtide.wire.leadership import Always
from tests.fakes.activity import ScriptedActivity, silent_since, unknown
from tests.fakes.cluster import Cluster, Decisions, Hook
from tests.loops import virtual_loop

pytestmark = pytest.mark.virtual_time


ECHO = FunctionRef("openfaas-fn", "echo")
OTHER = FunctionRef("openfaas-fn", "other")


def firing(ref: FunctionRef = ECHO, *, alert: str = "busy", starts_at: str = "t0") -> AlertEvent:
    return AlertEvent(ref, AlertStatus.FIRING, AlertId(f"{alert} {ref}", starts_at), alert)


def resolved(ref: FunctionRef = ECHO, *, alert: str = "busy", starts_at: str = "t0") -> AlertEvent:
    return AlertEvent(ref, AlertStatus.RESOLVED, AlertId(f"{alert} {ref}", starts_at), alert)


@dataclass
class World:
    """One stepper and its cluster at second 0 of a virtual-time loop; ``times`` are seconds of each write."""

    settings: AlertReceiverSettings = field(default_factory=AlertReceiverSettings)
    histories: HistoryStore = field(default_factory=HistoryStore)
    loop: VirtualTimeLoop = field(default_factory=virtual_loop)
    decisions: Decisions = field(default_factory=Decisions)
    visibility: LoadVisibility | None = None

    def __post_init__(self) -> None:
        self.cluster = Cluster(self.loop.clock)
        self.stepper = Stepper(
            self.settings,
            target=self.cluster,
            recorder=self.decisions,
            clock=self.loop.clock,
            histories=self.histories,
            term=LeadershipTerm(Always(), self.loop.clock),
            visibility=self.visibility,
        )

    @asynccontextmanager
    async def stepping(self) -> AsyncIterator[None]:
        """Descents are carried on meanwhile."""
        descents = asyncio.create_task(self.stepper.run())
        try:
            yield
        finally:
            descents.cancel()
            await asyncio.wait([descents])

    def steps(self, ref: FunctionRef = ECHO) -> list[tuple[float, int, int]]:
        """Second, before and after of each change."""
        return [
            (round(decision.at - EPOCH, 3), decision.before, decision.after)
            for decision in self.decisions.all
            if decision.changes and decision.ref == ref
        ]


def raising(error: Exception) -> Hook:
    async def hook() -> None:
        raise error

    return hook


async def hang() -> None:
    await asyncio.sleep(1e6)


async def test_repeated_alert_climbs_a_step_each_interval_up_to_max() -> None:
    world = World()

    async with world.stepping():
        await world.cluster.deploy(ECHO)
        for _ in range(8):
            assert await world.stepper.deliver([firing()]) == []
            await asyncio.sleep(5)

    assert world.steps() == [(0, 1, 5), (5, 5, 9), (10, 9, 13), (15, 13, 17), (20, 17, 20)]
    assert world.decisions.reasons()[-1] == Reason.AT_MAX


async def test_redelivery_within_the_interval_is_not_a_second_step() -> None:
    world = World()

    async with world.stepping():
        await world.cluster.deploy(ECHO)
        await world.stepper.deliver([firing()])
        await asyncio.sleep(4.9)
        await world.stepper.deliver([firing()])

    assert world.steps() == [(0, 1, 5)]
    assert world.decisions.reasons() == ["alert_firing", "redelivered"]


async def test_resolved_alert_descends_a_step_each_interval_down_to_min() -> None:
    world = World()

    async with world.stepping():
        await world.cluster.deploy(ECHO, replicas=20, min="2")
        await world.stepper.deliver([resolved()])
        await asyncio.sleep(60)

    assert world.steps() == [(0, 20, 16), (5, 16, 12), (10, 12, 8), (15, 8, 4), (20, 4, 2)]
    assert {decision.reason for decision in world.decisions.all if decision.changes} == {Reason.ALERT_RESOLVED}


async def test_step_interval_label_sets_the_pace_of_the_descent() -> None:
    world = World()

    async with world.stepping():
        await world.cluster.deploy(ECHO, replicas=20)
        await world.cluster.deploy(OTHER, replicas=1)
        await world.cluster.relabel(ECHO, {"com.springtide.scale.step-interval": "12s"})
        await world.stepper.deliver([resolved()])
        await asyncio.sleep(60)

    assert [second for second, _, _ in world.steps()] == [0, 12, 24, 36, 48]


async def test_a_label_can_bring_the_drop_to_min_back() -> None:
    world = World()

    async with world.stepping():
        await world.cluster.deploy(ECHO, replicas=20)
        await world.cluster.relabel(ECHO, {"com.springtide.scale.down": "min"})
        await world.stepper.deliver([resolved()])
        await asyncio.sleep(60)

    assert world.steps() == [(0, 20, 1)]


async def test_alert_that_fires_again_ends_the_descent() -> None:
    world = World()

    async with world.stepping():
        await world.cluster.deploy(ECHO, replicas=20)
        await world.stepper.deliver([resolved()])
        await asyncio.sleep(7)
        await world.stepper.deliver([firing(starts_at="t1")])
        await asyncio.sleep(60)

    assert world.steps() == [(0, 20, 16), (5, 16, 12), (7, 12, 16)]


async def test_descent_begun_anew_after_a_pause_has_one_step_an_interval() -> None:
    world = World()

    async with world.stepping():
        await world.cluster.deploy(ECHO, replicas=20)
        await world.stepper.deliver([resolved()])
        await asyncio.sleep(1)
        await world.stepper.deliver([firing(starts_at="t1")])
        await asyncio.sleep(1)
        await world.stepper.deliver([resolved(starts_at="t1")])
        await asyncio.sleep(60)

    assert world.steps() == [(0, 20, 16), (1, 16, 20), (5, 20, 16), (10, 16, 12), (15, 12, 8), (20, 8, 4), (25, 4, 1)]


async def test_several_alerts_of_one_function_are_one_write() -> None:
    world = World()

    async with world.stepping():
        await world.cluster.deploy(ECHO)
        await world.stepper.deliver([firing(alert="busy"), firing(alert="slow"), firing(alert="queue")])

    assert world.steps() == [(0, 1, 5)]


async def test_alerts_that_are_new_with_each_evaluation_step_once_an_interval() -> None:
    """Rules of OpenFaaS until 2019 have ``value: {{ $value }}`` among their labels."""
    world = World()

    async with world.stepping():
        await world.cluster.deploy(ECHO)
        for number in range(24):
            await world.stepper.deliver([firing(alert=f"value {number}"), resolved(alert=f"value {number - 1}")])
            await asyncio.sleep(0.5)

    assert world.steps() == [(0, 1, 5), (5, 5, 9), (10, 9, 13)]


async def test_alert_that_flaps_takes_no_more_than_a_step_an_interval_in_either_direction() -> None:
    world = World()

    async with world.stepping():
        await world.cluster.deploy(ECHO, replicas=15)
        for number in range(6):
            await world.stepper.deliver([firing(starts_at=f"t{number}")])
            await asyncio.sleep(1)
            await world.stepper.deliver([resolved(starts_at=f"t{number}")])
            await asyncio.sleep(1)

    up = [at for at, before, after in world.steps() if after > before]
    down = [at for at, before, after in world.steps() if after < before]
    assert (up, down) == ([0, 6], [1, 6, 11])


@pytest.mark.parametrize("reverse", [False, True], ids=["firing first", "resolved first"])
async def test_what_fires_outweighs_what_resolved_in_the_same_delivery(reverse: bool) -> None:
    world = World()
    events = [firing(alert="busy"), resolved(alert="slow")]

    async with world.stepping():
        await world.cluster.deploy(ECHO, replicas=5)
        await world.stepper.deliver(events[::-1] if reverse else events)
        await asyncio.sleep(60)

    assert world.cluster.writes == [(ECHO, 9)]


@pytest.mark.parametrize(
    ("labels", "replicas", "reason"),
    [
        pytest.param({}, 0, "asleep", id="asleep"),
        pytest.param({"factor": "0"}, 3, "factor_zero", id="with factor 0"),
        pytest.param({"type": "cpu"}, 3, "not_owner", id="handed to an HPA"),
        pytest.param({"min": "3", "max": "3"}, 3, "fixed_size", id="of fixed size"),
    ],
)
@pytest.mark.parametrize("event", [firing(), resolved()], ids=["firing", "resolved"])
async def test_what_is_not_the_alert_paths_is_left_alone(
    labels: dict[str, str], replicas: int, reason: str, event: AlertEvent
) -> None:
    world = World()

    async with world.stepping():
        await world.cluster.deploy(ECHO, replicas=replicas, **labels)
        assert await world.stepper.deliver([event]) == []
        await asyncio.sleep(60)

    assert world.cluster.writes == []
    assert world.decisions.reasons() == [reason]


async def test_function_that_does_not_exist_is_no_failure() -> None:
    world = World()

    async with world.stepping():
        await world.cluster.deploy(OTHER)
        assert await world.stepper.deliver([firing(ECHO), firing(OTHER)]) == []

    assert world.decisions.reasons(ECHO) == ["unknown_function"]
    assert world.cluster.writes == [(OTHER, 5)]


async def test_name_the_provider_refuses_is_no_failure() -> None:
    world = World()

    async with world.stepping():
        world.cluster.on_read[ECHO] = raising(BadInput("not a name"))
        assert await world.stepper.deliver([firing()]) == []

    assert world.decisions.reasons() == ["unknown_function"]


@pytest.mark.parametrize(
    ("at", "hook", "told", "reason"),
    [
        pytest.param("on_read", raising(Unavailable("provider down")), "provider down", "no_data", id="read fails"),
        pytest.param("on_read", hang, "reading: no answer within 5 s", "no_data", id="read hangs"),
        pytest.param("on_write", raising(Unavailable("refused")), "refused", "write_failed", id="write fails"),
        pytest.param("on_write", raising(BadInput("no more")), "no more", "write_failed", id="write is refused"),
        pytest.param("on_write", hang, "writing: no answer within 5 s", "write_failed", id="write hangs"),
    ],
)
async def test_failure_of_one_function_is_told_and_leaves_the_others_alone(
    at: str, hook: Hook, told: str, reason: str
) -> None:
    world = World()

    with structlog.testing.capture_logs() as lines:
        async with world.stepping():
            await world.cluster.deploy(ECHO)
            await world.cluster.deploy(OTHER)
            getattr(world.cluster, at)[ECHO] = hook
            assert await world.stepper.deliver([firing(ECHO), firing(OTHER)]) == [f"{ECHO}: {told}"]

            getattr(world.cluster, at).clear()
            assert await world.stepper.deliver([firing(ECHO), firing(OTHER)]) == []

    assert world.decisions.reasons(ECHO) == [reason, "alert_firing"]
    assert [line["why"] for line in lines if line["log_level"] == "warning"] == [f"{ECHO}: {told}"]
    assert world.cluster.writes[0] == (OTHER, 5)
    assert world.steps(ECHO)[0][1:] == (1, 5)


async def test_functions_are_dealt_with_side_by_side_and_leave_a_slot_to_others() -> None:
    world = World(settings=AlertReceiverSettings(concurrency=4))
    refs = [FunctionRef("openfaas-fn", f"f{number}") for number in range(12)]
    reading, most = 0, 0

    async def slowly() -> None:
        nonlocal reading, most
        reading += 1
        most = max(most, reading)
        await asyncio.sleep(1)
        reading -= 1

    async with world.stepping():
        for ref in refs:
            await world.cluster.deploy(ref)
            world.cluster.on_read[ref] = slowly
        await world.stepper.deliver([firing(ref) for ref in refs])
        assert world.loop.clock.now() == pytest.approx(4)

    assert (most, len(world.cluster.writes)) == (3, 12)


async def test_two_deliveries_for_one_function_wait_for_each_other() -> None:
    world = World()

    async def slowly() -> None:
        await asyncio.sleep(1)

    async with world.stepping():
        await world.cluster.deploy(ECHO)
        world.cluster.on_write[ECHO] = slowly
        await asyncio.gather(
            world.stepper.deliver([firing()]),  # both from one pair of Alertmanagers
            world.stepper.deliver([firing()]),
        )

    assert world.cluster.writes == [(ECHO, 5)]
    assert world.decisions.reasons() == ["alert_firing", "redelivered"]
    assert repr(world.stepper).startswith("<Stepper 0 functions in hand")


async def test_lost_race_is_read_and_decided_anew() -> None:
    world = World()

    async def a_person_first() -> None:
        world.cluster.on_write.clear()
        await world.cluster.scale(ECHO, 10)

    async with world.stepping():
        await world.cluster.deploy(ECHO)
        world.cluster.on_write[ECHO] = a_person_first
        assert await world.stepper.deliver([firing()]) == []

    assert world.cluster.writes == [(ECHO, 14)]
    assert world.decisions.reasons() == ["lost_race", "alert_firing"]
    assert world.decisions.counts() == [(10, 14)]


async def test_race_lost_twice_is_a_failure_that_may_be_repeated() -> None:
    world = World()

    async with world.stepping():
        await world.cluster.deploy(ECHO)
        world.cluster.on_write[ECHO] = raising(Conflict("moved on"))
        assert await world.stepper.deliver([firing()]) == [f"{ECHO}: another writer came first, twice: moved on"]
        world.cluster.on_write.clear()
        assert await world.stepper.deliver([firing()]) == []

    assert world.cluster.reads[ECHO] == 3
    assert world.decisions.reasons() == ["lost_race", "lost_race", "alert_firing"]
    assert world.cluster.writes == [(ECHO, 5)]


async def test_function_idled_between_read_and_write_is_not_woken() -> None:
    world = World()

    async def idled() -> None:
        world.cluster.on_write.clear()
        await world.cluster.scale(ECHO, 0)

    async with world.stepping():
        await world.cluster.deploy(ECHO)
        world.cluster.on_write[ECHO] = idled
        assert await world.stepper.deliver([firing()]) == []
        assert await world.cluster.count(ECHO) == 0

    assert world.cluster.writes == []
    assert world.decisions.reasons() == ["lost_race", "asleep"]


async def test_function_deleted_between_read_and_write_is_no_failure() -> None:
    world = World()

    async with world.stepping():
        await world.cluster.deploy(ECHO, replicas=9)
        world.cluster.on_write[ECHO] = raising(NotFound("gone"))
        assert await world.stepper.deliver([resolved()]) == []
        await asyncio.sleep(60)

    assert world.decisions.reasons() == ["unknown_function"]
    assert world.histories.descending() == []


async def test_descent_goes_on_through_failures() -> None:
    world = World()

    async with world.stepping():
        await world.cluster.deploy(ECHO, replicas=9)
        await world.stepper.deliver([resolved()])
        world.cluster.on_write[ECHO] = raising(Unavailable("down"))
        await asyncio.sleep(12)
        world.cluster.on_write.clear()
        await asyncio.sleep(60)

    assert world.steps() == [(0, 9, 5), (15, 5, 1)]  # tried in vain at 5 and 10; the last step is tried again, too
    assert world.decisions.reasons()[1:3] == ["write_failed"] * 2


async def test_first_step_down_that_failed_is_made_up_for_even_if_nobody_repeats_it() -> None:
    world = World()

    async with world.stepping():
        await world.cluster.deploy(ECHO, replicas=20)
        world.cluster.on_write[ECHO] = raising(Unavailable("down"))
        assert await world.stepper.deliver([resolved()]) != []
        world.cluster.on_write.clear()
        await asyncio.sleep(60)

    assert world.steps()[0] == (5, 20, 16)
    assert world.steps()[-1][2] == 1


async def test_descent_under_way_survives_a_restart() -> None:
    histories = HistoryStore()
    histories.put(ECHO, StepHistory(descending=True, last_step_down=Instant(EPOCH - 2)))
    world = World(histories=histories)

    async with world.stepping():
        await world.cluster.deploy(ECHO, replicas=12)
        await asyncio.sleep(60)

    assert world.steps() == [(3, 12, 8), (8, 8, 4), (13, 4, 1)]


async def test_firing_alert_from_before_a_restart_still_holds_the_descent_back() -> None:
    histories = HistoryStore()
    histories.put(ECHO, StepHistory(firing={AlertId("slow", "t0"): Instant(EPOCH - 10)}))
    world = World(histories=histories)

    async with world.stepping():
        await world.cluster.deploy(ECHO, replicas=12)
        await world.stepper.deliver([resolved()])
        await asyncio.sleep(60)

    assert world.cluster.writes == []
    assert world.decisions.reasons() == ["still_firing"]


async def test_clock_set_back_by_an_hour_holds_no_descent_up() -> None:
    histories = HistoryStore()
    histories.put(ECHO, StepHistory(descending=True, last_step_down=Instant(EPOCH + 3600)))
    world = World(histories=histories)

    async with world.stepping():
        await world.cluster.deploy(ECHO, replicas=5)
        await asyncio.sleep(60)

    assert world.steps() == [(5, 5, 1)]


async def test_clock_set_back_by_an_hour_holds_no_climb_up() -> None:
    histories, ahead = HistoryStore(), Instant(EPOCH + 3600)
    histories.put(ECHO, StepHistory(firing={firing().id: ahead}, last_step_up=ahead))
    world = World(histories=histories)

    async with world.stepping():
        await world.cluster.deploy(ECHO)
        await world.stepper.deliver([firing()])
        await asyncio.sleep(10)
        await world.stepper.deliver([resolved(alert="slow")])
        await world.stepper.deliver([resolved()])

    assert world.steps() == [(0, 1, 5), (10, 5, 1)]


async def test_deleted_function_ends_its_descent() -> None:
    world = World()

    async with world.stepping():
        await world.cluster.deploy(ECHO, replicas=20)
        await world.stepper.deliver([resolved()])
        await world.cluster.provider.delete(ECHO)
        await asyncio.sleep(60)

    assert world.steps() == [(0, 20, 16)]
    assert world.decisions.reasons() == ["alert_resolved", "unknown_function"]
    assert "0 descents" in repr(world.stepper)


async def test_stop_in_the_middle_of_a_write_leaves_the_step_to_be_made_again() -> None:
    world = World()

    async with world.stepping():
        await world.cluster.deploy(ECHO)
        world.cluster.on_write[ECHO] = hang
        delivering = asyncio.create_task(world.stepper.deliver([firing()]))
        await asyncio.sleep(1)
        delivering.cancel()
        await asyncio.wait([delivering])
        world.cluster.on_write.clear()
        await world.stepper.deliver([firing()])

    assert world.cluster.writes == [(ECHO, 5)]


async def test_an_error_nobody_foresaw_in_a_descent_ends_the_loop() -> None:
    world = World()

    await world.cluster.deploy(ECHO, replicas=20)
    descents = asyncio.create_task(world.stepper.run())
    await world.stepper.deliver([resolved()])
    await asyncio.sleep(0)
    await world.stepper.deliver([resolved(alert="again")])
    world.cluster.on_read[ECHO] = raising(ZeroDivisionError("a bug"))
    with pytest.raises(ExceptionGroup):
        await descents


deliveries = st.lists(
    st.tuples(
        st.floats(0, 20),
        st.lists(
            st.builds(
                AlertEvent,
                ref=st.sampled_from([ECHO, OTHER]),
                status=st.sampled_from(AlertStatus),
                id=st.builds(AlertId, st.sampled_from("ab"), st.sampled_from("12")),
            ),
            max_size=4,
        ),
        st.sampled_from(["fine", "fails", "raced"]),
    ),
    max_size=12,
)


@settings(deadline=None)
@given(deliveries, st.integers(0, 20), st.integers(1, 20), st.sampled_from(["0", "10", "20", "100"]))
async def test_whatever_is_delivered_counts_stay_between_min_and_max_and_asleep_stays_asleep(
    story_of: list[tuple[float, list[AlertEvent], str]], replicas: int, low: int, factor: str
) -> None:
    world = World()

    async def raced() -> None:
        world.cluster.on_write.clear()
        await world.cluster.scale(ECHO, max(1, replicas))

    async with world.stepping():
        await world.cluster.deploy(ECHO, replicas=replicas, min=str(low), factor=factor)
        await world.cluster.deploy(OTHER, replicas=0)
        for pause, events, what in story_of:
            await asyncio.sleep(pause)
            world.cluster.on_write.clear()
            if what == "fails":
                world.cluster.on_write[ECHO] = raising(Unavailable("down"))
            elif what == "raced" and replicas:
                world.cluster.on_write[ECHO] = raced
            writes = len(world.cluster.writes)
            await world.stepper.deliver(events)
            assert len(world.cluster.writes) <= writes + 1  # one write a function and delivery
        world.cluster.on_write.clear()
        await asyncio.sleep(1000)

    assert {ref for ref, _ in world.cluster.writes} <= {ECHO}
    assert all(1 <= count <= 20 for _, count in world.cluster.writes)
    if replicas == 0 or factor == "0":
        assert world.cluster.writes == []
    assert world.histories.descending() == []


@pytest.mark.parametrize(("start", "steps"), [(20, [(20, 16), (16, 12), (12, 8), (8, 4), (4, 1)]), (5, [(5, 1)])])
async def test_descent_waits_while_load_is_not_measured_and_goes_on_when_it_has_been_for_a_while(
    start: int, steps: list[tuple[int, int]]
) -> None:
    """Alertmanager resolves the alerts of a Prometheus that is gone: ten minutes of that take nothing away."""
    source = ScriptedActivity(unknown("Prometheus cannot be asked"))
    world = World(visibility=LoadVisibility(source))

    async with world.stepping():
        await world.cluster.deploy(ECHO, replicas=start)
        assert await world.stepper.deliver([resolved()]) == []
        await asyncio.sleep(600)
        assert world.steps() == []
        assert set(world.decisions.reasons()) == {Reason.NO_DATA}
        source.script = silent_since(EPOCH)
        await asyncio.sleep(60)

    assert [(before, after) for _, before, after in world.steps()] == steps
    assert world.steps()[0][0] == 625
    down = next(decision for decision in world.decisions.all if decision.changes)
    assert (down.inputs["in_flight"], down.inputs["data_age_s"]) == (0, 0)


async def test_alert_that_fires_again_after_an_outage_finds_every_replica_there() -> None:
    source = ScriptedActivity(unknown("Prometheus cannot be asked"))
    world = World(visibility=LoadVisibility(source))

    async with world.stepping():
        await world.cluster.deploy(ECHO, replicas=17)
        await world.stepper.deliver([resolved()])
        await asyncio.sleep(100)
        source.script = silent_since(EPOCH)
        await asyncio.sleep(20)
        await world.stepper.deliver([firing(starts_at="t1")])
        await asyncio.sleep(100)

    assert [(before, after) for _, before, after in world.steps()] == [(17, 20)]
