"""PrometheusActivity over real sockets: what it asks, and what each answer it may get comes to."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from springtide.runtime.asgi_server import bind
from springtide.scaler.core.idle import Activity
from springtide.scaler.core.vocabulary import FunctionRef, Instant, NoData, Sample
from springtide.scaler.sources.prometheus import PrometheusActivity
from tests.fakes.prometheus import IN_FLIGHT, LAST_ACTIVE, FakePrometheus, Series, Stored

NOW = Instant(1_700_000_000.0)
ECHO = FunctionRef("openfaas-fn", "echo")
MAIL = FunctionRef("team", "mail")


@asynccontextmanager
async def against(
    *, stored: Stored | None = None, deadline_s: float = 5.0
) -> AsyncIterator[tuple[PrometheusActivity, FakePrometheus]]:
    async with FakePrometheus(stored or full()) as prometheus:
        source = PrometheusActivity(prometheus.url, deadline_s=deadline_s)
        try:
            yield source, prometheus
        finally:
            await source.aclose()


def full() -> Stored:
    """Two gateways; echo has three calls in flight on them, mail none."""
    return Stored(
        lambda: NOW + 0.25,
        up={"a:8082": 1, "b:8082": 1},
        series=[
            Series("echo.openfaas-fn", in_flight=1, last_active=NOW - 70, at=NOW - 4),
            Series("echo.openfaas-fn", in_flight=2, last_active=NOW - 50, at=NOW - 9),
            Series("mail.team", in_flight=0, last_active=NOW - 5000, at=NOW - 3),
        ],
    )


def known(activity: Activity) -> tuple[float, float, float, float]:
    """In flight, its time, last active, its time."""
    assert isinstance(activity.in_flight, Sample)
    assert isinstance(activity.last_active, Sample)
    calls, active = activity.in_flight, activity.last_active
    return calls.value, calls.at, active.value, active.at


def whys(activity: Activity) -> list[str]:
    return [signal.why for signal in (activity.in_flight, activity.last_active) if isinstance(signal, NoData)]


async def test_calls_are_summed_and_samples_keep_their_own_time() -> None:
    async with against() as (source, _):
        answer = await source.activity([ECHO, MAIL], NOW)

        assert known(answer[ECHO]) == (3, NOW - 9, NOW - 50, NOW - 9)
        assert known(answer[MAIL]) == (0, NOW - 3, NOW - 5000, NOW - 3)


async def test_number_of_queries_does_not_depend_on_the_number_of_functions() -> None:
    refs = [FunctionRef("openfaas-fn", f"f{number}") for number in range(200)]

    async with against() as (source, prometheus):
        await source.activity(refs, NOW)

    asked = prometheus.queries

    assert asked[0] == ('min by (instance) (up{job="gateway"})', None)
    assert sorted(asked[1:]) == sorted(
        (query, NOW + 0.25)  # all at the one instant that the first answer told
        for query in (
            f"sum by (function_name) ({IN_FLIGHT})",
            f"min by (function_name) (timestamp({IN_FLIGHT}))",
            f"max by (function_name) ({LAST_ACTIVE})",
            f"min by (function_name) (timestamp({LAST_ACTIVE}))",
        )
    )


async def test_function_that_is_not_in_the_result_is_not_known() -> None:
    missing = FunctionRef("openfaas-fn", "missing")

    async with against() as (source, _):
        answer = await source.activity([ECHO, missing], NOW)

        assert set(answer) == {ECHO, missing}
        assert whys(answer[ECHO]) == []
        assert whys(answer[missing]) == ["not in the result"] * 2


@pytest.mark.parametrize(
    ("series", "why"),
    [
        pytest.param(Series("echo.openfaas-fn", "NaN", NOW, NOW), "not a number", id="calls NaN"),
        pytest.param(Series("echo.openfaas-fn", "+Inf", NOW, NOW), "not a number", id="infinitely many calls"),
        pytest.param(Series("echo.openfaas-fn", 0, "NaN", NOW), "not a number", id="last activity NaN"),
        pytest.param(Series("echo.openfaas-fn", 0, "-Inf", NOW), "not a number", id="active infinitely long ago"),
        pytest.param(Series("echo.openfaas-fn", 0, 0, NOW), "never set", id="a gauge that was never set"),
        pytest.param(Series("echo.openfaas-fn", 0, NOW, "NaN"), "time of the measurement", id="no sample time"),
    ],
)
async def test_value_that_is_no_value_is_not_known(series: Series, why: str) -> None:
    async with against(stored=Stored(lambda: NOW, series=[series])) as (source, _):
        answer = await source.activity([ECHO], NOW)

        assert whys(answer[ECHO])
        assert all(why in told for told in whys(answer[ECHO]))


def body(result: str) -> tuple[int, bytes]:
    return 200, f'{{"status":"success","data":{{"resultType":"vector","result":{result}}}}}'.encode()


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        pytest.param((500, b"boom"), "Prometheus answered 500: boom", id="500"),
        pytest.param((400, b'{"status":"error","error":"bad"}'), "answered 400: bad", id="400, its own words"),
        pytest.param((503, b"starting"), "answered 503: starting", id="503 while it starts"),
        pytest.param((204, b""), "answered 204", id="success without content"),
        pytest.param((200, b""), "makes no sense: JSONDecodeError", id="an empty body"),
        pytest.param((200, b"<html>"), "makes no sense: JSONDecodeError", id="HTML"),
        pytest.param((200, b"[" * 100_000), "makes no sense", id="JSON without end"),
        pytest.param((200, b"[]"), "makes no sense", id="a list"),
        pytest.param((200, b"null"), "makes no sense", id="null"),
        pytest.param((200, b'{"status":"error"}'), "makes no sense", id="no data"),
        pytest.param(body("null"), "makes no sense", id="no result"),
        pytest.param(body("7"), "makes no sense", id="a number for a result"),
        pytest.param(body('[1700000000,"1"]'), "makes no sense", id="a scalar for a vector"),
        pytest.param(body("[{}]"), "makes no sense", id="a series without a value"),
        pytest.param(body('[{"metric":{},"value":[1]}]'), "makes no sense", id="half a value"),
        pytest.param(body('[{"metric":{},"value":[1700000000,"x"]}]'), "makes no sense", id="a word for a value"),
        pytest.param(body(f'[{{"metric":{{}},"value":[1{"0" * 400},"1"]}}]'), "makes no sense", id="a time beyond all"),
        pytest.param(body("[]"), "scrapes no gateway", id="nothing at all"),
    ],
)
async def test_answer_that_is_no_answer_makes_everything_unknown(broken: tuple[int, bytes], why: str) -> None:
    async with against() as (source, prometheus):
        prometheus.broken = broken
        answer = await source.activity([ECHO, MAIL], NOW)

        for ref in (ECHO, MAIL):
            assert len(whys(answer[ref])) == 2
            assert why in whys(answer[ref])[0]
            assert len(whys(answer[ref])[0]) <= 300

    assert len(prometheus.queries) == 1  # nothing is retried behind our back


async def test_source_recovers_with_prometheus() -> None:
    async with against() as (source, prometheus):
        prometheus.broken = (500, b"boom")
        await source.activity([ECHO], NOW)
        prometheus.broken = None

        assert known((await source.activity([ECHO], NOW))[ECHO])


async def test_answer_that_does_not_come_is_given_up() -> None:
    async with against(deadline_s=0.2) as (source, prometheus):
        prometheus.broken = asyncio.Event()
        answer = await source.activity([ECHO], NOW)

        assert len(whys(answer[ECHO])) == 2


async def test_nobody_listening_makes_everything_unknown() -> None:
    listener = bind("127.0.0.1", 0)  # bound, and never listening: connections are refused
    source = PrometheusActivity(f"http://127.0.0.1:{listener.getsockname()[1]}")
    answer = await source.activity([ECHO], NOW)
    await source.aclose()
    listener.close()

    assert "cannot be asked: All connection attempts failed" in whys(answer[ECHO])[0]


@pytest.mark.parametrize("skew_s", [3600, -3600, 60], ids=["ahead", "behind", "a minute ahead"])
async def test_clocks_that_differ_make_everything_unknown(skew_s: float) -> None:
    stored = full()
    stored.clock = lambda: NOW + skew_s

    async with against(stored=stored) as (source, _):
        answer = await source.activity([ECHO], NOW)

        assert f"differs from ours by {skew_s:+.0f} s" in whys(answer[ECHO])[0]


async def test_gateway_that_cannot_be_scraped_makes_everything_unknown() -> None:
    async with against() as (source, prometheus):
        prometheus.stored.up["b:8082"] = 0

        assert whys((await source.activity([ECHO], NOW))[ECHO]) == ["a gateway cannot be scraped: b:8082"] * 2


async def test_gateway_that_vanished_makes_everything_unknown_once() -> None:
    async with against() as (source, prometheus):
        await source.activity([ECHO], NOW)
        del prometheus.stored.up["b:8082"]

        assert whys((await source.activity([ECHO], NOW))[ECHO]) == ["a gateway is no longer scraped: b:8082"] * 2
        assert known((await source.activity([ECHO], NOW))[ECHO])


async def test_gateway_that_vanished_during_an_outage_is_still_missed() -> None:
    """A Prometheus that restarts without its data knows one gateway before it knows the other."""

    async with against() as (source, prometheus):
        await source.activity([ECHO], NOW)
        prometheus.broken = (503, b"")
        await source.activity([ECHO], NOW)
        prometheus.broken = None
        del prometheus.stored.up["b:8082"]

        assert whys((await source.activity([ECHO], NOW))[ECHO]) == ["a gateway is no longer scraped: b:8082"] * 2


async def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")

    async with against() as (source, _):
        assert known((await source.activity([ECHO], NOW))[ECHO])


async def test_job_name_is_quoted() -> None:
    async with FakePrometheus(full()) as prometheus:
        prometheus.broken = body("[]")
        source = PrometheusActivity(prometheus.url, gateway_job='a"b\\c')
        await source.activity([ECHO], NOW)
        await source.aclose()

        assert prometheus.queries[0][0] == 'min by (instance) (up{job="a\\"b\\\\c"})'


async def test_a_hanging_prometheus_does_not_stop_the_event_loop() -> None:
    async with against() as (source, prometheus):
        prometheus.broken = asyncio.Event()
        asking = asyncio.create_task(source.activity([ECHO], Instant(time.time())))
        await prometheus.asked.wait()  # on this same loop

        assert not asking.done()
        prometheus.broken.set()
        await asking
