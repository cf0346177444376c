from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from springtide.runtime.backoff import Backoff


@pytest.mark.parametrize(
    ("failures", "delay_s"),
    [
        pytest.param(-1, 0.0, id="never a negative pause"),
        pytest.param(0, 0.0, id="no failure, no pause"),
        pytest.param(1, 0.5, id="the first pause is the shortest"),
        pytest.param(2, 1.0, id="doubled with the second"),
        pytest.param(4, 4.0, id="and with each one after"),
        pytest.param(5, 5.0, id="up to the bound"),
        pytest.param(10_000, 5.0, id="for ever, without an overflow"),
    ],
)
def test_delay_doubles_from_the_shortest_to_the_longest(failures: int, delay_s: float) -> None:
    assert Backoff(0.5, 5.0).delay_s(failures) == delay_s


@given(st.integers(1, 100), st.floats(0.0, 1.0))
def test_jitter_only_shortens_and_by_no_more_than_its_share(failures: int, jitter: float) -> None:
    exact_s = Backoff(0.1, 60.0).delay_s(failures)

    delay_s = Backoff(0.1, 60.0, jitter).delay_s(failures)

    assert exact_s * (1 - jitter) <= delay_s or math.isclose(delay_s, exact_s * (1 - jitter))
    assert delay_s <= exact_s


def test_jitter_spreads_those_that_failed_together() -> None:
    backoff = Backoff(1.0, 8.0, jitter=0.5)

    assert len({backoff.delay_s(3) for _ in range(20)}) > 1
