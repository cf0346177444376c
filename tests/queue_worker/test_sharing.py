"""What each copy of the worker may hold of a function: together never more than the room, and soon all of it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from springtide.queue_worker.sharing import LEASE_S, MAX_COPIES, MAX_DEAF_S, SETTLE_S, Said, Sharing, divided

FUNCTION, ROOM = "openfaas-fn/echo", 10
FORGET_S = 30.0
SAYS_S, STEP_S = 0.5, 0.1


@dataclass(slots=True)
class Copy:
    """One that runs: it hears what came, says something every half second, and takes what it may."""

    sharing: Sharing
    held: int = 0
    paused: bool = False
    leaving: bool = False
    said_at: float = float("-inf")
    inbox: list[Said] = field(default_factory=list)


class Copies:
    """A message is with everybody, its sender too, a step after it was said."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.there: list[Copy] = []
        self._count = 0

    def join(self) -> Copy:
        self._count += 1
        copy = Copy(Sharing(f"copy-{self._count}", forget_s=FORGET_S))
        self.there.append(copy)
        return copy

    def steps(self, seconds: float) -> None:
        for _ in range(round(seconds / STEP_S)):
            self.step()

    def step(self) -> None:
        self.now += STEP_S
        said = [one for copy in self.there if not copy.paused for one in self._turn(copy)]
        for copy in self.there:
            copy.inbox += said

    def _turn(self, copy: Copy) -> list[Said]:
        """What it says."""
        answers = [copy.sharing.hear(said, now=self.now) for said in copy.inbox]
        copy.inbox.clear()
        copy.sharing.changed(self.now)
        settled = copy.sharing.may_take(self.now)
        if not any(answers) and settled and self.now < copy.said_at + SAYS_S:
            return []
        copy.said_at = self.now
        return [copy.sharing.say({FUNCTION: copy.held} if copy.held else {}, leaving=copy.leaving, now=self.now)]

    def room(self, copy: Copy) -> int:
        return copy.sharing.room(FUNCTION, ROOM, now=self.now)

    def take(self, copy: Copy, count: int) -> None:
        while count and not copy.leaving and copy.held < self.room(copy):
            copy.held += 1
            count -= 1


@given(st.integers(0, 1000), st.sets(st.text(max_size=5), min_size=1, max_size=8), st.text(max_size=5))
def test_parts_are_the_whole_and_grow_when_a_copy_goes(whole: int, copies: set[str], function: str) -> None:
    parts = divided(function, whole, sorted(copies))
    assert sum(parts.values()) == whole
    assert max(parts.values()) - min(parts.values()) <= 1
    for gone in copies if len(copies) > 1 else ():
        left = divided(function, whole, sorted(copies - {gone}))
        assert all(left[copy] >= parts[copy] for copy in left)


def test_the_odd_one_is_another_copys_for_another_function() -> None:
    assert {max(parts, key=lambda copy: parts[copy]) for n in range(50) for parts in [divided(f"f{n}", 1, "ab")]} == {
        "a",
        "b",
    }


def test_a_copy_alone_has_all_room_once_it_has_listened() -> None:
    copies = Copies()
    one = copies.join()
    assert copies.room(one) == 0
    copies.step()
    copies.step()
    assert copies.room(one) == 0, "it cannot know yet that it is alone"
    copies.steps(SETTLE_S)
    assert copies.room(one) == ROOM
    copies.steps(1000.0)
    assert copies.room(one) == ROOM


def test_two_copies_divide_the_room() -> None:
    copies = Copies()
    one, other = copies.join(), copies.join()
    copies.steps(SETTLE_S + 0.3)
    assert (copies.room(one), copies.room(other)) == (5, 5)


def test_one_that_comes_later_has_what_the_first_one_gives_up() -> None:
    copies = Copies()
    one = copies.join()
    copies.steps(1.0)
    copies.take(one, ROOM)
    other = copies.join()
    copies.steps(2.0)
    assert copies.room(other) == 0
    one.held = 7
    copies.steps(2.0)
    assert (copies.room(one), copies.room(other)) == (5, 3)
    one.held = 2
    copies.steps(2.0)
    assert (copies.room(one), copies.room(other)) == (5, 5)


def test_of_one_that_was_killed_its_part_is_free_soon_and_what_it_held_after_its_leases() -> None:
    copies = Copies()
    one, other = copies.join(), copies.join()
    copies.steps(2.0)
    copies.take(other, 4)
    copies.steps(1.0)
    copies.there.remove(other)
    copies.steps(LEASE_S + 1.0)
    assert copies.room(one) == ROOM - 4
    copies.steps(FORGET_S - LEASE_S)
    assert copies.room(one) == ROOM


def test_one_that_leaves_lets_the_others_have_its_part_at_once() -> None:
    copies = Copies()
    one, other = copies.join(), copies.join()
    copies.steps(2.0)
    copies.take(other, 4)
    other.leaving = True
    copies.steps(1.0)
    assert copies.room(one) == ROOM - 4
    other.held = 0
    copies.steps(1.0)
    assert copies.room(one) == ROOM


