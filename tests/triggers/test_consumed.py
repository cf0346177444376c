"""A log is consumed as far as it is without a gap."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from springtide.triggers.consumed import Consumed


def test_position_moves_over_what_is_taken_without_a_gap() -> None:
    consumed = Consumed[int]()
    for position in (10, 20, 25):
        consumed.given(position)

    assert consumed.taken(20) == []
    assert consumed.taken(10) == [10, 20]
    assert len(consumed) == 1
    assert consumed.taken(25) == [25]
    assert consumed.taken(99) == []


@given(st.permutations(range(12)))
def test_whatever_the_order_nothing_open_is_passed_over(order: list[int]) -> None:
    consumed, taken, told = Consumed[int](), set[int](), -1
    for position in range(12):
        consumed.given(position)
    for position in order:
        taken.add(position)
        moved = consumed.taken(position)
        assert moved == list(range(told + 1, told + 1 + len(moved)))
        told += len(moved)
        assert set(range(told + 1)) <= taken
        assert told + 1 not in taken
    assert told == 11
