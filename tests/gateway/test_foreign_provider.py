"""The gateway before a provider of somebody else's, which pushes nothing: it is polled, and calls go through it."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
import structlog
from prometheus_client import CollectorRegistry

from springtide.gateway.service import Gateway, GatewayDeps, build
from springtide.gateway.settings import GatewaySettings
from springtide.runtime.basic_auth import Credentials
from springtide.runtime.clock import SystemClock
from tests.fakes.foreign_provider import FakeFunction, ForeignProvider
from tests.gateway.harness import Answer, client, get, post, until

pytestmark = pytest.mark.uvloop


CREDENTIALS = Credentials("admin", "secret")
OFTEN, NEVER = 0.1, 3600.0


@contextlib.asynccontextmanager
async def provider(**functions: FakeFunction) -> AsyncIterator[ForeignProvider]:
    foreign = ForeignProvider(CREDENTIALS)
    foreign.functions.update(functions)
    await foreign.start()
    try:
        yield foreign
    finally:
        await foreign.stop()


@contextlib.asynccontextmanager
async def gateway_before(foreign: ForeignProvider, **settings: Any) -> AsyncIterator[Gateway]:
    gateway = build(
        replace(GatewaySettings(), port=0, metrics_port=0, grace_s=1.0, provider_url=foreign.url + "/", **settings),
        GatewayDeps(CREDENTIALS, CollectorRegistry(), SystemClock()),
    )
    await gateway.start()
    try:
        yield gateway
    finally:
        await gateway.stop()


async def call(gateway: Gateway, request: bytes) -> Answer:
    async with client(gateway.port) as caller:
        await caller.send(request)
        return await caller.answer()


def route(gateway: Gateway, name: str = "echo") -> Any:
    return gateway.plane.table.by_name(name.encode())


async def test_sleeping_function_is_woken_and_the_call_goes_through_the_provider() -> None:
    async with provider(echo=FakeFunction(start_s=0.03)) as foreign, gateway_before(foreign) as gateway:
        answer = await call(gateway, post(b"hi", "/function/echo/a%2Fb?c=d%20e"))

        assert (answer.status, answer.body) == (200, b"hi")
        assert foreign.scales == [("echo", 1)]
        assert foreign.most_status_calls_in_flight == 1
        ((line, headers),) = foreign.calls
        assert line == "POST /function/echo.openfaas-fn/a%2Fb?c=d%20e"
        assert "authorization" not in headers
        assert headers["x-call-id"] == answer["x-call-id"]
        assert foreign.status_calls_in_flight["echo"] == 0


async def test_running_function_is_called_without_asking_for_its_status() -> None:
    async with provider(echo=FakeFunction(2, 2)) as foreign, gateway_before(foreign) as gateway:
        answers = [await call(gateway, get("/function/echo")) for _ in range(3)]

        assert [answer.status for answer in answers] == [200] * 3
        assert foreign.calls[0][0] == "GET /function/echo.openfaas-fn/"
        assert foreign.requests["GET /system/function/echo"] == 0
        assert foreign.scales == []


@pytest.mark.parametrize(
    ("function", "status", "text"),
    [
        pytest.param(FakeFunction(1, 1, takes_s=0.5, env={"exec_timeout": "10m"}), 200, "", id="its environment"),
        pytest.param(
            FakeFunction(1, 1, takes_s=0.5, annotations={"com.springtide.timeout": "5m"}), 200, "", id="an annotation"
        ),
        pytest.param(FakeFunction(1, 1, takes_s=60), 504, "upstream_timeout (0.1 s) of the gateway", id="neither"),
        pytest.param(
            FakeFunction(1, 1, takes_s=60, annotations={"com.springtide.timeout": "50ms"}),
            504,
            "com.springtide.timeout (0.05 s) of the function",
            id="less than the gateway's",
        ),
    ],
)
async def test_functions_own_time_is_read_from_the_list_of_any_provider(
    function: FakeFunction, status: int, text: str
) -> None:
    async with provider(echo=function) as foreign, gateway_before(foreign, upstream_timeout_s=0.1) as gateway:
        answer = await call(gateway, get("/function/echo"))

        assert (answer.status, text in answer.body.decode()) == (status, True), answer.body


async def test_two_hundred_callers_make_one_scale_call_and_one_status_call_at_a_time() -> None:
    async with provider(echo=FakeFunction()) as foreign, gateway_before(foreign) as gateway:
        foreign.functions["echo"].start_s = 3600.0  # until the test says so
        calls = [asyncio.create_task(call(gateway, post(b"%d" % number))) for number in range(200)]
        await until(lambda: route(gateway).metrics.held == 200 and bool(foreign.scales))
        foreign.functions["echo"].available = 1
        answers = await asyncio.gather(*calls)

        assert [answer.body for answer in answers] == [b"%d" % number for number in range(200)]
        assert foreign.scales == [("echo", 1)]
        assert foreign.most_status_calls_in_flight == 1
        assert foreign.requests["GET /system/function/echo"] < 40


async def test_nobody_is_polled_for_once_the_last_caller_has_left() -> None:
    never = FakeFunction(start_s=3600.0)
    async with provider(echo=never) as foreign, gateway_before(foreign, poll_interval_s=NEVER) as gateway:
        async with client(gateway.port) as caller:
            await caller.send(get())
            await until(lambda: foreign.requests["GET /system/function/echo"] >= 3)
            caller.leave()
        await until(lambda: not [task for task in asyncio.all_tasks() if task.get_name().startswith("poll ")])

        assert route(gateway).metrics.held == 0


async def test_function_somebody_else_scaled_up_is_not_scaled_down_by_a_wake() -> None:
    async with (
        provider(echo=FakeFunction()) as foreign,
        gateway_before(foreign, poll_interval_s=NEVER) as gateway,
    ):
        foreign.functions["echo"] = FakeFunction(5, 5)

        assert (await call(gateway, get())).status == 200
        assert foreign.scales == []


async def test_function_that_went_to_zero_since_the_last_list_is_woken_and_the_call_sent_again() -> None:
    async with (
        provider(echo=FakeFunction(1, 1)) as foreign,
        gateway_before(foreign, poll_interval_s=NEVER) as gateway,
    ):
        foreign.functions["echo"] = FakeFunction(start_s=0.02)

        answer = await call(gateway, post(b"not lost"))

        assert (answer.status, answer.body) == (200, b"not lost")
        assert foreign.scales == [("echo", 1)]


@pytest.mark.parametrize(
    ("refusals", "status", "asked"),
    [
        pytest.param(2, 200, 3, id="its endpoints come a moment after its status"),
        pytest.param(1000, 503, 7, id="its endpoints never come"),
    ],
)
async def test_provider_that_knows_no_replica_yet_is_asked_again(refusals: int, status: int, asked: int) -> None:
    lagging = FakeFunction(1, 1, lag_calls=refusals)
    async with provider(echo=lagging) as foreign, gateway_before(foreign) as gateway:
        answer = await call(gateway, post(b"again"))

        assert answer.status == status
        assert foreign.requests["invoke echo"] == asked
        assert answer.body == (b"again" if status == 200 else b"No endpoints available for: echo.")


async def test_many_calls_refused_at_once_are_all_answered_in_the_end() -> None:
    async with provider(echo=FakeFunction(1, 1, lag_calls=120)) as foreign, gateway_before(foreign) as gateway:
        answers = await asyncio.gather(*(call(gateway, post(b"%d" % number)) for number in range(50)))

        assert [answer.body for answer in answers] == [b"%d" % number for number in range(50)]
        assert foreign.requests["invoke echo"] == 170


async def test_body_that_is_not_kept_is_not_sent_again() -> None:
    lagging = FakeFunction(1, 1, lag_calls=1)
    async with provider(echo=lagging) as foreign, gateway_before(foreign, replay_bytes=10) as gateway:
        answer = await call(gateway, post(b"longer than ten bytes"))

        assert answer.status == 503
        assert foreign.requests["invoke echo"] == 1


async def test_provider_outage_keeps_the_table_and_its_return_is_noticed() -> None:
    async with (
        provider(echo=FakeFunction(1, 1)) as foreign,
        gateway_before(foreign, poll_interval_s=OFTEN) as gateway,
    ):
        assert (await call(gateway, get())).status == 200
        await foreign.stop()
        await until(lambda: not gateway.plane.table.connected)

        assert [known.label for known in gateway.plane.table] == ["echo.openfaas-fn"]
        assert len(route(gateway).ready) == 1
        assert (await call(gateway, get("/function/never-heard-of"))).status == 503

        held = asyncio.create_task(call(gateway, get()))
        await until(lambda: route(gateway).metrics.held == 1)
        foreign.functions["other"] = FakeFunction(1, 1)
        await foreign.restart()

        assert (await held).status == 200
        await until(lambda: gateway.plane.table.connected)
        assert (await call(gateway, get("/function/other"))).status == 200
        assert (await call(gateway, get("/function/never-heard-of"))).status == 404


async def test_function_just_deployed_through_the_gateway_is_called_at_once() -> None:
    async with provider() as foreign, gateway_before(foreign, poll_interval_s=NEVER) as gateway:
        authorization = base64.b64encode(b"admin:secret").decode()
        body = json.dumps({"service": "new", "image": "any"}).encode()
        deployed = await call(
            gateway, post(body, "/system/functions", headers=f"Authorization: Basic {authorization}\r\n")
        )

        assert deployed.status == 202
        assert (await call(gateway, get("/function/new"))).status == 200


async def test_falling_back_is_said_once() -> None:
    with structlog.testing.capture_logs() as logs:
        async with provider() as foreign, gateway_before(foreign, poll_interval_s=OFTEN) as gateway:
            await foreign.stop()
            await until(lambda: not gateway.plane.table.connected)
            await foreign.restart()
            await until(lambda: gateway.plane.table.connected)
        assert foreign.requests["GET /system/endpoints"] == 1
    said = [entry["event"] for entry in logs]

    assert said.count("the provider is polled, and calls go through it") == 1
