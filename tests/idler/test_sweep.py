"""The idler's loop in virtual time: what it writes, when to the second, and why it does not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from springtide.idler.settings import IdlerSettings
from springtide.idler.sweep import Idler, IdlerDeps, PlanSource, pause_s
from springtide.runtime.errors import Conflict, NotFound, SpringtideError, Unavailable, Unsupported
from springtide.runtime.virtual_time import EPOCH, VirtualTimeLoop
from springtide.scaler.core.delayed_calls import DelayedCalls
from springtide.scaler.core.idle import Activity
from springtide.scaler.core.keepalive.rule import Basis, NotLearned, Why, Window
from springtide.scaler.core.learned_silence import LearnedSilence
from springtide.scaler.core.ports import ActivitySource, DelayedCallSource, ExpectedCalls
from springtide.scaler.core.prewarm import CallSource, ExpectedCall
from springtide.scaler.core.vocabulary import Function, FunctionRef, Instant, NoData, Sample
from tests.fakes.activity import Calls, ScriptedActivity, silent_since, unknown
from tests.fakes.cluster import Cluster, Decisions, Hook
from tests.loops import virtual_loop

pytestmark = pytest.mark.virtual_time


ECHO = FunctionRef("openfaas-fn", "echo")
OTHER = FunctionRef("openfaas-fn", "other")
SETTINGS = IdlerSettings(inactivity_s=300, sweep_s=30)
LONG_AGO = EPOCH - 10_000


@dataclass
class World:
    """One idler, its cluster and what it sees, at second 0 of a virtual-time loop."""

    settings: IdlerSettings = SETTINGS
    activity: ScriptedActivity = field(default_factory=lambda: ScriptedActivity(silent_since(LONG_AGO)))
    recheck: ActivitySource | None = None
    expected: ExpectedCalls | None = None
    delayed: DelayedCallSource | None = None
    sleep: PlanSource | None = None
    loop: VirtualTimeLoop = field(default_factory=virtual_loop)
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    decisions: Decisions = field(default_factory=Decisions)

    def __post_init__(self) -> None:
        self.clock = self.loop.clock
        self.cluster = Cluster(self.clock)
        self.idler = Idler(
            self.settings,
            IdlerDeps(
                catalog=self.cluster,
                target=self.cluster,
                activity=self.activity,
                recheck=self.recheck,
                registry=self.registry,
                recorder=self.decisions,
                clock=self.clock,
                expected=self.expected,
                delayed=self.delayed,
                sleep=self.sleep,
            ),
        )

    async def runs_for(self, seconds: float) -> None:
        with_end = asyncio.wait_for(self.idler.run(), seconds)
        with pytest.raises(TimeoutError):
            await with_end

    def zeroed_at(self, ref: FunctionRef = ECHO) -> list[float]:
        return [decision.at - EPOCH for decision in self.decisions.all if decision.changes and decision.ref == ref]

    def value(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(name, labels)


def raising(error: Exception) -> Hook:
    async def hook() -> None:
        raise error

    return hook


async def hang() -> None:
    await asyncio.sleep(1e6)


async def test_silent_function_goes_to_zero_at_the_first_sweep_after_its_duration() -> None:
    world = World()

    await world.cluster.deploy(ECHO, replicas=3, zero="true")
    await world.runs_for(400)

    assert world.zeroed_at() == [300]
    assert world.cluster.writes == [(ECHO, 0)]
    assert world.decisions.counts() == [(3, 0)]


async def test_duration_label_of_twenty_seconds_is_kept_to_the_sweep() -> None:
    world = World(settings=IdlerSettings(sweep_s=5))

    await world.cluster.deploy(ECHO, zero="true", zero_duration="20s")
    await world.runs_for(60)

    assert world.zeroed_at() == [20]


async def test_woken_function_has_its_whole_duration_again() -> None:
    world = World()

    await world.cluster.deploy(ECHO, zero="true")
    idling = asyncio.create_task(world.runs_for(1000))
    await asyncio.sleep(415)
    await world.cluster.scale(ECHO, 1)
    await idling

    assert world.zeroed_at() == [300, 720]  # seen awake at 420


@pytest.mark.parametrize(
    "labels",
    [
        pytest.param({}, id="without the label"),
        pytest.param({"zero": "false"}, id="opted out"),
        pytest.param({"zero": "true", "zero_duration": "1h"}, id="with a longer duration"),
    ],
)
async def test_function_is_left_alone(labels: dict[str, str]) -> None:
    world = World()

    await world.cluster.deploy(ECHO, replicas=2, **labels)
    await world.runs_for(1800)

    assert world.cluster.writes == []


async def test_one_question_serves_every_function() -> None:
    world = World()
    refs = [FunctionRef("openfaas-fn", f"f{number}") for number in range(50)]

    for ref in refs:
        await world.cluster.deploy(ref, zero="true")
    await world.cluster.deploy(OTHER)
    await world.idler.sweep(Instant(world.clock.wall()))

    assert [sorted(asked) for asked in world.activity.asked] == [sorted(refs)]


async def test_prometheus_is_not_asked_when_no_function_opted_in() -> None:
    world = World()

    await world.cluster.deploy(OTHER)
    await world.idler.sweep(Instant(world.clock.wall()))

    assert world.activity.asked == []
    assert world.decisions.reasons() == ["not_opted_in"]


@pytest.mark.parametrize(
    ("second_look", "reason"),
    [
        pytest.param(lambda _r, now: Activity(Sample(1, now), Sample(LONG_AGO, now)), "in_flight", id="a call came"),
        pytest.param(lambda _r, now: Activity(Sample(0, now), Sample(now - 1, now)), "recently_active", id="one ended"),
        pytest.param(unknown("gateway gone"), "no_data", id="a gateway does not answer"),
        pytest.param(lambda _r, now: Activity(Sample(0, now), NoData("not there")), "no_data", id="half an answer"),
    ],
)
async def test_second_look_right_before_the_write_decides(
    second_look: Callable[[FunctionRef, Instant], Activity], reason: str
) -> None:
    world = World(recheck=ScriptedActivity(second_look))

    await world.cluster.deploy(ECHO, zero="true")
    await world.runs_for(301)

    assert world.cluster.writes == []
    assert world.decisions.all[-1].reason == reason
    assert world.decisions.all[-1].detail.startswith("on the second look: ")


async def test_gateways_are_asked_after_the_version_was_read() -> None:
    order: list[str] = []
    world = World(recheck=ScriptedActivity(lambda _r, now: Activity(Sample(0, now), Sample(LONG_AGO, now))))
    assert isinstance(world.recheck, ScriptedActivity)
    script = world.recheck.script

    def noting(ref: FunctionRef, now: Instant) -> Activity:
        order.append("gateways")
        return script(ref, now)

    world.recheck.script = noting

    async def note(what: str) -> None:
        order.append(what)

    await world.cluster.deploy(ECHO, zero="true")
    world.cluster.on_read[ECHO] = lambda: note("read")
    world.cluster.on_write[ECHO] = lambda: note("write")
    await world.runs_for(301)

    assert order == ["read", "gateways", "write"]


async def test_one_look_at_the_gateways_serves_a_batch() -> None:
    recheck = ScriptedActivity(silent_since(LONG_AGO))
    world = World(settings=IdlerSettings(inactivity_s=300, concurrency=16), recheck=recheck)

    for number in range(40):
        await world.cluster.deploy(FunctionRef("openfaas-fn", f"f{number}"), zero="true")
    await world.runs_for(301)

    assert len(world.cluster.writes) == 40
    assert [len(asked) for asked in recheck.asked] == [16, 16, 8]


@pytest.mark.parametrize(
    ("at", "hook", "reason"),
    [
        pytest.param("on_read", raising(Unavailable("provider down")), "no_data", id="it cannot be read again"),
        pytest.param("on_read", raising(NotFound("no such function")), "unknown_function", id="it was deleted"),
        pytest.param("on_read", hang, "no_data", id="reading it hangs"),
        pytest.param("on_write", raising(Unavailable("provider down")), "write_failed", id="it cannot be written"),
        pytest.param("on_write", raising(Conflict("moved on")), "lost_race", id="another writer came first"),
        pytest.param(
            "on_write", raising(NotFound("no such function")), "unknown_function", id="deleted before the write"
        ),
        pytest.param("on_write", hang, "write_failed", id="writing it hangs"),
    ],
)
async def test_what_fails_for_one_function_leaves_the_others_alone(at: str, hook: Hook, reason: str) -> None:
    world = World()

    await world.cluster.deploy(ECHO, replicas=2, zero="true")
    await world.cluster.deploy(OTHER, zero="true")
    getattr(world.cluster, at)[ECHO] = hook
    await world.runs_for(320)

    last = [decision for decision in world.decisions.all if decision.ref == ECHO][-1]
    assert world.cluster.writes == [(OTHER, 0)]
    assert (last.reason, last.before, last.after) == (reason, 2, 2)


async def test_wake_between_the_read_and_the_write_wins() -> None:
    world = World()

    async def woken() -> None:
        del world.cluster.on_write[ECHO]
        await world.cluster.scale(ECHO, 4)

    await world.cluster.deploy(ECHO, zero="true")
    world.cluster.on_write[ECHO] = woken
    await world.runs_for(301)
    assert await world.cluster.count(ECHO) == 4

    assert world.cluster.writes == []
    assert world.decisions.all[-1].reason == "lost_race"


async def test_opting_out_between_decision_and_write_is_respected() -> None:
    world = World()

    async def opt_out() -> None:
        await world.cluster.deploy(ECHO, replicas=1, zero="false")

    await world.cluster.deploy(ECHO, zero="true")
    world.cluster.on_read[ECHO] = opt_out
    await world.runs_for(301)

    assert world.cluster.writes == []
    assert world.decisions.all[-1].reason == "not_opted_in"


async def test_dry_run_says_what_it_would_do_and_writes_nothing() -> None:
    world = World(settings=IdlerSettings(inactivity_s=300, sweep_s=30, dry_run=True))

    await world.cluster.deploy(ECHO, replicas=3, zero="true")
    await world.runs_for(400)
    assert await world.cluster.count(ECHO) == 3

    told = [decision for decision in world.decisions.all if decision.reason == "dry_run"]
    assert world.cluster.writes == []
    assert [decision.at - EPOCH for decision in told] == [300, 330, 360, 390]
    assert not any(decision.changes for decision in told)
    assert told[0].detail.startswith("would go from 3 to 0: silent for")


async def test_writes_are_bounded_side_by_side() -> None:
    world = World(settings=IdlerSettings(inactivity_s=300, concurrency=4))
    writing, most = 0, 0

    async def slowly() -> None:
        nonlocal writing, most
        writing += 1
        most = max(most, writing)
        await asyncio.sleep(1)
        writing -= 1

    for number in range(10):
        ref = FunctionRef("openfaas-fn", f"f{number}")
        await world.cluster.deploy(ref, zero="true")
        world.cluster.on_write[ref] = slowly
    await world.runs_for(310)

    assert (most, len(world.cluster.writes)) == (4, 10)


async def test_deleted_function_is_forgotten() -> None:
    world = World()

    await world.cluster.deploy(ECHO, zero="true")
    await world.cluster.deploy(OTHER, zero="true")
    await world.idler.sweep(Instant(world.clock.wall()))
    assert repr(world.idler) == "<Idler 2 functions>"
    await world.cluster.provider.delete(ECHO)
    await world.idler.sweep(Instant(world.clock.wall()))
    assert repr(world.idler) == "<Idler 1 functions>"


@pytest.mark.parametrize("failure", [raising(Unavailable("connection refused")), hang], ids=["down", "hanging"])
async def test_when_functions_cannot_be_listed_nothing_is_done_and_settling_begins_anew(failure: Hook) -> None:
    world = World()

    await world.cluster.deploy(ECHO, zero="true")
    idling = asyncio.create_task(world.runs_for(600))
    await asyncio.sleep(295)
    world.cluster.on_list = failure
    await asyncio.sleep(100)
    world.cluster.on_list = None
    await idling

    assert world.zeroed_at() == [480]  # fails at 300 and 360, measured again from 420 on, believed 60 s later
    assert world.value("springtide_source_failures_total", signal="functions") == 2


@pytest.mark.parametrize(
    ("sweep_s", "pauses"),
    [
        pytest.param(5, [5, 10, 20, 40, 60, 60], id="doubles up to a minute"),
        pytest.param(30, [30, 60, 60], id="from half a minute"),
        pytest.param(300, [300, 300], id="never sooner than an ordinary sweep"),
    ],
)
def test_failed_sweeps_come_at_longer_intervals(sweep_s: float, pauses: list[float]) -> None:
    assert [pause_s(sweep_s, failures) for failures in range(len(pauses))] == pauses
    assert pause_s(sweep_s, 10**6) == max(sweep_s, 60)


async def test_sweeps_start_at_equal_intervals_however_long_they_take() -> None:
    world = World()
    starts: list[float] = []

    async def slow_listing() -> None:
        starts.append(world.clock.now())
        await asyncio.sleep(7)

    world.cluster.on_list = slow_listing
    await world.runs_for(100)

    assert starts == [0, 30, 60, 90]


async def test_source_that_hangs_is_given_up_and_holds_everything() -> None:
    world = World()
    world.activity.before = hang

    await world.cluster.deploy(ECHO, zero="true")
    await world.runs_for(600)

    assert world.cluster.writes == []
    assert set(world.decisions.reasons()) == {"no_data"}
    assert world.decisions.all[0].detail == "calls in flight: measuring: no answer within 10 s"


async def test_function_the_source_left_out_is_held() -> None:
    world = World()
    world.activity.left_out = {ECHO}

    await world.cluster.deploy(ECHO, zero="true")
    await world.cluster.deploy(OTHER, zero="true")
    await world.runs_for(400)

    assert world.cluster.writes == [(OTHER, 0)]
    assert set(world.decisions.reasons(ECHO)) == {"no_data"}


async def test_sweeps_and_failures_are_measured() -> None:
    world = World(activity=ScriptedActivity(unknown("Prometheus is down")))

    await world.cluster.deploy(ECHO, zero="true")
    await world.runs_for(65)

    assert world.value("springtide_idler_last_sweep_timestamp_seconds") == EPOCH + 60
    assert world.value("springtide_idler_sweep_seconds_count") == 3
    assert world.value("springtide_source_failures_total", signal="in_flight") == 3
    assert world.value("springtide_source_failures_total", signal="last_active") == 3
    assert world.value("springtide_decisions_total", writer="idler", reason="no_data") == 3


async def test_age_of_the_newest_measurement_shows_and_stays_when_none_comes_any_more() -> None:
    world = World()

    await world.cluster.deploy(ECHO, zero="true")
    await world.runs_for(35)
    world.activity.script = unknown("Prometheus is down")
    await world.runs_for(65)

    for signal in ("in_flight", "last_active"):
        assert world.value("springtide_source_last_sample_timestamp_seconds", signal=signal) == EPOCH + 30


async def test_an_error_nobody_foresaw_ends_the_loop() -> None:
    world = World()

    world.cluster.on_list = raising(ZeroDivisionError("a bug"))
    with pytest.raises(ZeroDivisionError):
        await world.idler.run()


calls = st.lists(st.tuples(st.floats(0, 3000), st.floats(0, 900)), max_size=8)


@settings(deadline=None)
@given(calls, st.floats(1, 600), st.floats(1, 30))
async def test_never_zero_while_a_call_runs_or_before_the_duration_has_passed(
    made: list[tuple[float, float]], duration_s: float, scrape_s: float
) -> None:
    """Prometheus is up to a scrape behind, the gateway never; a call to a function at zero wakes it."""
    truth = Calls(EPOCH, [(EPOCH + start, EPOCH + start + length) for start, length in made])
    world = World(
        settings=IdlerSettings(sweep_s=10),
        activity=ScriptedActivity(truth.scraped_every(scrape_s)),
        recheck=ScriptedActivity(truth.script),
    )

    async def checked() -> None:
        now = world.clock.wall()
        assert truth.in_flight(now) == 0
        assert now - truth.last_active(now) >= duration_s

    async def callers() -> None:
        for start, _ in sorted(truth.calls):
            await asyncio.sleep(start - world.clock.wall())
            if await world.cluster.count(ECHO) == 0:
                await world.cluster.scale(ECHO, 1)

    duration_s = float(f"{duration_s:.3f}")
    await world.cluster.deploy(ECHO, zero="true", zero_duration=f"{duration_s:.3f}s")
    world.cluster.on_write[ECHO] = checked
    calling = asyncio.create_task(callers())
    await world.runs_for(5000)
    await calling
    assert await world.cluster.count(ECHO) == 0  # and in the end it does go


async def test_outage_of_the_source_is_logged_when_it_begins_and_when_it_ends() -> None:
    world = World(activity=ScriptedActivity(unknown("Prometheus cannot be asked")))

    with structlog.testing.capture_logs() as lines:
        await world.cluster.deploy(ECHO, zero="true")
        await world.runs_for(3600)
        world.activity.script = silent_since(EPOCH)
        await world.runs_for(60)

    said = [(line["event"].partition(",")[0], line["signal"]) for line in lines if "signal" in line]
    signals = ("in_flight", "last_active")
    assert said == [(event, signal) for event in ("nothing measured", "measured again") for signal in signals]
    assert world.value("springtide_source_failures_total", signal="in_flight") == 120


@dataclass
class Schedule:
    """Calls ``ECHO`` at these seconds."""

    at: tuple[float, ...]

    def next_call(self, function: Function, after: Instant) -> ExpectedCall | None:
        instants = [Instant(EPOCH + at) for at in self.at if function.ref == ECHO and EPOCH + at > after]
        return ExpectedCall(min(instants), CallSource.SCHEDULE) if instants else None


@pytest.mark.parametrize(
    ("calls_at", "longest_start_s", "zeroed_at"),
    [
        pytest.param((), 3, 300, id="none is known"),
        pytest.param((310,), 3, 330, id="one is near"),
        pytest.param((296,), 3, 330, id="one may be on its way"),
        pytest.param((290,), 3, 300, id="one should have come"),
        pytest.param((320,), 3, 300, id="one is far for a short start"),
        pytest.param((320,), 60, 330, id="one is near for a long start"),
        pytest.param((310, 340, 370), 3, 390, id="one follows the other"),
        pytest.param((318,), None, 330, id="one is near where no start was measured"),
    ],
)
async def test_silent_function_is_kept_for_a_call_that_is_known_to_come(
    calls_at: tuple[float, ...], longest_start_s: float | None, zeroed_at: float
) -> None:
    world = World(expected=Schedule(calls_at))
    for ref in (ECHO, OTHER):
        await world.cluster.deploy(ref, zero="true")
        if longest_start_s is not None:
            await world.cluster.provider.keep_start(ref, longest_start_s)

    await world.runs_for(400)

    assert (world.zeroed_at(), world.zeroed_at(OTHER)) == ([zeroed_at], [300])
    assert ("call_expected" in world.decisions.reasons(ECHO)) is (zeroed_at > 300)


@dataclass
class PutOff:
    """Calls of ``ECHO`` at these seconds; what is behind ``until`` is not told. ``asked``: when, in seconds."""

    at: tuple[float, ...] = ()
    until: float = float("inf")
    failure: SpringtideError | None = None
    hangs: bool = False
    asked: list[float] = field(default_factory=list)

    async def delayed(self) -> DelayedCalls:
        now = virtual_loop().clock.wall()
        self.asked.append(now - EPOCH)
        if self.hangs:
            await hang()
        if self.failure is not None:
            raise self.failure
        due = tuple(EPOCH + at for at in self.at if now - 30 < EPOCH + at < EPOCH + self.until)
        return DelayedCalls({ECHO: due} if due else {}, EPOCH + self.until)


@pytest.mark.parametrize(
    ("delayed", "zeroed_at", "reason"),
    [
        pytest.param(PutOff(), 300, None, id="none was put off"),
        pytest.param(PutOff((310,)), 330, "call_expected", id="one is near"),
        pytest.param(PutOff((296,)), 330, "call_expected", id="one may be on its way"),
        pytest.param(PutOff((320,)), 300, None, id="one is far"),
        pytest.param(PutOff((310, 340, 370)), 390, "call_expected", id="one follows the other"),
        pytest.param(PutOff((5000,), until=400), 300, None, id="those that are not told are far"),
        pytest.param(PutOff((5000,), until=310), None, "no_data", id="those that are not told may be near"),
        pytest.param(PutOff(failure=Unavailable("the queue is away")), None, "no_data", id="nobody tells"),
        pytest.param(PutOff(hangs=True), None, "no_data", id="nobody answers"),
        pytest.param(PutOff(failure=Unsupported("no queues")), 300, None, id="there are no queues"),
    ],
)
async def test_silent_function_is_kept_for_a_call_that_was_put_off(
    delayed: PutOff, zeroed_at: float | None, reason: str | None
) -> None:
    world = World(delayed=delayed)
    await world.cluster.deploy(ECHO, zero="true")
    await world.cluster.provider.keep_start(ECHO, 3)

    await world.runs_for(400)

    assert world.zeroed_at() == ([zeroed_at] if zeroed_at is not None else [])
    told = [each for each in world.decisions.all if each.reason == reason]
    assert bool(told) is (reason is not None)
    assert delayed.asked[0] == 300, "nobody is asked while nothing is idle"
    if reason == "no_data":
        assert all("calls that were put off" in each.detail for each in told)
    failed = world.value("springtide_source_failures_total", signal="delayed") or 0
    assert bool(failed) is (delayed.hangs or isinstance(delayed.failure, Unavailable))


async def test_schedule_that_is_near_is_the_reason_though_delayed_calls_are_not_known() -> None:
    world = World(expected=Schedule((310,)), delayed=PutOff(failure=Unavailable("the queue is away")))
    await world.cluster.deploy(ECHO, zero="true")

    await world.runs_for(310)

    assert world.decisions.reasons(ECHO)[-1] == "call_expected"


LAST_CALL = EPOCH - 10


@dataclass
class Plans:
    """Who learns, and tells this of each function."""

    plan: LearnedSilence | NotLearned
    error: SpringtideError | None = None
    asked: list[list[FunctionRef]] = field(default_factory=list)

    async def plans(self, refs: Iterable[FunctionRef]) -> Mapping[FunctionRef, LearnedSilence | NotLearned]:
        self.asked.append(list(refs))
        if self.error is not None:
            raise self.error
        return dict.fromkeys(self.asked[-1], self.plan)


def plan(*windows: tuple[float, float]) -> LearnedSilence:
    """Windows in seconds since the test began; the pause began at ``LAST_CALL``."""
    first, *later = windows
    times = [Window(LAST_CALL, EPOCH + first[1]), *(Window(EPOCH + since, EPOCH + until) for since, until in later)]
    why = Why(Basis.PAUSES, pauses=9, worth_s=900, within_s=540, ended_share=0.71)
    return LearnedSilence(tuple(times), Instant(LAST_CALL), why)


@pytest.mark.parametrize(
    ("learned", "at"),
    [
        pytest.param(plan((0, 100)), [120], id="sooner than by the fixed duration"),
        pytest.param(plan((0, 700)), [720], id="later"),
        pytest.param(plan((0, 60), (150, 400)), [90], id="between two windows"),
        pytest.param(plan((0, float("inf"))), [], id="never"),
        pytest.param(NotLearned("none of its pauses is known"), [300], id="nothing was learned"),
    ],
)
async def test_learned_plan_says_when_a_function_sleeps(learned: LearnedSilence | NotLearned, at: list[float]) -> None:
    world = World(sleep=Plans(learned), activity=ScriptedActivity(silent_since(LAST_CALL)))

    await world.cluster.deploy(ECHO, zero="true")
    await world.runs_for(1000)

    assert world.zeroed_at() == at


@pytest.mark.parametrize("error", [Unavailable("the gateway is away"), Unsupported("nobody learns")])
async def test_duration_is_the_fixed_one_while_nobody_says_what_was_learned(error: SpringtideError) -> None:
    world = World(sleep=Plans(plan((0, 700)), error))

    await world.cluster.deploy(ECHO, zero="true")
    await world.runs_for(400)

    assert world.zeroed_at() == [300]
    assert (world.value("springtide_source_failures_total", signal="sleep") or 0) == (
        0 if isinstance(error, Unsupported) else 11
    )


async def test_only_of_those_that_are_awake_and_may_sleep_is_it_asked() -> None:
    asked = Plans(NotLearned("no"))
    world = World(sleep=asked)
    await world.cluster.deploy(ECHO, zero="true")
    await world.cluster.deploy(OTHER)
    await world.runs_for(400)

    assert asked.asked
    assert all(refs == [ECHO] for refs in asked.asked)
    assert len(asked.asked) == 11  # then it sleeps
