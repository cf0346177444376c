from __future__ import annotations

import pytest
from starlette.requests import Request

from springtide.provider.api import request_values
from springtide.runtime.errors import BadInput


@pytest.mark.parametrize(
    ("text", "lines"),
    [(None, None), ("", None), ("0", None), ("-1", None), ("1", 1), ("200", 200), ("0005", 5)],
)
def test_tail_of(text: str | None, lines: int | None) -> None:
    assert request_values.tail(text) == lines


@pytest.mark.parametrize("text", ["-2", "x", "1.5", "1_0", " 1", "+1", "٣", "9" * 10])
def test_tail_that_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="tail"):
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
def test_instant_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="since"):
        request_values.instant("since", text)


def asked(query: str) -> Request:
    return Request({"type": "http", "query_string": query.encode(), "headers": []})


@pytest.mark.parametrize(
    ("query", "value"),
    [("x=true", True), ("x=1", True), ("x=T", True), ("x=FALSE", False), ("x=0", False), ("x=", False), ("", False)],
)
def test_yes_or_no_of(query: str, value: bool) -> None:
    assert request_values.yes_or_no(asked(query), "x") is value


def test_neither_yes_nor_no_is_refused() -> None:
    with pytest.raises(BadInput, match="follow: 'maybe' is neither yes nor no; write true or false"):
        request_values.yes_or_no(asked("follow=maybe"), "follow")
    with pytest.raises(BadInput) as caught:
        request_values.yes_or_no(asked("follow=" + "m" * 1000), "follow")
    assert len(str(caught.value)) < 200


def test_parameter_that_there_is_not_is_refused() -> None:
    request_values.only(asked("a=1&b="), "a", "b")
    with pytest.raises(BadInput, match="sinse: there is no such parameter; there are since, tail"):
        request_values.only(asked("tail=1&sinse=5"), "since", "tail")
