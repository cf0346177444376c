"""``springtide replay`` on what a real Prometheus has: known calls of an hour, with a hole and a restart."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from springtide.cli.command_line import run
from springtide.cli.tools import Tools
from tests.cli.recorded_prometheus import Sample, exposition, prometheus_with

NAME, OTHER, NEW = "hello.openfaas-fn", "other.openfaas-fn", "new.openfaas-fn"
HOUR_S, SCRAPE_S = 3600, 5
HOLE = range(1200, 1800)
"""Not scraped; calls went on."""
RESTART = 2400
SERVICE_S = 0.04
KINDS = {
    "gateway_function_invocation_started": "unknown",
    "gateway_functions_seconds_sum": "unknown",
    "gateway_functions_seconds_count": "unknown",
    "gateway_functions_seconds_bucket": "unknown",
    "gateway_cold_start_seconds_count": "unknown",
    "gateway_cold_start_part_seconds_sum": "unknown",
    "gateway_cold_start_part_seconds_count": "unknown",
    "gateway_service_count": "gauge",
}


def calls_until(at: int) -> int:
    """Two a second for the first quarter of each ten minutes."""
    return sum(2 * min(150, max(0, at - begin)) for begin in range(0, HOUR_S, 600))


def samples(begin: int) -> Iterator[Sample]:
    for second in range(0, HOUR_S, SCRAPE_S):
        if second in HOLE:
            continue
        at, calls = begin + second, calls_until(second) - (calls_until(RESTART) if second >= RESTART else 0)
        one = f'{{function_name="{NAME}",instance="gateway"}}'
        yield f"gateway_function_invocation_started{one}", at, calls
        coded = f'{{code="200",function_name="{NAME}",instance="gateway"'
        yield f"gateway_functions_seconds_sum{coded}}}", at, calls * SERVICE_S
        yield f"gateway_functions_seconds_count{coded}}}", at, calls
        for bound, share in (("0.025", 0.0), ("0.05", 1.0), ("+Inf", 1.0)):
            yield f'gateway_functions_seconds_bucket{coded},le="{bound}"}}', at, calls * share
        cold = second // 600 + 1
        yield f"gateway_cold_start_seconds_count{one}", at, cold
        part = f'{{function_name="{NAME}",instance="gateway",part="ready"}}'
        yield f"gateway_cold_start_part_seconds_sum{part}", at, cold * 1.5
        yield f"gateway_cold_start_part_seconds_count{part}", at, cold
        yield f"gateway_service_count{one}", at, 3 if second % 600 < 150 else 1
        yield f'gateway_function_invocation_started{{function_name="{OTHER}",instance="gateway"}}', at, second // 60
        if second >= HOUR_S - 3 * SCRAPE_S:
            yield f'gateway_function_invocation_started{{function_name="{NEW}",instance="gateway"}}', at, 0
            yield f'gateway_service_count{{function_name="{NEW}",instance="gateway"}}', at, 1


@pytest.fixture(scope="module")
def begin() -> int:
    """Whole, and so that blocks of two hours do not matter."""
    return int(time.time()) - 2 * HOUR_S


@pytest.fixture(scope="module")
def prometheus(tools: Tools, tmp_path_factory: pytest.TempPathFactory, begin: int) -> Iterator[str]:
    text = exposition(KINDS, list(samples(begin)))
    with prometheus_with(tools, tmp_path_factory.mktemp("prometheus"), text) as url:
        yield url


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert run(["replay", *arguments], {}) == 0, capsys.readouterr().err
    return capsys.readouterr().out


def test_calls_times_and_what_really_ran_are_those_that_were_recorded(
    prometheus: str, begin: int, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = json.loads(told(capsys, "hello", "--since", "1d", "--prometheus", prometheus, "--json"))
    (found,) = shown["functions"]
    (tried,) = found["policies"]
    hole_s = len(HOLE) + SCRAPE_S

    assert (found["function"], found["begin"]) == (NAME, begin)
    assert found["unknown_share"] == pytest.approx(hole_s / HOUR_S, rel=0.01)
    assert tried["calls"] == calls_until(HOUR_S) - calls_until(HOLE.stop) + calls_until(HOLE.start - SCRAPE_S)
    assert found["service_mean_s"] == pytest.approx(SERVICE_S)
    assert found["cold_start_s"] == pytest.approx(1.5)
    really = found["as_it_was"]
    assert (really["largest"], really["cold"]) == (3, 5)
    # A quarter of the time three replicas, else one.
    assert really["replica_hours"] == pytest.approx(1.5 * (HOUR_S - hole_s) / HOUR_S, rel=0.03)
    drawn = shown["over_time"]["replicas"][-1]
    assert drawn["policy"] == "(as it was)"
    # A part is half a minute: it is known throughout but for the hole.
    unknown = [place for place, count in enumerate(drawn["replicas"]) if count is None]
    assert unknown == list(range(unknown[0], unknown[-1] + 1))
    assert 17 <= len(unknown) <= 20


def test_a_person_is_told_what_is_not_known_and_sees_it(prometheus: str, capsys: pytest.CaptureFixture[str]) -> None:
    shown = told(capsys, "hello", "--since", "1d", "--prometheus", prometheus, "--policy", "target=10")
    assert "16.8% of that time is not known" in shown
    assert "a cold start of 1.5s (measured)" in shown
    assert "calls take 40 ms on average (measured)" in shown
    assert "(as it was)" in shown
    load = next(line for line in shown.splitlines() if line.startswith("calls/s"))
    assert "··········" in load
    assert "█" in load


def test_a_function_that_was_deployed_a_moment_ago_has_been_recorded_for_a_moment(
    prometheus: str, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = json.loads(told(capsys, "new", "--since", "1d", "--prometheus", prometheus, "--json"))
    (found,) = shown["functions"]
    assert (found["length_s"], found["as_it_was"]) == (2 * SCRAPE_S, None)


def test_what_is_written_goes_before_what_was_measured(prometheus: str, capsys: pytest.CaptureFixture[str]) -> None:
    shown = told(capsys, "hello", "--since", "1d", "--prometheus", prometheus, "--cold-start", "7s", "--service", "1s")
    assert "a cold start of 7s," in shown
    assert "measured" not in shown


def test_all_functions_are_replayed_where_none_is_named(prometheus: str, capsys: pytest.CaptureFixture[str]) -> None:
    shown = json.loads(told(capsys, "--since", "1d", "--prometheus", prometheus, "--json"))
    assert [each["function"] for each in shown["functions"]] == [NAME, NEW, OTHER]
    assert shown["policies"][0]["calls"] == sum(each["policies"][0]["calls"] for each in shown["functions"])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nobody", "--since", "1d"], ["no calls of nobody", f"there are {NAME}, {NEW}, {OTHER}"]),
        (["hello", "--since", "2m"], ["no calls of hello", "it has none of any function"]),
        (["hello", "--since", "1s"], ["--since 1s", "1m to 90d"]),
        (["hello"], ["--since 7d", "--from FILE"]),
        (["hello", "--since", "1d", "--prometheus", "localhost:9090"], ["--prometheus localhost:9090", "http://"]),
        (["hello", "--since", "1d", "--prometheus", "http://127.0.0.1:1"], ["http://127.0.0.1:1", "cannot be asked"]),
    ],
)
def test_an_error_says_what_to_do(
    arguments: list[str], words: list[str], prometheus: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["replay", *arguments], {"PROMETHEUS_URL": prometheus}) == 1
    shown = capsys.readouterr().err
    for word in words:
        assert word in shown


def test_without_a_suite_a_prometheus_has_to_be_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["replay", "hello", "--since", "1d", "--state-dir", str(tmp_path)], {}) == 1
    assert "no suite runs on this machine; name a Prometheus" in capsys.readouterr().err
