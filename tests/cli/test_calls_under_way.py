"""What a suite that stops says of the calls it waits for."""

from __future__ import annotations

import pytest

from springtide.cli.calls_under_way import calls_under_way, shown
from springtide.scaler.core.vocabulary import FunctionRef


@pytest.mark.parametrize(
    ("calls", "text"),
    [
        pytest.param({"mail": 1, "resize": 3}, "3 of resize, 1 of mail", id="most first"),
        pytest.param({"mail.staging": 2}, "2 of mail.staging", id="another namespace"),
        pytest.param(
            {f"f{number}": 1 for number in range(7)},
            "1 of f0, 1 of f1, 1 of f2, 1 of f3, 1 of f4, those of 2 more functions",
            id="many",
        ),
    ],
)
def test_calls_are_shown_by_function(calls: dict[str, int], text: str) -> None:
    assert shown({FunctionRef.parse(name): count for name, count in calls.items()}) == text


async def test_gateway_that_does_not_tell_is_no_obstacle() -> None:
    assert await calls_under_way("http://127.0.0.1:1/metrics") == {}
