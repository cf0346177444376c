"""Recorded calls, as they are read: every format, and what is wrong with a line."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime
from pathlib import Path

import pytest

from springtide.runtime.errors import BadInput
from springtide.scaler.sim import traces
from springtide.scaler.sim.traces import Trace

DATA = Path(__file__).parent / "data"
INVOCATIONS, DURATIONS = (DATA / f"azure2019-excerpt-{name}.csv" for name in ("invocations", "durations"))
AZURE = "HashOwner,HashApp,HashFunction,Trigger,1,2"


def times(trace: Trace, seed: int = 1) -> list[float]:
    return list(trace.arrivals(random.Random(seed)))


def test_times_and_functions_begin_together_at_the_first_call_of_any() -> None:
    one, other = traces.read(["2026-05-01T12:00:05Z,b", "2026-05-01T12:00:00Z,a", "2026-05-01T12:00:02.5Z,b"], "calls")
    assert (one.function, times(one)) == ("a", [0.0])
    assert (other.function, times(other)) == ("b", [2.5, 5.0])
    assert one.length_s == other.length_s == 5.0


def test_a_heading_says_where_the_columns_are() -> None:
    (trace,) = traces.read(["function,status,time\n", "hello,200,10\n", "\n", "hello,200,12\n"], "calls")
    assert (trace.function, times(trace)) == ("hello", [0.0, 2.0])


def test_an_access_log_tells_when_calls_began_among_its_other_lines() -> None:
    def line(**told: object) -> str:
        return json.dumps({"event": "call", "function": "hello.openfaas-fn", **told})

    (trace,) = traces.read(
        [
            json.dumps({"event": "started", "timestamp": "2026-05-01T12:00:00Z"}),
            line(seconds=1.5, timestamp="2026-05-01T12:00:10Z"),
            "{half a line",
            line(seconds=4, timestamp="2026-05-01T12:00:11Z"),
        ],
        "log",
    )
    assert (trace.function, times(trace)) == ("hello.openfaas-fn", [0.0, 1.5])
    assert list(trace.service_s or ()) == [4, 1.5]
    assert trace.cold_start_s is None


def test_an_access_log_tells_how_long_calls_and_starts_took() -> None:
    """A call that comes while a start is under way waits for less than that; who never slept starts as others do."""

    def line(function: str, began: float, seconds: float, **told: object) -> str:
        at = datetime.fromtimestamp(1_780_000_000 + began + seconds, UTC).isoformat()
        return json.dumps({"event": "call", "function": function, "timestamp": at, "seconds": seconds, **told})

    busy, sleepy = traces.read(
        [
            line("sleepy", 0.0, 1.0, held_s=0.5, cold=True),
            line("sleepy", 0.4, 0.35, held_s=0.1, cold=True),
            line("sleepy", 60.0, 0.9, held_s=0.7, cold=True),
            line("sleepy", 61.0, 0.3, held_s=0.2, cold=False),
            line("busy", 1.0, 0.2),
        ],
        "log",
    )
    assert list(sleepy.service_s or ()) == pytest.approx([0.5, 0.25, 0.2, 0.1])
    assert sleepy.cold_start_s == busy.cold_start_s == pytest.approx(0.6)


def test_azures_minutes_are_drawn_within_and_timers_come_at_the_start() -> None:
    called, timed = traces.read([AZURE, "o,a,f,http,0,3", "o,a,g,timer,1,2"], "azure")
    assert (called.calls, called.length_s) == (3, 120.0)
    assert len(times(called)) == 3
    assert times(called) == sorted(times(called))
    assert all(60 <= at < 120 for at in times(called))
    assert times(called) != times(called, seed=2)
    assert times(timed) == [0.0, 60.0, 60.001]


def test_the_same_hash_in_two_apps_is_two_functions() -> None:
    found = traces.read([AZURE, "o,a,f,http,0,3", "o,b,f,http,1,2"], "azure")
    assert [trace.function for trace in found] == ["f", "o.b.f"]


def test_the_azure_excerpt_is_read_whole() -> None:
    found = traces.read(INVOCATIONS.read_text().splitlines(), "excerpt")
    assert (len(found), sum(trace.calls for trace in found)) == (11, 5313)
    assert {trace.function for trace in found} >= set(traces.read_durations(DURATIONS.read_text().splitlines(), "d"))


def test_durations_are_drawn_between_the_percentiles() -> None:
    heading = "HashFunction," + ",".join(traces.PERCENTILES)
    points = traces.read_durations([heading, "f,0,10,20,30,40,50,100"], "d")["f"]
    source = random.Random(1)
    drawn = sorted(traces.drawn_from(points)(source) for _ in range(4001))
    assert drawn[2000] == pytest.approx(0.030, abs=0.001)
    assert drawn[1000] == pytest.approx(0.020, abs=0.001)
    assert 0.001 <= drawn[0] <= drawn[-1] <= 0.1


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ([], ["calls: empty", "2026-05-01T12:00:00Z,hello"]),
        (["1,a", "x,a"], ["line 2, column 1", "'x'", "seconds"]),
        (["1,a", "2"], ["line 2", "1 column(s)", "time,function"]),
        (["1,"], ["line 1, column 2", "0 characters"]),
        (["nan,a"], ["line 1, column 1", "'nan'"]),
        (["1," + "a" * 300], ["line 1, column 2", "300 characters"]),
        (["1,a" + "a" * 200_001], ["line 1", "longer than 200,000"]),
        (['{"event":"other"}'], ["no call among its 1 lines", "access_log"]),
        (['{"event":"call","function":"f","seconds":-1}'], ["line 1, seconds", "'-1'"]),
        (['{"event":"call","function":"f","seconds":1}'], ["line 1, timestamp", "'None'"]),
        (['{"event":"call","function":"f","seconds":1,"held_s":"x"}'], ["line 1, held_s", "'x'"]),
        ([AZURE, "o,a,f,http,1"], ["line 2", "5 columns", "heading has 6"]),
        ([AZURE, "o,a,f,http,1,-2"], ["line 2, column 6", "'-2'"]),
        ([AZURE, "o,a,f,http,1,1e300"], ["line 2, column 6", "10,000,000"]),
        ([AZURE, "o,a,f,http,1.5,2"], ["line 2, column 5", "'1.5'"]),
        (["HashOwner,HashFunction,1"], ["line 1", "HashApp"]),
    ],
)
def test_an_error_names_line_column_and_remedy(lines: list[str], words: list[str]) -> None:
    with pytest.raises(BadInput) as caught:
        traces.read(lines, "calls")
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["HashFunction,Average"], ["line 1", "percentile_Average_0"]),
        (["HashFunction," + ",".join(traces.PERCENTILES), "f,1"], ["line 2", "2 columns"]),
        (["HashFunction," + ",".join(traces.PERCENTILES), "f,1,1,1,x,1,1,1"], ["line 2, column 5", "'x'"]),
    ],
)
def test_an_error_in_durations_names_line_and_column(lines: list[str], words: list[str]) -> None:
    with pytest.raises(BadInput) as caught:
        traces.read_durations(lines, "durations")
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(("bound", "lines"), [("MAX_ROWS", ["1,a"] * 3), ("MAX_FUNCTIONS", ["1,a", "1,b", "1,c"])])
def test_rows_and_functions_are_bounded(monkeypatch: pytest.MonkeyPatch, bound: str, lines: list[str]) -> None:
    monkeypatch.setattr(traces, bound, 2)
    with pytest.raises(BadInput, match=r"more than 2 .*; split the file"):
        traces.read(lines, "calls")
