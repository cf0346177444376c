from __future__ import annotations

import dataclasses

import pytest

from springtide.rules.timing import DEFAULT, FAST, Timing, prometheus_duration
from springtide.runtime.errors import BadInput


def timing(**changes: float) -> Timing:
    return dataclasses.replace(DEFAULT, **changes)


def test_default_timing_makes_the_first_step_within_15_seconds_and_the_next_every_10() -> None:
    assert DEFAULT.first_step_within_s == 14
    assert DEFAULT.step_every_s == 10
    assert DEFAULT.step_interval_s == 5


def test_fast_timing_makes_the_first_step_within_7_seconds_and_the_next_every_2() -> None:
    assert FAST.first_step_within_s == 7
    assert FAST.step_every_s == 2
    assert FAST.step_interval_s == 1


def test_scrapes_in_window_counts_fractions_of_seconds_exactly() -> None:
    assert DEFAULT.scrapes_in_window == FAST.scrapes_in_window == 5
    assert timing(window_s=2, gateway_scrape_s=0.4).scrapes_in_window == 5


@pytest.mark.parametrize(
    ("group_interval_s", "repeat_s", "step_every_s"),
    [
        pytest.param(5, 9, 10, id="a little below two flushes repeats at the second"),
        pytest.param(5, 10, 15, id="exactly two flushes misses the second"),
        pytest.param(5, 5, 10, id="equal intervals repeat at every second flush"),
        pytest.param(10, 30, 40, id="OpenFaaS's 10 s and 30 s repeat every 40 s"),
    ],
)
def test_step_every_is_the_first_flush_after_the_repeat_interval(
    group_interval_s: float, repeat_s: float, step_every_s: float
) -> None:
    assert timing(group_interval_s=group_interval_s, repeat_s=repeat_s).step_every_s == step_every_s


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        pytest.param({"window_s": 8}, "fewer than 5 scrapes", id="a window one lost scrape would empty"),
        pytest.param({"gateway_scrape_s": 5}, "fewer than 5 scrapes", id="scrapes too far apart for the window"),
        pytest.param({"repeat_s": 4}, "repeats at flushes only", id="a repeat more often than flushes"),
    ],
)
def test_timing_refuses_what_would_flap_or_never_repeat(changes: dict[str, float], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        timing(**changes)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        pytest.param(10, "10s", id="whole seconds"),
        pytest.param(0, "0s", id="none"),
        pytest.param(0.5, "500ms", id="less than one"),
        pytest.param(1.5, "1500ms", id="a fraction, which Prometheus does not take in seconds"),
    ],
)
def test_prometheus_duration_is_written_in_whole_numbers(seconds: float, text: str) -> None:
    assert prometheus_duration(seconds) == text
