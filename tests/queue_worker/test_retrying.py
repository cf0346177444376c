"""Whether a call is repeated, and when: contract 10.7 and 10.8."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from springtide.queue_worker.retrying import (
    LOST_ATTEMPTS,
    LOST_DELIVERIES,
    MAX_ATTEMPTS,
    MAX_WAIT_S,
    Jitter,
    RetryRules,
    codes,
)
from springtide.wire.jobs.job import Answer
from tests.queue_worker.values import INTERNAL, answer

NOW = 1_700_000_000.0
RULES = RetryRules()


def waits(rules: RetryRules, attempts: int, *, chance: float = 0.5) -> list[float]:
    return [rules.wait_s(n, answer(500), now=NOW, chance=chance) for n in range(1, attempts + 1)]


def wait_after(*headers: tuple[str, str], status: int = 503, rules: RetryRules = RULES) -> float:
    return rules.wait_s(1, answer(status, *headers), now=NOW, chance=0.5)


def test_the_statuses_that_are_repeated_are_those_of_openfaas() -> None:
    repeated = {status for status in range(100, 600) if RULES.repeats(Answer(status))}
    assert repeated == {408, 429, 500, 502, 503, 504}


def test_a_lost_connection_is_repeated() -> None:
    assert RetryRules(codes=frozenset({500})).repeats(Answer(0))


@pytest.mark.parametrize("status", [400, 404, 413, 429, 500, 501, 599])
def test_an_error_of_the_gateways_own_is_repeated_whatever_its_status(status: int) -> None:
    rules = RetryRules(codes=frozenset({418}))
    assert rules.repeats(answer(status, INTERNAL))
    assert rules.repeats(answer(status, ("x-OPENFAAS-internal", "")))
    assert not rules.repeats(answer(status))


@pytest.mark.parametrize("status", [200, 202, 301, 399])
def test_what_is_no_error_is_not_repeated_by_the_header(status: int) -> None:
    assert not RULES.repeats(answer(status, INTERNAL))


def test_pauses_double_from_the_least_to_the_longest() -> None:
    assert waits(RULES, 7) == [10, 20, 40, 80, 120, 120, 120]
    assert waits(RULES, 10_000)[-1] == 120


@pytest.mark.parametrize(
    ("jitter", "chance", "expected"),
    [
        pytest.param(Jitter.EXPONENTIAL, 0.0, [10, 20, 40], id="exponential has no chance in it"),
        pytest.param(Jitter.FULL, 0.0, [0, 0, 0], id="full is from nothing"),
        pytest.param(Jitter.FULL, 0.25, [2.5, 5, 10], id="full is a part of the pause"),
        pytest.param(Jitter.FULL, 1.0, [10, 20, 40], id="full is to all of it"),
        pytest.param(Jitter.EQUAL, 0.0, [5, 10, 20], id="equal is from half"),
        pytest.param(Jitter.EQUAL, 0.5, [7.5, 15, 30], id="equal is half and a part"),
        pytest.param(Jitter.EQUAL, 1.0, [10, 20, 40], id="equal is to all of it"),
    ],
)
def test_each_kind_of_back_off(jitter: Jitter, chance: float, expected: list[float]) -> None:
    assert waits(RetryRules(jitter=jitter), 3, chance=chance) == expected


def test_a_least_wait_above_the_longest_holds() -> None:
    assert waits(RetryRules(min_wait_s=300, max_wait_s=120), 2) == [300, 300]


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_in_seconds_stands_for_the_pause(status: int) -> None:
    assert wait_after(("Retry-After", "77"), status=status) == 77
    assert wait_after(("retry-after", " 0077 "), status=status) == 77


def test_retry_after_may_be_longer_than_the_longest_pause_but_has_a_bound() -> None:
    assert wait_after(("Retry-After", "1000")) == 1000
    assert wait_after(("Retry-After", "9" * 400)) == MAX_WAIT_S


@pytest.mark.parametrize("status", [408, 500, 502, 504])
def test_retry_after_of_other_statuses_says_nothing(status: int) -> None:
    assert wait_after(("Retry-After", "77"), status=status) == 10


def test_retry_after_is_never_below_the_least_wait() -> None:
    assert wait_after(("Retry-After", "0")) == 10
    assert wait_after(("Retry-After", "9")) == 10
    assert wait_after(("Retry-After", date(-3600))) == 10


def date(seconds: float) -> str:
    return format_datetime(datetime.fromtimestamp(NOW + seconds, UTC), usegmt=True)


def test_retry_after_as_a_date_is_from_now() -> None:
    assert wait_after(("Retry-After", date(90))) == 90
    assert wait_after(("Retry-After", date(90).replace("GMT", "-0000"))) == 90


def test_retry_after_replaces_the_back_off_with_its_chance() -> None:
    assert wait_after(("Retry-After", "77"), rules=RetryRules(jitter=Jitter.FULL)) == 77


@pytest.mark.parametrize("text", ["", "soon", "-5", "1.5", "5s", "\xb2", "\u0663", "Wed, 99 Foo 2015", "0x10", "1e3"])
def test_a_retry_after_that_cannot_be_read_means_the_back_off(text: str) -> None:
    assert wait_after(("Retry-After", text)) == 10


@given(st.text(max_size=40), st.integers(1, 20))
def test_no_retry_after_breaks_the_rules(text: str, attempt: int) -> None:
    wait_s = RULES.wait_s(attempt, answer(429, ("Retry-After", text)), now=NOW, chance=0.5)
    assert RULES.min_wait_s <= wait_s <= MAX_WAIT_S


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("attempts", "3", RetryRules(max_attempts=3)),
        ("attempts", " 3 ", RetryRules(max_attempts=3)),
        ("attempts", str(MAX_ATTEMPTS), RetryRules(max_attempts=MAX_ATTEMPTS)),
        ("codes", "418, 500", RetryRules(codes=frozenset({418, 500}))),
        ("min_wait", "2m", RetryRules(min_wait_s=120)),
        ("min_wait", "0", RetryRules(min_wait_s=0)),
        ("min_wait", "250ms", RetryRules(min_wait_s=0.25)),
        ("max_wait", "1h", RetryRules(max_wait_s=3600)),
    ],
)
def test_a_function_may_say_otherwise(name: str, value: str, expected: RetryRules) -> None:
    assert RULES.of({f"com.openfaas.retry.{name}": value}) == expected


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("attempts", bad) for bad in ("", "0", "-1", "1.5", "many", "10001", "\xb2", "1" * 5000, "\u0663")),
        *(("codes", bad) for bad in ("", "teapot", "99", "600", "500;502", "5\xb20", ",".join(["500"] * 101))),
        *((wait, bad) for wait in ("min_wait", "max_wait") for bad in ("", "soon", "-1s", "25h", "9" * 400)),
    ],
)
def test_an_annotation_that_cannot_be_read_means_the_workers_own(name: str, value: str) -> None:
    own = RetryRules(max_attempts=7, codes=frozenset({500}), min_wait_s=1.0, max_wait_s=5.0)
    assert own.of({f"com.openfaas.retry.{name}": value}) == own


@given(st.dictionaries(st.sampled_from(["attempts", "codes", "min_wait", "max_wait"]), st.text(max_size=30)))
def test_no_annotation_breaks_the_rules(said: dict[str, str]) -> None:
    rules = RULES.of({f"com.openfaas.retry.{name}": value for name, value in said.items()})
    assert 1 <= rules.max_attempts <= MAX_ATTEMPTS
    assert 0 <= rules.min_wait_s <= MAX_WAIT_S


def test_a_call_is_tried_ten_times_by_default() -> None:
    assert [RULES.given_up(attempt, age_s=0.0) for attempt in range(1, 10)] == [""] * 9
    assert "10 times" in RULES.given_up(10, age_s=0.0)


def test_a_call_is_not_tried_again_once_it_is_too_old() -> None:
    rules = RetryRules(max_age_s=3600.0)
    assert rules.given_up(1, age_s=3600.0) == ""
    assert "1h" in rules.given_up(1, age_s=3600.1)


def test_a_call_that_its_workers_do_not_outlive_is_given_up_in_the_end() -> None:
    rules = RetryRules(max_attempts=2)
    most = 2 + LOST_ATTEMPTS
    assert not any(rules.begun_too_often(begun, deliveries=begun + 1) for begun in range(most))
    assert "5 times" in rules.begun_too_often(most, deliveries=most + 1)


def test_a_call_that_no_worker_comes_as_far_as_beginning_is_given_up_later() -> None:
    rules = RetryRules(max_attempts=2)
    assert rules.begun_too_often(1, deliveries=1 + LOST_DELIVERIES) == ""
    assert f"{LOST_DELIVERIES + 1} workers" in rules.begun_too_often(1, deliveries=2 + LOST_DELIVERIES)


def test_codes_are_refused_with_the_remedy() -> None:
    assert codes("500,502") == {500, 502}
    with pytest.raises(ValueError, match="write them as"):
        codes("teapot")
