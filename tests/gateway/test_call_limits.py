"""How long a call may take: which limit holds, from when it is counted, and what is said at its end."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest

from springtide.gateway.call_limits import CallBounds
from springtide.gateway.call_state import CallState
from springtide.gateway.settings import GatewaySettings
from springtide.runtime import settings
from springtide.scaler.core import call_timeout
from springtide.scaler.core.call_timeout import EXEC_TIMEOUT, TIMEOUT, WRITE_TIMEOUT, CallTimeout
from tests.gateway.harness import get, post
from tests.gateway.test_call import OK, Rig, rig, turns

__all__ = ["rig"]

BOUNDS = CallBounds(default_s=60, max_s=3600)
PIECE = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n"
MORE = b"1\r\nb\r\n"


@pytest.mark.parametrize(
    ("annotations", "env", "expected"),
    [
        pytest.param({}, {}, None, id="says nothing"),
        pytest.param({}, {"exec_timeout": "10m"}, CallTimeout(600, "exec_timeout"), id="the watchdog's limit"),
        pytest.param({}, {"exec_timeout": "0"}, None, id="the watchdog has none"),
        pytest.param({}, {EXEC_TIMEOUT: "0s", WRITE_TIMEOUT: "2m"}, CallTimeout(120, WRITE_TIMEOUT), id="none, but"),
        pytest.param({}, {"write_timeout": "90"}, CallTimeout(90, "write_timeout"), id="plain seconds"),
        pytest.param({}, {"exec_timeout": "5s", "write_timeout": "2m"}, CallTimeout(5, "exec_timeout"), id="both"),
        pytest.param(
            {TIMEOUT: "5m"},
            {"exec_timeout": "1m"},
            CallTimeout(300, TIMEOUT),
            id="annotated",
        ),
        pytest.param({TIMEOUT: "0"}, {}, CallTimeout(0, TIMEOUT), id="annotated: none"),
        pytest.param({TIMEOUT: "soon"}, {"exec_timeout": "7"}, CallTimeout(7, EXEC_TIMEOUT), id="no duration"),
        pytest.param({}, {"exec_timeout": "-5s"}, None, id="a sign"),
        pytest.param({}, {"exec_timeout": " "}, None, id="empty"),
    ],
)
def test_what_a_function_says_of_itself(
    annotations: Mapping[str, str], env: Mapping[str, str], expected: CallTimeout | None
) -> None:
    assert call_timeout.of_function(annotations, env) == expected


UPSTREAM = "upstream_timeout (60 s) of the gateway; set upstream_timeout, or exec_timeout in the function's environment"


@pytest.mark.parametrize(
    ("own", "told"),
    [
        pytest.param(None, UPSTREAM, id="says nothing"),
        pytest.param(
            CallTimeout(600, "exec_timeout"),
            "exec_timeout (600 s) of the function; set exec_timeout in its environment",
            id="more than the default",
        ),
        pytest.param(
            CallTimeout(5, "exec_timeout"),
            "exec_timeout (5 s) of the function; set exec_timeout in its environment",
            id="less than the default",
        ),
        pytest.param(CallTimeout(5, "write_timeout"), UPSTREAM, id="writes sooner than the default"),
        pytest.param(
            CallTimeout(120, "write_timeout"),
            "write_timeout (120 s) of the function; set exec_timeout in its environment",
            id="writes later than the default",
        ),
        pytest.param(
            CallTimeout(5, TIMEOUT),
            "com.springtide.timeout (5 s) of the function; set its annotation com.springtide.timeout",
            id="annotated",
        ),
        pytest.param(
            CallTimeout(7200, "exec_timeout"),
            "max_call_duration (3600 s) of the gateway; exec_timeout (7200 s) of the function is more than that; "
            "set max_call_duration",
            id="more than any call may take",
        ),
        pytest.param(
            CallTimeout(0, TIMEOUT),
            "max_call_duration (3600 s) of the gateway; com.springtide.timeout without a limit of the function is more "
            "than that; set max_call_duration",
            id="annotated: as long as may be",
        ),
        pytest.param(CallTimeout(5, "of_a_newer_provider"), "of_a_newer_provider (5 s) of the function", id="unknown"),
    ],
)
def test_limit_that_holds_names_itself_its_owner_its_value_and_the_remedy(own: CallTimeout | None, told: str) -> None:
    assert BOUNDS.of(own).with_remedy == told


@pytest.mark.parametrize(
    ("bounds", "own_s", "seconds"),
    [
        pytest.param(CallBounds(7200, 3600), 7000, 7000, id="an operator whose default is longer means it"),
        pytest.param(CallBounds(0, 3600), 7200, 7200, id="without a default nothing bounds"),
        pytest.param(CallBounds(60, 0), 7200, 7200, id="without a bound"),
    ],
)
def test_bounds_that_are_switched_off_bound_nothing(bounds: CallBounds, own_s: float, seconds: float) -> None:
    assert bounds.of(CallTimeout(own_s, "exec_timeout")).seconds == seconds


@pytest.mark.parametrize(
    ("bounds", "told"),
    [
        pytest.param(CallBounds(60, 3600), "max_call_duration (3600 s) of the gateway", id="the bound"),
        pytest.param(
            CallBounds(7200, 3600), "upstream_timeout (7200 s) of the gateway", id="the default, where longer"
        ),
    ],
)
def test_bound_of_all_calls_is_called_by_the_name_it_is_set_by(bounds: CallBounds, told: str) -> None:
    assert str(bounds.most) == told
    assert bounds.of(CallTimeout(9000, EXEC_TIMEOUT)).with_remedy.startswith(told)


def test_only_a_function_that_asks_for_more_than_there_is_warned_of() -> None:
    assert BOUNDS.warning(CallTimeout(7200, "exec_timeout")) == (
        "exec_timeout (7200 s) is longer than any call may take: max_call_duration (3600 s) of the gateway ends it; "
        "set max_call_duration=7200s there, or a shorter exec_timeout"
    )
    assert not any(map(BOUNDS.warning, (None, CallTimeout(3600, "exec_timeout"), CallTimeout(0, TIMEOUT))))


@pytest.mark.parametrize("name", ["max_call_duration", "stream_idle", "deploy_timeout"])
def test_bounds_that_a_person_writes_have_a_maximum(name: str) -> None:
    with pytest.raises(settings.SettingsError, match=name):
        settings.read(GatewaySettings, {name: "9999h"})


# A call, in virtual time.


async def told(rig: Rig) -> str:
    await turns()
    return rig.client.written.decode()


@pytest.mark.virtual_time
async def test_function_that_names_no_time_gets_the_gateways(rig: Rig) -> None:
    call = await rig.sent()
    await asyncio.sleep(59.9)
    assert call.state is CallState.SENT
    await asyncio.sleep(0.1)

    assert f"echo.openfaas-fn did not answer within {UPSTREAM}" in await told(rig)
    assert rig.route.metrics.refused == {"upstream_timeout": 1}


@pytest.mark.virtual_time
async def test_functions_own_time_holds_and_its_watchdog_speaks_first(rig: Rig) -> None:
    rig.route.limit = rig.timeouts.call_limit(CallTimeout(600, "exec_timeout"))
    call = await rig.sent()
    await asyncio.sleep(601.9)
    assert call.state is CallState.SENT
    await asyncio.sleep(0.1)

    assert "504 Gateway Timeout" in await told(rig)
    assert "did not answer within exec_timeout (600 s) of the function; set exec_timeout" in await told(rig)


@pytest.mark.virtual_time
async def test_call_in_flight_keeps_the_limit_it_began_with(rig: Rig) -> None:
    call = await rig.sent()
    rig.route.limit = rig.timeouts.call_limit(CallTimeout(1, TIMEOUT))
    await asyncio.sleep(59)
    assert call.state is CallState.SENT
    rig.route.limit = rig.timeouts.call_limit(CallTimeout(600, TIMEOUT))
    await asyncio.sleep(1)

    assert "within upstream_timeout (60 s)" in await told(rig)


@pytest.mark.virtual_time
async def test_answer_that_keeps_coming_is_not_ended_by_the_limit(rig: Rig) -> None:
    call = await rig.sent()
    rig.connections[-1].receive(PIECE)
    for _ in range(200):
        await asyncio.sleep(50)
        rig.connections[-1].receive(MORE)
    assert call.state is CallState.ANSWERING
    rig.connections[-1].receive(b"0\r\n\r\n")

    assert call.state is CallState.FINISHED
    assert rig.route.metrics.refused == {}
    assert len(rig.timeouts) == 2, "those of the two idle connections"


@pytest.mark.virtual_time
@pytest.mark.parametrize(
    ("own_s", "idle_s"),
    [
        pytest.param(None, 60, id="the gateway's time"),
        pytest.param(600, 600, id="the function's, where that is longer"),
        pytest.param(5, 60, id="and never less than the gateway's"),
    ],
)
async def test_answer_that_is_silent_for_too_long_is_broken_off(rig: Rig, own_s: float | None, idle_s: float) -> None:
    rig.route.limit = rig.timeouts.call_limit(CallTimeout(own_s, TIMEOUT) if own_s else None)
    call = await rig.sent()
    rig.connections[-1].receive(PIECE)
    await asyncio.sleep(3)
    rig.connections[-1].receive(MORE)
    await asyncio.sleep(idle_s - 0.1)
    assert call.state is CallState.ANSWERING
    await asyncio.sleep(0.1)

    assert call.state is CallState.FINISHED
    assert rig.client.aborted
    assert rig.route.metrics.refused == {"stream_idle": 1}


@pytest.mark.virtual_time
async def test_answer_that_its_caller_does_not_read_is_not_silent(rig: Rig) -> None:
    call = await rig.sent()
    rig.connections[-1].receive(PIECE)
    rig.client.protocol.pause_writing()
    await asyncio.sleep(59)
    rig.timeouts.write.stop(rig.client.protocol)  # it reads, though slowly
    await asyncio.sleep(600)
    assert call.state is CallState.ANSWERING
    rig.client.protocol.resume_writing()
    await asyncio.sleep(100)

    assert rig.route.metrics.refused == {"stream_idle": 1}


@pytest.mark.virtual_time
async def test_upload_that_keeps_coming_is_not_ended_by_the_limit(rig: Rig) -> None:
    call = await rig.sent(post(b"x" * 100)[:-90])
    for _ in range(89):
        await asyncio.sleep(30)
        rig.client.receive(b"x")
    await asyncio.sleep(30)
    rig.client.receive(b"x")
    await asyncio.sleep(59)
    assert call.state is CallState.SENT
    rig.connections[-1].receive(OK + b"hello")

    assert call.state is CallState.FINISHED
    assert rig.client.written.endswith(b"hello")


@pytest.mark.virtual_time
async def test_upload_takes_no_longer_than_any_call_may(rig: Rig) -> None:
    call = await rig.sent(post(b"x" * 1000)[:-990])
    while call.state is CallState.SENT:
        await asyncio.sleep(30)
        rig.client.receive(b"x")

    assert asyncio.get_running_loop().time() == pytest.approx(3630)
    assert "408 " in await told(rig)
    assert "did not arrive within max_call_duration (3600 s) of the gateway" in await told(rig)


@pytest.mark.virtual_time
async def test_limits_that_nobody_has_any_more_are_forgotten(rig: Rig) -> None:
    for seconds in range(1, 500):
        rig.route.limit = rig.timeouts.call_limit(CallTimeout(seconds, TIMEOUT))

    assert len(list(rig.timeouts)) < 20
    assert rig.timeouts.call_limit(None) is rig.timeouts.call_limit(None)
    await rig.sent(get())