def test_one_that_was_stopped_takes_nothing_by_what_it_knew_before() -> None:
    copies = Copies()
    one, other = copies.join(), copies.join()
    copies.steps(2.0)
    other.paused = True
    copies.steps(LEASE_S + 1.0)
    copies.take(one, ROOM)
    assert one.held == ROOM
    other.paused = False
    assert copies.room(other) == 0
    for _ in range(30):
        copies.step()
        assert copies.room(other) == 0, "the room is taken"
    one.held = 0
    copies.steps(2.0)
    assert (copies.room(one), copies.room(other)) == (5, 5)


def test_one_that_hears_nothing_goes_on_by_itself_after_a_while() -> None:
    copies = Copies()
    one = copies.join()
    deaf_from = copies.now
    while not copies.room(one):
        copies.step()
        one.inbox.clear()
    assert copies.now - deaf_from == pytest.approx(MAX_DEAF_S, abs=0.5)
    assert one.sharing.deaf(copies.now)
    copies.steps(3.0)
    assert not one.sharing.deaf(copies.now)
    assert copies.room(one) == ROOM


def test_a_server_that_was_away_leaves_nobody_deaf() -> None:
    copies = Copies()
    one = copies.join()
    copies.steps(2.0)
    for _ in range(300):
        copies.step()
        one.inbox.clear()
        one.sharing.unsaid()
    assert copies.room(one) == 0
    copies.step()
    assert copies.room(one) == 0
    copies.steps(SETTLE_S + 0.2)
    assert copies.room(one) == ROOM


def test_what_an_older_message_says_is_passed_over() -> None:
    one, other = Sharing("one", forget_s=FORGET_S), Sharing("other", forget_s=FORGET_S)
    first = other.say({}, leaving=False, now=1.0)
    assert one.hear(replace(first, number=2, holds={FUNCTION: 3}), now=1.0)
    assert one.changed(1.0)
    assert not one.hear(first, now=1.1)
    assert not one.changed(1.1)


def test_no_more_copies_are_kept_than_a_bound() -> None:
    one = Sharing("one", forget_s=FORGET_S)
    for number in range(MAX_COPIES + 10):
        one.hear(Said(copy=f"other-{number}", number=1), now=1.0)
    assert one.others(1.0) == MAX_COPIES


class AnyCourse(RuleBasedStateMachine):
    """Copies come, go, are killed, stop for a while, and take and end jobs, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.copies = Copies()
        self.copies.join()
        self.copies.steps(1.0)

    @rule(steps=st.integers(1, 40))
    def time_passes(self, steps: int) -> None:
        for _ in range(steps):
            self.copies.step()

    @rule(which=st.integers(0, 9), count=st.integers(1, ROOM))
    def jobs_are_taken(self, which: int, count: int) -> None:
        if (copy := self.one(which)) is not None and not copy.paused:
            self.copies.take(copy, count)

    @rule(count=st.integers(1, ROOM), steps=st.integers(1, 20))
    def everybody_takes_for_a_while(self, count: int, steps: int) -> None:
        for _ in range(steps):
            for copy in self.copies.there:
                if not copy.paused:
                    self.copies.take(copy, count)
            self.check()
            self.copies.step()

    @rule(which=st.integers(0, 9), count=st.integers(1, ROOM))
    def jobs_end(self, which: int, count: int) -> None:
        if (copy := self.one(which)) is not None and not copy.paused:
            copy.held = max(0, copy.held - count)

    @precondition(lambda self: not any(copy.paused for copy in self.copies.there))
    @rule()
    def one_comes(self) -> None:
        """Of one that is stopped meanwhile it cannot know."""
        if len(self.copies.there) < 4:
            self.copies.join()

    @rule(which=st.integers(0, 9))
    def one_is_killed(self, which: int) -> None:
        if (copy := self.one(which)) is not None:
            self.copies.there.remove(copy)

    @rule(which=st.integers(0, 9))
    def one_leaves(self, which: int) -> None:
        if (copy := self.one(which)) is not None and not copy.paused:
            copy.leaving = True

    @rule(which=st.integers(0, 9), steps=st.integers(1, 60))
    def one_is_stopped_for_a_while(self, which: int, steps: int) -> None:
        if (copy := self.one(which)) is None or copy.paused:
            return
        self.copies.steps(SETTLE_S + 0.5)  # of one that stops as it comes, nobody can know
        copy.paused = True
        self.everybody_takes_for_a_while(ROOM, steps)
        copy.paused = False

    @rule()
    def all_room_is_given_out_when_it_is_quiet(self) -> None:
        there = self.copies.there = [copy for copy in self.copies.there if not copy.leaving]
        for copy in there:
            copy.held = 0
        self.copies.steps(FORGET_S + 2.0)
        if there:
            assert sum(map(self.copies.room, there)) == ROOM

    @invariant()
    def check(self) -> None:
        assert sum(copy.held for copy in self.copies.there) <= ROOM

    def one(self, which: int) -> Copy | None:
        there = self.copies.there
        return there[which % len(there)] if there else None


AnyCourse.TestCase.settings = settings(max_examples=40, stateful_step_count=15, deadline=None)
TestAnyCourse = AnyCourse.TestCase
