"""Ten minutes with a Prometheus that cannot be trusted: not one scale-down. And the same ten minutes with one that can.

The functions have been silent for far longer than their duration, so the only thing that holds them is what the
idler does not know.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from prometheus_client import CollectorRegistry

from springtide.idler.settings import IdlerSettings
from springtide.idler.sweep import Idler, IdlerDeps
from springtide.runtime.virtual_time import EPOCH, VirtualTimeLoop, run
from springtide.scaler.core.idle import Activity
from springtide.scaler.core.vocabulary import FunctionRef, Instant, NoData, Sample
from springtide.scaler.sources.prometheus import PrometheusActivity
from tests.fakes.activity import Script, ScriptedActivity, measured_last_at, silent_since, unknown
from tests.fakes.cluster import Cluster, Decisions
from tests.fakes.prometheus import FakePrometheus, Series, Stored

TEN_MINUTES_S = 600
SWEEP_S = 15
REFS = [FunctionRef("openfaas-fn", name) for name in ("echo", "resize", "mail")]
LONG_AGO = EPOCH - 10_000
SETTINGS = IdlerSettings(inactivity_s=60, sweep_s=SWEEP_S, settle_s=60, stale_after_s=60)
GOOD = silent_since(LONG_AGO)


def after(seconds: float, now: float) -> bool:
    return now - EPOCH >= seconds


def errors_then_nothing_then_stale_then_empty(ref: FunctionRef, now: Instant) -> Activity:
    """Two and a half minutes of each; after the restart it is empty at first and then good, for less than a minute."""
    script: Script
    if not after(150, now):
        script = unknown("Prometheus answered 503")
    elif not after(300, now):
        script = unknown("not in the result")
    elif not after(450, now):
        script = measured_last_at(EPOCH + 200, GOOD)
    elif not after(555, now):
        script = unknown("Prometheus scrapes no gateway")
    else:
        script = GOOD
    return script(ref, now)


def one_signal_only(ref: FunctionRef, now: Instant) -> Activity:
    calls, active = Sample(0, now), Sample(LONG_AGO, now)
    missing = NoData("not in the result")
    return Activity(calls, missing) if int(now) % 2 else Activity(missing, active)


def flapping(ref: FunctionRef, now: Instant) -> Activity:
    """Good for three sweeps, then an error: never good for the time it takes to be believed."""
    return GOOD(ref, now) if (now - EPOCH) // SWEEP_S % 4 else unknown("timed out")(ref, now)


def play(script: Script, seconds: float = TEN_MINUTES_S) -> tuple[Cluster, Decisions]:
    loop, decisions = VirtualTimeLoop(), Decisions()
    cluster = Cluster(loop.clock)

    async def story() -> None:
        for ref in REFS:
            await cluster.deploy(ref, replicas=3, zero="true")
        idler = Idler(
            SETTINGS,
            IdlerDeps(
                catalog=cluster,
                target=cluster,
                activity=ScriptedActivity(script),
                recheck=ScriptedActivity(GOOD),
                registry=CollectorRegistry(),
                recorder=decisions,
                clock=loop.clock,
            ),
        )
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(idler.run(), seconds)

    run(story(), loop)
    return cluster, decisions


@pytest.mark.parametrize(
    ("script", "reasons"),
    [
        pytest.param(unknown("HTTP Status Code 500"), {"no_data"}, id="errors"),
        pytest.param(unknown("not in the result"), {"no_data"}, id="nothing"),
        pytest.param(measured_last_at(EPOCH - 61, GOOD), {"stale_data"}, id="stale values"),
        pytest.param(one_signal_only, {"no_data"}, id="one of two signals"),
        pytest.param(flapping, {"no_data", "source_restarted"}, id="every fourth answer an error"),
        pytest.param(
            errors_then_nothing_then_stale_then_empty,
            {"no_data", "source_restarted", "stale_data"},
            id="errors, nothing, stale values, an empty start",
        ),
    ],
)
def test_ten_minutes_without_good_data_take_nothing_to_zero(script: Script, reasons: set[str]) -> None:
    cluster, decisions = play(script)

    assert cluster.writes == []
    assert set(decisions.reasons()) == reasons
    assert len(decisions.all) == len(REFS) * TEN_MINUTES_S / SWEEP_S


def test_the_same_ten_minutes_with_good_data_take_everything_to_zero_when_due() -> None:
    cluster, decisions = play(GOOD)

    zeroed = {decision.ref: decision.at - EPOCH for decision in decisions.all if decision.changes}
    assert zeroed == dict.fromkeys(REFS, 60)
    assert sorted(cluster.writes) == sorted((ref, 0) for ref in REFS)


def test_after_the_trouble_functions_go_as_soon_as_the_data_is_believed_again() -> None:
    _, decisions = play(errors_then_nothing_then_stale_then_empty, 700)

    zeroed = {decision.ref: decision.at - EPOCH for decision in decisions.all if decision.changes}
    assert zeroed == dict.fromkeys(REFS, 555 + 60)


# The same story over real sockets: the sweeps are told the time, the source is the real one.


class ToldClock:
    """Stands still until it is told to move."""

    def __init__(self) -> None:
        self.at = EPOCH

    def now(self) -> float:
        return self.at - EPOCH

    def wall(self) -> float:
        return self.at


@dataclass
class Scene:
    """What each sweep of the real-socket story meets."""

    prometheus: FakePrometheus
    clock: ToldClock

    def scrape(self) -> None:
        for series in self.prometheus.stored.series:
            series.at = self.clock.at - 5


def errors(scene: Scene) -> None:
    scene.prometheus.broken = (503, b"Service Unavailable")


def another_server(scene: Scene) -> None:
    scene.prometheus.broken = (200, b"<html>It works!</html>")


def nothing(scene: Scene) -> None:
    scene.prometheus.stored.series = []


def starting_empty(scene: Scene) -> None:
    scene.prometheus.stored.series, scene.prometheus.stored.up = [], {}


def stale(scene: Scene) -> None:
    for series in scene.prometheus.stored.series:
        series.at = EPOCH - 61


def gateway_down(scene: Scene) -> None:
    scene.prometheus.stored.up["gateway:8082"] = 0


def never_set(scene: Scene) -> None:
    for series in scene.prometheus.stored.series:
        series.last_active = 0


def one_gone_then_back(scene: Scene) -> None:
    """A second gateway comes and goes every minute, as while one crashes again and again."""
    up = scene.prometheus.stored.up
    if (scene.clock.at - EPOCH) // SWEEP_S % 4 < 2:
        up["gateway2:8082"] = 1
    else:
        up.pop("gateway2:8082", None)


def good(_scene: Scene) -> None:
    pass


@pytest.mark.parametrize(
    ("happens", "told"),
    [
        pytest.param(errors, "Prometheus answered 503", id="errors"),
        pytest.param(another_server, "answer makes no sense: JSONDecodeError", id="another server answers"),
        pytest.param(nothing, "not in the result", id="nothing"),
        pytest.param(starting_empty, "Prometheus scrapes no gateway", id="an empty start"),
        pytest.param(stale, "measured 61 s ago", id="stale values"),
        pytest.param(gateway_down, "a gateway cannot be scraped: gateway:8082", id="a gateway that is down"),
        pytest.param(never_set, "the gateway never set it", id="gauges that were never set"),
        pytest.param(one_gone_then_back, "no longer scraped: gateway2:8082", id="a gateway that comes and goes"),
        pytest.param(good, None, id="good data, for comparison"),
    ],
)
async def test_ten_minutes_of_sweeps_over_a_real_socket(happens: Callable[[Scene], None], told: str | None) -> None:
    clock, decisions = ToldClock(), Decisions()
    cluster = Cluster(clock)
    stored = Stored(lambda: clock.at, series=[Series(str(ref), last_active=LONG_AGO) for ref in REFS])

    for ref in REFS:
        await cluster.deploy(ref, zero="true")
    async with FakePrometheus(stored) as prometheus:
        source = PrometheusActivity(prometheus.url)
        idler = Idler(
            SETTINGS,
            IdlerDeps(
                catalog=cluster,
                target=cluster,
                activity=source,
                recheck=None,
                registry=CollectorRegistry(),
                recorder=decisions,
                clock=clock,
            ),
        )
        scene = Scene(prometheus, clock)
        for _ in range(TEN_MINUTES_S // SWEEP_S):
            scene.scrape()
            happens(scene)
            await idler.sweep(Instant(clock.at))
            clock.at += SWEEP_S
        await source.aclose()

    assert len(decisions.all) == len(REFS) * TEN_MINUTES_S // SWEEP_S
    if told is None:
        assert sorted(cluster.writes) == [(ref, 0) for ref in sorted(REFS)]
    else:
        assert cluster.writes == []
        assert any(told in decision.detail for decision in decisions.all)
