"""The shipped scaler on a cluster: two copies with the rights and the environment of their pods, one of which leads."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from tests.deploy.parts import Running, granted, refused, running, used
from tests.kubernetes.emulator import EmulatorSettings, Image, ThreadedEmulator, running_in_thread
from tests.kubernetes.stories import handler

PATIENCE_S = 90.0
NOBODY = "http://127.0.0.1:1"
QUICK_LEASE = {"lease_duration": "4s", "lease_renew_deadline": "3s", "lease_retry": "500ms"}
NEVER_ENDS = """
import asyncio
async def handle(event, context):
    await asyncio.Event().wait()
"""
BUSY_MILLIS = 250
OWNER = "com.springtide.scale.owner"


@pytest.fixture
def emulator(tmp_path: Path) -> Iterator[ThreadedEmulator]:
    folder = tmp_path / "slow"
    folder.mkdir()
    images = {"slow": handler(folder, NEVER_ENDS), "busy": Image(process=False, cpu_millis=BUSY_MILLIS)}
    # An autoscaler looks once, when it is made.
    with running_in_thread(EmulatorSettings(hpa_period_s=3600.0), images=images) as started:
        yield started


@pytest.mark.usefixtures("pod_network")
def test_function_follows_the_calls_of_all_gateways_and_goes_on_when_the_leader_is_killed(
    emulator: ThreadedEmulator, tmp_path: Path
) -> None:
    with contextlib.ExitStack() as stack:

        def start(part: str, name: str, **more: str) -> Running:
            return stack.enter_context(running(emulator, "defaults", part, tmp_path / name, more))

        provider = start("provider", "provider")
        told = {"functions_provider_url": str(provider.http.base_url), "prometheus_url": NOBODY}
        gateways = [start("gateway", f"gateway-{number}", metrics_port="0", grace="1s", **told) for number in range(2)]
        told["gateway_urls"] = " ".join(str(one.http.base_url) for one in gateways)
        scalers = [start("scaler", f"scaler-{number}", **told, **QUICK_LEASE) for number in range(2)]
        calls = stack.enter_context(contextlib.ExitStack())
        _deploy(provider, "slow", {"type": "capacity", "target": "2", "max": "12"})
        _until(lambda: _count(emulator, "slow") == 1, provider)
        for gateway in gateways:
            _until(lambda gateway=gateway: "slow" in gateway.http.get("/system/load").text, gateway)  # type: ignore[misc]

        for gateway in gateways:
            _call(calls, gateway, "slow", 4)
        # Four calls at either gateway: by what one of them tells, two replicas would do.
        _until(lambda: _count(emulator, "slow") >= 4, *scalers)

        leader = _leader(scalers)
        leader.process.kill()
        for gateway in gateways:
            _call(calls, gateway, "slow", 4)
        (other,) = (one for one in scalers if one is not leader)
        _until(lambda: _count(emulator, "slow") >= 8, other)

        assert {writer for writer, _, _ in _changes(provider, "slow")} == {"scaler"}
        assert refused(emulator) == 0
        assert used(emulator, "scaler") <= granted("defaults", "scaler")


@pytest.mark.usefixtures("pod_network")
def test_scaler_takes_over_from_an_autoscaler_where_that_stands_and_follows_the_metrics_server(
    emulator: ThreadedEmulator, tmp_path: Path
) -> None:
    with running(emulator, "defaults", "provider", tmp_path / "provider", {}) as provider:
        told = {"functions_provider_url": str(provider.http.base_url), "gateway_urls": NOBODY, "prometheus_url": NOBODY}
        with running(emulator, "defaults", "scaler", tmp_path / "scaler", told) as scaler:
            _deploy(provider, "busy", {"type": "cpu", "target": "100m", "max": "3"})
            assert _autoscalers(emulator) == ["busy"]
            _until(lambda: _count(emulator, "busy") == 3, provider)
            assert _changes(provider, "busy") == []

            _deploy(provider, "busy", {"type": "cpu", "target": "100m", "max": "5"}, {OWNER: "scaler"})

            assert _autoscalers(emulator) == []
            _until(lambda: _changes(provider, "busy") == [("scaler", 3, 5)], scaler)
            assert _count(emulator, "busy") == 5

        assert refused(emulator) == 0


# What people and the suite say.


def _deploy(provider: Running, name: str, scale: Mapping[str, str], more: Mapping[str, str] | None = None) -> None:
    labels = {f"com.openfaas.scale.{key}": value for key, value in scale.items()} | dict(more or {})
    body = {"service": name, "image": name, "labels": labels, "requests": {"cpu": "100m"}}
    answer = provider.http.post("/system/functions", json=body)
    assert answer.status_code == 202, answer.text


def _call(calls: contextlib.ExitStack, gateway: Running, name: str, count: int) -> None:
    """Calls that are under way until ``calls`` is left."""
    for _ in range(count):
        address = (gateway.http.base_url.host, gateway.http.base_url.port or 80)
        connection = calls.enter_context(socket.create_connection(address, timeout=10))
        connection.sendall(f"GET /function/{name} HTTP/1.1\r\nHost: gateway\r\n\r\n".encode())


def _changes(provider: Running, name: str) -> list[tuple[str, int, int]]:
    """Who changed the count of a running function, from what to what."""
    answer = provider.http.get("/system/scaling/decisions", params={"function": name})
    assert answer.status_code == 200, answer.text
    told = [json.loads(line) for line in answer.text.splitlines()]
    return [(one["writer"], one["before"], one["after"]) for one in told if one["before"] not in (0, one["after"])]


def _count(emulator: ThreadedEmulator, name: str) -> int:
    found = emulator.do(lambda inner: inner.object("deployments", "openfaas-fn", name))
    return int(found["spec"].get("replicas", 1)) if found is not None else 0


def _autoscalers(emulator: ThreadedEmulator) -> list[str]:
    found = emulator.do(lambda inner: inner.objects("horizontalpodautoscalers", "openfaas-fn"))
    return [one["metadata"]["name"] for one in found]


def _leader(scalers: list[Running]) -> Running:
    _until(lambda: any(_leads(one) for one in scalers), *scalers)
    return next(one for one in scalers if _leads(one))


def _leads(scaler: Running) -> bool:
    return "springtide_leader 1.0" in scaler.http.get("/metrics").text


def _until(holds: Callable[[], bool], *parts: Running) -> None:
    end = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < end, "\n".join(part.log.read_text()[-5000:] for part in parts)
        time.sleep(0.05)
