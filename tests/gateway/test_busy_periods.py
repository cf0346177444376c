"""When functions were busy: what a gateway remembers of it, and what it tells, in one process and of several."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from springtide.gateway.busy_periods import BusyPeriods
from springtide.gateway.call_metrics import CallMetrics
from springtide.runtime.errors import Unavailable
from springtide.wire import busy_periods
from springtide.wire.busy_periods import MAX_PERIODS, QUIET_S, BusyReport, FunctionPeriods, Period
from tests.gateway.pooled import load, more, pooled, stopped
from tests.gateway.test_system_api import whole

ECHO = "echo.openfaas-fn"


class Hands:
    """A clock set by hand."""

    def __init__(self) -> None:
        self.at = 1000.0

    def now(self) -> float:
        return self.at

    def wall(self) -> float:
        return self.at


class Worker:
    """Makes calls one by one and tells of them after each."""

    def __init__(self, periods: BusyPeriods, hands: Hands, number: int) -> None:
        self.periods, self.hands, self.number = periods, hands, number
        self.metrics = CallMetrics(last_active=hands.at)

    def tell(self) -> None:
        metrics = self.metrics
        self.periods.saw(
            ECHO,
            self.number,
            busy_since=metrics.busy_since,
            last_active=metrics.last_active,
            started=metrics.started,
            in_flight=metrics.in_flight,
        )

    def call(self, begun: float, ended: float) -> None:
        self.hands.at = begun
        self.metrics.begin(begun)
        self.tell()
        self.hands.at = ended
        self.metrics.end(200, ended - begun, ended)
        self.tell()


@pytest.fixture
def hands() -> Hands:
    return Hands()


@pytest.fixture
def periods(hands: Hands) -> BusyPeriods:
    return BusyPeriods(hands)


def told(periods: BusyPeriods, hands: Hands, since: float = 0.0) -> FunctionPeriods:
    return periods.told(since, hands.at).functions[ECHO]


def test_pause_of_a_second_ends_a_period_and_a_shorter_one_does_not(periods: BusyPeriods, hands: Hands) -> None:
    worker = Worker(periods, hands, 1)
    for begun, ended in ((1001.0, 1002.0), (1002.9, 1003.0), (1004.5, 1004.6)):
        worker.call(begun, ended)

    assert told(periods, hands) == FunctionPeriods([Period(1001.0, 1003.0, 2), Period(1004.5, 1004.6, 1)])


def test_first_call_right_after_the_function_was_heard_of_begins_a_period(periods: BusyPeriods, hands: Hands) -> None:
    Worker(periods, hands, 1).call(1000.2, 1000.3)

    assert told(periods, hands).periods == [Period(1000.2, 1000.3, 1)]


def test_calls_of_several_workers_at_once_are_one_period(periods: BusyPeriods, hands: Hands) -> None:
    one, other = Worker(periods, hands, 1), Worker(periods, hands, 2)
    one.call(1010.0, 1012.0)
    other.call(1011.0, 1014.0)
    one.call(1014.5, 1015.0)

    assert told(periods, hands).periods == [Period(1010.0, 1015.0, 3)]


def test_period_goes_on_while_a_call_is_in_flight_anywhere(periods: BusyPeriods, hands: Hands) -> None:
    one, other = Worker(periods, hands, 1), Worker(periods, hands, 2)
    one.metrics.begin(1010.0)
    hands.at = 1010.0
    one.tell()
    other.call(1011.0, 1012.0)
    hands.at = 1100.0

    assert told(periods, hands) == FunctionPeriods([Period(1010.0, 1100.0, 2)], busy=True)


def test_worker_that_died_has_no_calls_in_flight_and_its_successor_counts_anew(
    periods: BusyPeriods, hands: Hands
) -> None:
    dead = Worker(periods, hands, 1)
    dead.call(1001.0, 1002.0)
    dead.metrics.begin(1010.0)
    hands.at = 1011.0
    dead.tell()
    periods.left(1)
    Worker(periods, hands, 1).call(1020.0, 1021.0)

    assert told(periods, hands) == FunctionPeriods(
        [Period(1001.0, 1002.0, 1), Period(1010.0, 1011.0, 1), Period(1020.0, 1021.0, 1)]
    )


def test_function_deployed_anew_keeps_none_of_its_periods(periods: BusyPeriods, hands: Hands) -> None:
    Worker(periods, hands, 1).call(1001.0, 1002.0)
    periods.gone(ECHO, 1)
    Worker(periods, hands, 1).call(1010.0, 1011.0)

    assert told(periods, hands).periods == [Period(1010.0, 1011.0, 1)]


def test_who_was_away_is_told_what_ended_since(periods: BusyPeriods, hands: Hands) -> None:
    worker = Worker(periods, hands, 1)
    for begun in range(1010, 1060, 10):
        worker.call(begun, begun + 1)

    assert [period.begun for period in told(periods, hands, 1031.0).periods] == [1030, 1040, 1050]
    assert ECHO not in periods.told(1052.0, hands.at).functions


def test_of_too_many_periods_the_first_are_dropped_and_that_is_told(periods: BusyPeriods, hands: Hands) -> None:
    worker = Worker(periods, hands, 1)
    for number in range(MAX_PERIODS + 2):
        worker.call(1010.0 + 10 * number, 1011.0 + 10 * number)
    one = told(periods, hands)

    assert len(one.periods) == MAX_PERIODS
    assert (one.lost_until, one.periods[0].begun) == (1021.0, 1030.0)


calls = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 400), st.integers(0, 60)), max_size=12)


@given(calls)
def test_periods_are_the_union_of_the_calls_whoever_had_them(made: list[tuple[int, int, int]]) -> None:
    hands = Hands()
    periods = BusyPeriods(hands)
    events = sorted(
        event
        for number, (worker, begun, length) in enumerate(made)
        for event in ((begun, 0, number, worker), (begun + length, 1, number, worker))
    )
    workers = [Worker(periods, hands, number) for number in range(3)]
    for tenths, ends, _, number in events:
        hands.at = 2000 + tenths / 10
        metrics = workers[number].metrics
        if ends:
            metrics.end(200, 0.0, hands.at)
        else:
            metrics.begin(hands.at)
        workers[number].tell()
    found = list(periods.told(0, hands.at).functions.get(ECHO, FunctionPeriods([])).periods)

    assert sum(period.calls for period in found) == len(made)
    assert all(later.begun - earlier.ended >= QUIET_S for earlier, later in pairwise(found))
    for _, begun, length in made:
        call = 2000 + begun / 10, 2000 + (begun + length) / 10
        assert any(period.begun <= call[0] and call[1] <= period.ended for period in found)
    assert {period.begun for period in found} <= {2000 + begun / 10 for _, begun, _ in made}


def test_answer_comes_back_as_it_was() -> None:
    answer = BusyReport(12.5, "life", 3.0, {ECHO: FunctionPeriods([Period(4.0, 5.5, 7)], busy=True, lost_until=2.0)})

    assert busy_periods.decode(busy_periods.encode(answer)) == answer


HEAD = b'{"at": 1, "gateway": "x", "began": 0, "functions": '


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"[]", id="no object"),
        pytest.param(b"{}", id="an empty object"),
        pytest.param(HEAD + b"[]}", id="no functions"),
        pytest.param(HEAD + b'{"": [0, 0]}}', id="no name"),
        pytest.param(HEAD + b'{"f": [0]}}', id="too few numbers"),
        pytest.param(HEAD + b'{"f": [0, 0, 5, 4, 1]}}', id="an end before its beginning"),
        pytest.param(HEAD + b'{"f": [0, 0, 5, "6", 1]}}', id="a text"),
        pytest.param(HEAD + b'{"f": [0, 0, -5, 6, 1]}}', id="a time before 1970"),
        pytest.param(HEAD + b'{"f": [0, 0' + b", 1, 2, 3" * (MAX_PERIODS + 1) + b"]}}", id="too many"),
    ],
)
def test_what_is_no_such_answer_is_refused(text: bytes) -> None:
    with pytest.raises(Unavailable, match="not busy periods"):
        busy_periods.decode(text)


async def asked(port: int, query: str = "") -> httpx.Response:
    async with httpx.AsyncClient(timeout=60) as http:
        return await http.get(f"http://127.0.0.1:{port}{busy_periods.PATH}{query}")


async def test_gateway_of_one_process_tells_its_periods() -> None:
    async with whole() as suite:
        await suite.deploy()
        assert (await suite.http.get("/function/echo")).status_code == 200
        answer = busy_periods.decode((await asked(suite.gateway.metrics_port)).content)
        (period,) = answer.functions[ECHO].periods

        assert answer.began <= period.begun <= period.ended <= answer.at
        assert period.calls == 1
        assert not busy_periods.decode(
            (await asked(suite.gateway.metrics_port, f"?since={answer.at + 60}")).content
        ).functions
        assert (await asked(suite.gateway.metrics_port, "?since=soon")).status_code == 400


async def test_gateway_of_one_process_forgets_a_function_that_is_gone() -> None:
    async with whole() as suite:
        await suite.deploy()
        assert (await suite.http.get("/function/echo")).status_code == 200
        assert ECHO in busy_periods.decode((await asked(suite.gateway.metrics_port)).content).functions
        gone = await suite.http.request("DELETE", "/system/functions", json={"functionName": "echo"})
        assert gone.is_success
        async with asyncio.timeout(60):
            while ECHO in busy_periods.decode((await asked(suite.gateway.metrics_port)).content).functions:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.01)


async def test_gateway_of_several_processes_tells_the_calls_of_all() -> None:
    async with pooled() as suite:
        async with load(suite) as seen:
            await more(seen)
        answer = busy_periods.decode((await asked(suite.pool.metrics_port)).content)
        again = busy_periods.decode((await asked(suite.pool.metrics_port)).content)

    told = list(answer.functions[ECHO].periods)
    assert sum(period.calls for period in told) == seen["right"]
    assert told == again.functions[ECHO].periods
    assert all(answer.began <= period.begun <= period.ended <= answer.at for period in told)
    assert answer.gateway == again.gateway


async def test_gateway_a_process_of_which_hangs_does_not_say_that_it_knows() -> None:
    async with pooled() as suite:
        with stopped(next(iter(suite.pids()))):
            answer = await asked(suite.pool.metrics_port)

    assert answer.status_code == 503
