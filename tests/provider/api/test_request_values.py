from __future__ import annotations

import pytest

from springtide.provider.api import request_values
from springtide.runtime.errors import Unprocessable


@pytest.mark.parametrize(
    ("text", "lines"),
    [(None, None), ("", None), ("0", None), ("-1", None), ("1", 1), ("200", 200), ("0005", 5)],
)
def test_tail_of(text: str | None, lines: int | None) -> None:
    assert request_values.tail(text) == lines


@pytest.mark.parametrize("text", ["-2", "x", "1.5", "1_0", " 1", "+1", "٣", "9" * 10])
def test_tail_that_is_no_number_is_unprocessable(text: str) -> None:
    with pytest.raises(Unprocessable, match="tail"):
        request_values.tail(text)


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        (None, None),
        ("", None),
        ("1970-01-01T00:00:10Z", 10.0),
        ("1970-01-01T02:00:10+02:00", 10.0),
        ("1970-01-01T02:00:10 02:00", 10.0),
        ("1970-01-01T00:00:10.25Z", 10.25),
        ("1970-01-01T00:00:10.123456789Z", 10.123456),
        ("10", 10.0),
        ("1700000000.125", 1_700_000_000.125),
    ],
)
def test_instant_of(text: str | None, instant: float | None) -> None:
    assert request_values.instant("since", text) == instant


@pytest.mark.parametrize(
    "text",
    [
        "yesterday",
        "1970-01-01",
        "1970-01-01T00:00:10",
        "1970-01-01 00:00",
        "-5",
        "nan",
        "1e3",
        "9" * 20,
    ],
)
def test_instant_that_is_none_is_unprocessable(text: str) -> None:
    with pytest.raises(Unprocessable, match="since"):
        request_values.instant("since", text)


@pytest.mark.parametrize(
    ("text", "value"),
    [("true", True), ("1", True), ("True", True), ("false", False), ("0", False), ("x", False), (None, False)],
)
def test_flag_of(text: str | None, value: bool) -> None:
    assert request_values.flag(text) is value


@pytest.mark.parametrize(
    ("text", "value"), [("true", True), ("1", True), ("FALSE", False), ("0", False), (None, False)]
)
def test_yes_or_no_of(text: str | None, value: bool) -> None:
    assert request_values.yes_or_no("follow", text) is value


def test_neither_yes_nor_no_is_unprocessable() -> None:
    with pytest.raises(Unprocessable, match="follow: 'maybe' is neither yes nor no; write true or false"):
        request_values.yes_or_no("follow", "maybe")
