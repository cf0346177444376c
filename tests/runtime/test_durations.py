from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from springtide.runtime.durations import format_duration, parse_duration_s


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        pytest.param("90", 90, id="plain seconds"),
        pytest.param("1.5", 1.5, id="plain seconds with a fraction"),
        pytest.param("0", 0, id="nothing"),
        pytest.param("5m", 300, id="minutes"),
        pytest.param("1h2m3.5s", 3723.5, id="hours, minutes and seconds"),
        pytest.param("1m05s", 65, id="a leading zero"),
        pytest.param("250ms", 0.25, id="milliseconds"),
        pytest.param("10us", 1e-5, id="microseconds"),
        pytest.param("10µs", 1e-5, id="microseconds with the sign"),
        pytest.param("500ns", 5e-7, id="nanoseconds"),
        pytest.param(".5s", 0.5, id="no digit before the point"),
        pytest.param("1.s", 1, id="no digit after the point"),
        pytest.param(" 15m\n", 900, id="white space around it"),
    ],
)
def test_duration_is_read_as_people_write_it(text: str, seconds: float) -> None:
    assert parse_duration_s(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text",
    ["", " ", "-5m", "+5m", "5 m", "5m 3s", "m", "5x", "5mx", "x5m", "1h-2m", ".", ".s", "1e3", "nan", "inf", "5M"],
)
def test_what_is_no_duration_is_refused_by_name(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration; write seconds") as refused:
        parse_duration_s(text)

    assert repr(text.strip()) in str(refused.value)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0ms"),
        (0.25, "250ms"),
        (1, "1s"),
        (59.9999, "1m"),
        (90, "1m30s"),
        (65.5, "1m5.5s"),
        (3600, "1h"),
        (3661, "1h1m1s"),
        (7200.25, "2h0.25s"),
    ],
)
def test_duration_is_written_as_short_as_can_be(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@settings(deadline=None)
@given(st.floats(0, 1e7))
def test_what_is_written_reads_the_same_to_the_millisecond(seconds: float) -> None:
    assert parse_duration_s(format_duration(seconds)) == pytest.approx(seconds, abs=0.0006)


@settings(deadline=None)
@given(st.text(max_size=20))
def test_any_text_is_a_duration_or_a_value_error(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert parse_duration_s(text) >= 0


@pytest.mark.parametrize("text", ["9" * 400 + "h", "9" * 400, "99999999999999h", "9223372037", "1h" * 3_000_000])
def test_duration_that_no_clock_can_hold_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is longer than any duration; write less than 2562048h"):
        parse_duration_s(text)


def test_digits_are_those_of_ascii() -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        parse_duration_s("\u0663s")
