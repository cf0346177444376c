"""Who sleeps first where memory is short."""

from __future__ import annotations

import random
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from springtide.scaler.core.keepalive.pressure import Ages, Awake, Worth, first_to_sleep
from springtide.scaler.core.vocabulary import FunctionRef, Instant

MIB = 1 << 20


def awake(
    name: str, *, size: float = 100, calls_per_s: float = 0.01, worth_s: float = 900.0, clock: float = 0
) -> Awake:
    return Awake(FunctionRef("fn", name), size * MIB, Worth(calls_per_s, worth_s), clock, in_flight=0)


def sleepers(functions: list[Awake], needed_mib: float, clock: float = 0.0) -> list[str]:
    return [ref.name for ref in first_to_sleep(functions, needed_mib * MIB, clock)[0]]


def test_large_rare_and_cheap_ones_sleep_first() -> None:
    usual = awake("usual")
    functions = [usual, awake("large", size=400), awake("rare", calls_per_s=0.001), awake("cheap", worth_s=300)]

    assert sleepers(functions, 10_000) == ["rare", "large", "cheap", "usual"]
    assert sleepers(functions, 101) == ["rare", "large"]
    assert sleepers(functions, 0) == []


def test_somebody_in_flight_and_who_may_not_sleep_never_do() -> None:
    functions = [replace(awake("busy"), in_flight=1), replace(awake("wanted"), may_sleep=False), awake("idle")]

    assert sleepers(functions, 10_000) == ["idle"]


def test_who_was_not_called_for_long_falls_behind() -> None:
    often = awake("once called often", calls_per_s=0.1)
    clock = 0.0
    for _ in range(200):
        new = awake("new", clock=clock)
        refs, clock = first_to_sleep([often, new], 100 * MIB, clock)
        if refs[0] == often.ref:
            return
    raise AssertionError("it stays for ever")


functions = st.builds(
    Awake,
    st.builds(FunctionRef, st.just("fn"), st.text("abc", min_size=1, max_size=3)),
    st.integers(0, 10**12).map(float),
    st.builds(Worth, st.floats(0, 1e5), st.floats(0, 1e9)),
    st.floats(0, 1e9),
    st.integers(0, 2).map(float),
    st.booleans(),
)


several = st.lists(functions, unique_by=lambda one: one.ref)


@given(several, st.integers(0, 10**13), st.floats(0, 1e9))
def test_no_more_sleep_than_are_needed_and_the_clock_never_goes_back(
    all_of_them: list[Awake], needed: float, clock: float
) -> None:
    refs, after = first_to_sleep(all_of_them, needed, clock)

    by_ref = {one.ref: one for one in all_of_them}
    assert all(by_ref[ref].may_sleep and by_ref[ref].in_flight == 0 and by_ref[ref].size_bytes > 0 for ref in refs)
    assert sum(by_ref[ref].size_bytes for ref in refs[:-1]) < needed or not refs
    assert after >= clock


@given(several, st.integers(1, 10**13), st.randoms())
def test_whoever_stays_is_worth_as_much_as_whoever_sleeps_in_whatever_order_they_are_told(
    all_of_them: list[Awake], needed: float, order: random.Random
) -> None:
    refs, _ = first_to_sleep(all_of_them, needed, 0.0)

    could = {one.ref: one for one in all_of_them if one.may_sleep and not one.in_flight and one.size_bytes}
    stay = [one for ref, one in could.items() if ref not in refs]
    assert not stay or sum(could[ref].size_bytes for ref in refs) >= needed
    assert all(could[ref].rank <= one.rank for ref in refs for one in stay)
    mixed = list(all_of_them)
    order.shuffle(mixed)
    assert first_to_sleep(mixed, needed, 0.0)[0] == refs


def test_a_function_has_the_clock_of_when_it_was_called_or_woken() -> None:
    often, rare = FunctionRef("fn", "often"), FunctionRef("fn", "rare")

    ages = Ages(0.0).seen({often: Instant(10), rare: Instant(10)})
    ages = replace(ages, clock=7.0).seen({often: Instant(20), rare: Instant(10)})
    assert (ages.of(often), ages.of(rare)) == (7.0, 0.0)
    ages = replace(ages.seen({often: Instant(20)}), clock=9.0).seen({often: Instant(20), rare: Instant(10)})
    assert (ages.of(often), ages.of(rare)) == (7.0, 9.0)
