from __future__ import annotations

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from springtide.gateway.coldstart.queue import QueueBounds, WaitingQueue

WIDE = QueueBounds(per_function=1000, total=1000, total_bytes=10**9)


def queue(bounds: QueueBounds = WIDE) -> WaitingQueue[str, int]:
    return WaitingQueue(bounds)


def test_first_come_is_first_released() -> None:
    waiting = queue()
    for ticket in (3, 1, 2):
        assert waiting.enter("f", ticket, deadline=10, size=0)

    assert [waiting.release("f") for _ in range(4)] == [3, 1, 2, None]


def test_lines_are_separate() -> None:
    waiting = queue()
    waiting.enter("f", 1, deadline=10, size=0)
    waiting.enter("g", 2, deadline=10, size=0)

    assert waiting.release("h") is None
    assert waiting.release("g") == 2
    assert waiting.waiting("f") == 1


@pytest.mark.parametrize(
    "bounds",
    [
        pytest.param(QueueBounds(2, 100, 100), id="per function"),
        pytest.param(QueueBounds(100, 2, 100), id="in total"),
        pytest.param(QueueBounds(100, 100, 25), id="bytes"),
        pytest.param(QueueBounds(2, 2, 20), id="all at once"),
    ],
)
def test_full_queue_takes_nobody_until_somebody_leaves(bounds: QueueBounds) -> None:
    waiting = queue(bounds)
    assert waiting.enter("f", 1, deadline=10, size=10)
    assert waiting.enter("f", 2, deadline=10, size=10)

    assert not waiting.enter("f", 3, deadline=10, size=10)
    assert 3 not in waiting

    assert waiting.leave(1)
    assert waiting.enter("f", 3, deadline=10, size=10)


def test_those_whose_time_has_come_are_taken_whatever_their_place() -> None:
    waiting = queue()
    waiting.enter("f", 1, deadline=10, size=0)
    waiting.enter("f", 2, deadline=5, size=0)
    waiting.enter("g", 3, deadline=7, size=0)

    assert waiting.next_deadline() == 5
    assert waiting.expire(7) == [2, 3]
    assert waiting.next_deadline() == 10
    assert waiting.release("f") == 1
    assert waiting.next_deadline() is None


def test_evicted_line_is_empty_and_in_order() -> None:
    waiting = queue()
    for ticket in (1, 2, 3):
        waiting.enter("f", ticket, deadline=10, size=5)

    assert waiting.evict("f") == [1, 2, 3]
    assert len(waiting) == waiting.kept_bytes == 0
    assert waiting.evict("f") == []


def test_those_who_left_are_not_remembered() -> None:
    waiting = queue(QueueBounds(10, 10, 10))
    for ticket in range(10_000):
        assert waiting.enter("f", ticket, deadline=60, size=1)
        assert waiting.leave(ticket)

    assert len(waiting._due) < 100


class Model(RuleBasedStateMachine):
    """The queue against the plainest thing that could do its work: one list."""

    def __init__(self) -> None:
        super().__init__()
        self.bounds = QueueBounds(per_function=4, total=7, total_bytes=60)
        self.queue: WaitingQueue[str, int] = WaitingQueue(self.bounds)
        self.line: list[tuple[str, int, int, int]] = []
        self.next = 0

    @rule(key=st.sampled_from("fgh"), deadline=st.integers(0, 20), size=st.integers(0, 20))
    def enter(self, key: str, deadline: int, size: int) -> None:
        self.next += 1
        fits = (
            len(self.line) < self.bounds.total
            and sum(kept for _, _, _, kept in self.line) + size <= self.bounds.total_bytes
            and sum(1 for other, _, _, _ in self.line if other == key) < self.bounds.per_function
        )

        assert self.queue.enter(key, self.next, deadline=deadline, size=size) == fits

        if fits:
            self.line.append((key, self.next, deadline, size))

    @rule(key=st.sampled_from("fgh"))
    def release(self, key: str) -> None:
        expected = next((entry for entry in self.line if entry[0] == key), None)

        assert self.queue.release(key) == (expected[1] if expected else None)

        if expected:
            self.line.remove(expected)

    @precondition(lambda self: self.line)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        entry = data.draw(st.sampled_from(self.line))

        assert self.queue.leave(entry[1])
        assert not self.queue.leave(entry[1])

        self.line.remove(entry)

    @rule(now=st.integers(0, 20))
    def expire(self, now: int) -> None:
        due = {entry[1] for entry in self.line if entry[2] <= now}

        assert set(self.queue.expire(now)) == due

        self.line = [entry for entry in self.line if entry[1] not in due]

    @rule(key=st.sampled_from("fgh"))
    def evict(self, key: str) -> None:
        assert self.queue.evict(key) == [entry[1] for entry in self.line if entry[0] == key]

        self.line = [entry for entry in self.line if entry[0] != key]

    @invariant()
    def counts_agree(self) -> None:
        assert len(self.queue) == len(self.line)
        assert self.queue.kept_bytes == sum(entry[3] for entry in self.line)
        assert self.queue.next_deadline() == min((entry[2] for entry in self.line), default=None)
        for key in "fgh":
            assert self.queue.waiting(key) == sum(1 for entry in self.line if entry[0] == key)


TestWaitingRoomModel = Model.TestCase
