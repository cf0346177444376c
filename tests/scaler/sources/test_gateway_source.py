"""GatewayActivity over real sockets."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from email.utils import formatdate

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from springtide.runtime.asgi_server import bind
from springtide.scaler.core.idle import Activity
from springtide.scaler.core.vocabulary import FunctionRef, Instant, NoData, Sample
from springtide.scaler.sources import gateway
from springtide.scaler.sources.gateway import GatewayActivity
from springtide.wire import metrics_endpoint
from tests.fakes.gateway import FakeGateway, lines
from tests.fakes.prometheus import IN_FLIGHT, LAST_ACTIVE

ECHO = FunctionRef("openfaas-fn", "echo")
LABEL = "echo.openfaas-fn"


@asynccontextmanager
async def against(*gateways: FakeGateway, deadline_s: float = 2.0) -> AsyncIterator[tuple[GatewayActivity, Instant]]:
    """A source that asks them, and now."""
    async with AsyncExitStack() as stack:
        for one in gateways:
            await stack.enter_async_context(one)
        source = GatewayActivity([one.url for one in gateways], deadline_s=deadline_s)
        stack.push_async_callback(source.aclose)
        yield source, Instant(time.time())


def whys(activity: Activity) -> list[str]:
    return [signal.why for signal in (activity.in_flight, activity.last_active) if isinstance(signal, NoData)]


async def test_calls_of_all_gateways_are_summed_and_the_latest_activity_counts() -> None:
    one = FakeGateway(lines(LABEL, calls=2, active=1000.5), lines("other.openfaas-fn", calls=9, active=9000))
    two = FakeGateway(lines(LABEL, calls=1, active=2000.25))

    async with against(one, two) as (source, now):
        answer = await source.activity([ECHO], now)

        assert answer == {ECHO: Activity(Sample(3, now), Sample(2000.25, now))}


async def test_one_scrape_serves_every_function() -> None:
    refs = [FunctionRef("openfaas-fn", f"f{number}") for number in range(100)]
    one = FakeGateway(*(lines(str(ref), calls=0, active=1) for ref in refs))

    async with against(one) as (source, now):
        answer = await source.activity(refs, now)

        assert all(whys(activity) == [] for activity in answer.values())

    assert one.scrapes == 1


@pytest.mark.parametrize(
    ("second", "why"),
    [
        pytest.param("", "not in the result", id="one gateway does not list it"),
        pytest.param(lines(LABEL, calls="NaN", active="NaN"), "not a number", id="one gateway says NaN"),
        pytest.param(lines(LABEL, calls="+Inf", active="+Inf"), "not a number", id="one gateway says infinity"),
    ],
)
@pytest.mark.parametrize("known_first", [True, False])
async def test_what_one_of_two_gateways_does_not_know_is_not_known(second: str, why: str, known_first: bool) -> None:
    gateways = [FakeGateway(lines(LABEL, calls=0, active=1000)), FakeGateway(second)]
    async with against(*gateways if known_first else reversed(gateways)) as (source, now):
        told = whys((await source.activity([ECHO], now))[ECHO])

        assert len(told) == 2
        assert all(why in text for text in told)


async def test_gauge_that_was_never_set_is_not_known() -> None:
    async with against(FakeGateway(lines(LABEL, calls=0, active=0))) as (source, now):
        assert whys((await source.activity([ECHO], now))[ECHO]) == ["the gateway never set it (0)"]


@pytest.mark.parametrize(
    ("status", "text", "why"),
    [
        pytest.param(500, "", "answered 500", id="500"),
        pytest.param(404, "", "answered 404", id="404"),
        pytest.param(302, "", "answered 302", id="a redirect"),
        pytest.param(200, f"{IN_FLIGHT} what", "not metrics", id="a word for a value"),
        pytest.param(200, f'{IN_FLIGHT}{{function_name="x" 1', "not metrics", id="a line cut off"),
        pytest.param(200, f"{IN_FLIGHT}{{function_name=", "not metrics", id="a label cut off"),
    ],
)
async def test_gateway_that_does_not_answer_well_makes_everything_unknown(status: int, text: str, why: str) -> None:
    good, bad = FakeGateway(lines(LABEL, calls=0, active=1000)), FakeGateway()
    bad.status, bad.text = status, text

    async with against(good, bad) as (source, now):
        told = whys((await source.activity([ECHO], now))[ECHO])

        assert len(told) == 2
        assert why in told[0]
        assert bad.url in told[0]


async def test_gateway_that_hangs_is_given_up() -> None:
    bad = FakeGateway()
    bad.hanging = asyncio.Event()

    async with against(FakeGateway(lines(LABEL, calls=0, active=1000)), bad, deadline_s=0.2) as (source, now):
        told = whys((await source.activity([ECHO], now))[ECHO])

        assert "did not answer within 0.2 s" in told[0]


async def test_gateway_that_sends_without_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics_endpoint, "MAX_BYTES", 1000)

    async with against(FakeGateway(*(lines(f"f{number}.ns", calls=0, active=1) for number in range(50)))) as (
        source,
        now,
    ):
        assert "more than 1000 bytes" in whys((await source.activity([ECHO], now))[ECHO])[0]


@pytest.mark.parametrize("url", ["http://127.0.0.1:{port}/metrics", "http://", "nonsense", "http://[::1/metrics"])
async def test_nobody_at_the_address_makes_everything_unknown(url: str) -> None:
    listener = bind("127.0.0.1", 0)
    source = GatewayActivity([url.format(port=listener.getsockname()[1])])
    told = whys((await source.activity([ECHO], Instant(time.time())))[ECHO])
    await source.aclose()
    listener.close()

    assert "cannot be" in told[0]  # reached, or resolved


async def test_no_gateway_configured_is_not_silence() -> None:
    source = GatewayActivity([])

    assert whys((await source.activity([ECHO], Instant(0)))[ECHO]) == ["no gateway is configured"] * 2
    await source.aclose()


@pytest.mark.parametrize(
    ("skew_s", "why"),
    [
        pytest.param(-3600, "differs from ours by -3600 s", id="an hour behind"),
        pytest.param(3600, "differs from ours by +3600 s", id="an hour ahead"),
        pytest.param(2, None, id="two seconds apart is within what networks do"),
    ],
)
async def test_clock_of_the_gateway_must_agree_with_ours(skew_s: float, why: str | None) -> None:
    one = FakeGateway(lines(LABEL, calls=0, active=1000))

    async with against(one) as (source, _):
        now = Instant(1_700_000_000.0)
        one.tells_time(formatdate(now + skew_s, usegmt=True))
        told = whys((await source.activity([ECHO], now))[ECHO])

        assert told == [] if why is None else why in told[0]


async def test_date_that_is_none_makes_everything_unknown() -> None:
    one = FakeGateway(lines(LABEL, calls=0, active=1000))
    one.tells_time("yesterday")

    async with against(one) as (source, now):
        assert len(whys((await source.activity([ECHO], now))[ECHO])) == 2


@settings(deadline=None)
@given(st.text(st.characters(codec="utf-8"), max_size=60), st.sampled_from([IN_FLIGHT, LAST_ACTIVE]))
def test_any_text_is_metrics_or_a_value_error(rest: str, name: str) -> None:
    try:
        scrape = gateway.parse((name + rest).encode())
    except ValueError:
        return
    assert isinstance(scrape.in_flight, dict)


names = st.text(st.sampled_from("abcz019-"), min_size=1, max_size=20)


@settings(deadline=None)
@given(st.dictionaries(names, st.tuples(st.integers(0, 10**6), st.floats(1, 2e9)), max_size=10))
def test_what_is_exposed_is_what_is_read(functions: dict[str, tuple[int, float]]) -> None:
    text = "".join(lines(f"{name}.ns", calls=calls, active=active) for name, (calls, active) in functions.items())

    scrape = gateway.parse(text.encode())

    assert scrape.in_flight == {f"{name}.ns": calls for name, (calls, _) in functions.items()}
    assert scrape.last_active == {f"{name}.ns": active for name, (_, active) in functions.items()}
