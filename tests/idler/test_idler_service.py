"""The idler as a service: settings as deployed, and real sockets."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import httpx
import pytest
from prometheus_client import CollectorRegistry

from springtide.idler.service import IdlerDeps, build
from springtide.idler.settings import IdlerSettings
from springtide.runtime import settings as declared_settings
from springtide.runtime.asgi_server import bind
from springtide.runtime.clock import SystemClock
from springtide.runtime.errors import Unavailable
from springtide.runtime.served_loop import ServedLoop
from springtide.runtime.settings import SettingsError, read
from springtide.scaler.core.idle import IdleLimits
from springtide.scaler.core.vocabulary import FunctionRef, Reason
from springtide.scaler.sources.gateway import GatewayActivity
from tests.fakes.activity import ScriptedActivity, silent_since
from tests.fakes.cluster import Cluster, Decisions
from tests.fakes.gateway import FakeGateway, lines

ECHO = FunctionRef("openfaas-fn", "echo")


def deps(cluster: Cluster, **changed: object) -> IdlerDeps:
    values: dict[str, object] = {
        "catalog": cluster,
        "target": cluster,
        "activity": ScriptedActivity(silent_since(1)),
        "recheck": None,
        "registry": CollectorRegistry(),
        "recorder": Decisions(),
        "clock": SystemClock(),
    }
    return IdlerDeps(**{**values, **changed})  # type: ignore[arg-type]


@contextlib.asynccontextmanager
async def running(settings: IdlerSettings, given: IdlerDeps) -> AsyncIterator[ServedLoop]:
    service = build(settings, given)
    await service.start()
    try:
        yield service
    finally:
        await service.stop()


@pytest.mark.parametrize(
    ("environ", "url"),
    [
        pytest.param({}, "http://127.0.0.1:9090", id="by default"),
        pytest.param({"prometheus_host": "prometheus"}, "http://prometheus:9090", id="faas-idler's host"),
        pytest.param({"prometheus_host": "p", "prometheus_port": "9"}, "http://p:9", id="faas-idler's host and port"),
        pytest.param({"prometheus_url": "https://p/x", "prometheus_host": "q"}, "https://p/x", id="a URL wins"),
    ],
)
def test_prometheus_is_found_however_it_is_named(environ: dict[str, str], url: str) -> None:
    assert read(IdlerSettings, environ).prometheus == url


def test_environment_of_faas_idler_is_understood() -> None:
    environ = {"inactivity_duration": "30s", "reconcile_interval": "2m", "dry_run": "true"}

    settings = read(IdlerSettings, environ)

    assert (settings.inactivity_s, settings.sweep_s, settings.dry_run) == (30, 120, True)
    assert settings.limits == IdleLimits(default_duration_s=30, stale_after_s=60, settle_s=60)


def test_dry_run_is_off_unless_asked_for() -> None:
    assert read(IdlerSettings, {}).dry_run is False


def test_every_bad_setting_is_reported_at_once() -> None:
    environ = {"inactivity_duration": "-5m", "prometheus_port": "0", "dry_run": "perhaps", "reconcile_interval": "1ms"}

    with pytest.raises(SettingsError) as refused:
        read(IdlerSettings, environ)

    assert sorted(problem.partition(":")[0] for problem in refused.value.problems) == sorted(environ)


def test_settings_have_help_and_flags_of_their_own() -> None:
    flags = [item.flag for item in declared_settings.declared(IdlerSettings)]

    assert "--dry-run" in flags
    assert len(set(flags)) == len(flags)
    assert all(item.help for item in declared_settings.declared(IdlerSettings))


async def test_function_goes_to_zero_while_the_service_runs_and_metrics_say_so() -> None:
    cluster, gone = Cluster(), asyncio.Event()
    await cluster.deploy(ECHO, zero="true", zero_duration="100ms")

    async def note() -> None:
        gone.set()

    cluster.on_write[ECHO] = note
    settings = IdlerSettings(port=0, sweep_s=0.1)
    async with running(settings, deps(cluster)) as service, asyncio.timeout(60):
        await gone.wait()
        metrics = ""
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{service.port}") as client:
            while 'reason="idle"' not in metrics:
                metrics = (await client.get("/metrics")).text
            health, unknown = await client.get("/healthz"), await client.get("/x")

    assert cluster.writes == [(ECHO, 0)]
    assert 'springtide_decisions_total{reason="idle",writer="idler"} 1.0' in metrics
    assert "springtide_idler_last_sweep_timestamp_seconds " in metrics
    assert (health.status_code, health.text, unknown.status_code) == (200, "OK", 404)


async def test_gateway_is_asked_right_before_the_write() -> None:
    cluster, decisions = Cluster(), Decisions()
    await cluster.deploy(ECHO, zero="true", zero_duration="100ms")
    async with FakeGateway(lines(str(ECHO), calls=1, active=1)) as gateway:
        given = deps(cluster, recheck=GatewayActivity([gateway.url]), recorder=decisions)
        async with running(IdlerSettings(port=0, sweep_s=0.1), given), asyncio.timeout(60):
            await decisions.until(Reason.IN_FLIGHT)
            assert cluster.writes == []
            gateway.text = lines(str(ECHO), calls=0, active=1)
            await decisions.until(Reason.IDLE)
        assert isinstance(given.recheck, GatewayActivity)
        await given.recheck.aclose()

    assert cluster.writes == [(ECHO, 0)]


async def test_port_in_use_stops_the_start_with_one_sentence() -> None:
    with contextlib.closing(bind("127.0.0.1", 0)) as taken:
        taken.listen()
        service = build(IdlerSettings(port=taken.getsockname()[1]), deps(Cluster()))
        with pytest.raises(Unavailable, match=r"cannot listen on 127\.0\.0\.1:\d+: Address already in use"):
            await service.start()
        await service.stop()


async def test_loop_that_breaks_ends_the_service_with_its_error() -> None:
    cluster = Cluster()

    async def bug() -> None:
        raise ZeroDivisionError("a bug")

    cluster.on_list = bug
    async with running(IdlerSettings(port=0), deps(cluster)) as service, asyncio.timeout(60):
        with pytest.raises(ZeroDivisionError):
            await service.wait()


async def test_provider_that_is_down_does_not_end_the_service() -> None:
    cluster, listed = Cluster(), 0
    thrice = asyncio.Event()

    async def down() -> None:
        nonlocal listed
        listed += 1
        if listed == 3:
            thrice.set()
        raise Unavailable("connection refused")

    cluster.on_list = down
    async with running(IdlerSettings(port=0, sweep_s=0.1), deps(cluster)) as service, asyncio.timeout(60):
        await thrice.wait()
        assert "loop running" in repr(service)
