"""Whose turn it is: nobody starves, seconds are shared equally, and many who wait cost little."""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from springtide.queue_worker.fair_share import MAX_COST_S, FairShare
from springtide.scaler.core.vocabulary import FunctionRef
from springtide.wire.jobs.job import Lane
from tests.queue_worker.values import lane, ref

COSTS = st.dictionaries(st.sampled_from("abcdefgh"), st.floats(0.01, 60.0), min_size=2)


def anybody(_: FunctionRef) -> bool:
    return True


def a_share(costs: Mapping[str, float]) -> FairShare:
    """Of functions that have jobs without end, and whose jobs are known to take so long."""
    share = FairShare()
    for name, seconds in costs.items():
        share.took(ref(name), seconds)
        share.enter(lane(name))
    return share


def went(share: FairShare, jobs: int) -> list[str]:
    lanes = [share.next(anybody) for _ in range(jobs)]
    return [found.function.name for found in lanes if found is not None]


@given(COSTS)
def test_nobody_starves(costs: dict[str, float]) -> None:
    """Between two jobs of one, nobody has more than twice the seconds of a longest job and a visit for each."""
    share, last = a_share(costs), dict.fromkeys(costs, 0.0)
    longest = max(costs.values())
    spent = 0.0
    for name in went(share, 300):
        spent += costs[name]
        last[name] = spent
        assert min(last.values()) >= spent - len(costs) * 2 * (longest + 1.0)


@given(COSTS)
def test_long_and_short_jobs_get_equal_seconds(costs: dict[str, float]) -> None:
    share, seconds = a_share(costs), dict.fromkeys(costs, 0.0)
    for _ in range(300):
        (name,) = went(share, 1)
        seconds[name] += costs[name]
        assert max(seconds.values()) - min(seconds.values()) <= 2 * (MAX_COST_S + 1.0)


def test_a_new_function_goes_at_once_however_long_its_jobs_are() -> None:
    share = a_share({"short": 0.01, "other": 1.0})
    went(share, 1000)
    share.took(ref("long"), 60.0)
    share.enter(lane("long"))
    assert "long" in went(share, 60)


def test_who_leaves_and_comes_again_does_not_get_rid_of_its_debts() -> None:
    share, seconds = a_share({"short": 0.1, "long": 10.0}), {"short": 0.0, "long": 0.0}
    for _ in range(5000):
        (name,) = went(share, 1)
        seconds[name] += {"short": 0.1, "long": 10.0}[name]
        if name == "long":  # one job at a time
            share.leave(lane("long"))
            share.enter(lane("long"))
    assert abs(seconds["short"] - seconds["long"]) <= 20.0


def test_debts_are_over_when_others_have_had_their_share() -> None:
    share = a_share({"short": 0.1, "long": 60.0})
    while "long" not in went(share, 1):
        pass
    share.leave(lane("long"))
    went(share, 1000)  # 100 seconds
    share.enter(lane("long"))
    assert "long" in went(share, 10)


@given(st.data())
def test_tenants_of_one_function_take_turns(data: st.DataObject) -> None:
    share, counts = FairShare(), Counter[Lane]()
    tenants = data.draw(st.lists(st.sampled_from("12345678"), unique=True, min_size=2))
    for tenant in tenants:
        share.enter(lane("echo", tenant))
    for _ in range(40 * len(tenants)):
        found = share.next(anybody)
        assert found is not None
        counts[found] += 1
    assert max(counts.values()) - min(counts.values()) <= 2
    assert len(counts) == len(tenants)


def test_a_function_with_many_tenants_gets_no_more_than_one_with_one() -> None:
    share = a_share({"echo": 1.0, "other": 1.0})
    for tenant in range(64):
        share.enter(lane("echo", str(tenant)))
    names = Counter(went(share, 1000))
    assert abs(names["echo"] - names["other"]) <= 2


def test_who_has_no_room_is_passed_by_until_it_is_woken() -> None:
    share, asked = a_share({"a": 1.0, "b": 1.0}), Counter[str]()

    def only_b(function: FunctionRef) -> bool:
        asked[function.name] += 1
        return function.name == "b"

    assert {share.next(only_b) for _ in range(50)} == {lane("b")}
    assert asked["a"] == 1
    share.wake(ref("a"))
    assert "a" in went(share, 10)


def test_all_who_were_passed_by_can_be_woken_together() -> None:
    share = a_share(dict.fromkeys("abc", 1.0))
    assert share.next(lambda _: False) is None
    assert share.next(anybody) is None
    share.wake_all()
    assert set(went(share, 10)) == {"a", "b", "c"}


def test_who_has_nothing_left_is_not_asked() -> None:
    share = a_share({"a": 1.0})
    share.leave(lane("a"))
    assert share.next(anybody) is None
    share.leave(lane("a"))
    share.forget(ref("a"))
    share.enter(lane("a"))
    assert share.next(anybody) == lane("a")


def test_one_that_waits_twice_waits_once() -> None:
    share = a_share({"a": 1.0})
    share.enter(lane("a"))
    share.leave(lane("a"))
    assert share.next(anybody) is None


@given(st.lists(st.tuples(st.sampled_from(["enter", "leave", "wake", "pass", "go", "forget"]), st.sampled_from("abc"))))
def test_whoever_waits_and_has_room_is_found_whatever_went_before(steps: list[tuple[str, str]]) -> None:
    share, waiting, passed = FairShare(), set[str](), set[str]()
    for step, name in steps:
        match step:
            case "enter":
                share.enter(lane(name))
                waiting.add(name)
            case "leave" | "forget":
                share.leave(lane(name)) if step == "leave" else share.forget(ref(name))
                waiting.discard(name)
                passed.discard(name)
            case "wake":
                share.wake(ref(name))
                passed.discard(name)
            case "pass":
                assert share.next(lambda _: False) is None
                passed |= waiting
            case "go":
                found = share.next(anybody)
                assert (found is not None) == bool(waiting - passed)
                assert found is None or found.function.name in waiting - passed


def test_thousands_of_functions_cost_little() -> None:
    """By how often anybody is asked, which is what takes time: no more than a few times for each job."""
    share, asked = FairShare(), Counter[str]()
    durations = {f"f{n}": 0.01 * 1.002**n for n in range(5000)}
    for name, seconds in durations.items():
        share.took(ref(name), seconds)
        share.enter(lane(name))
    running: dict[str, int] = defaultdict(int)

    def has_room(function: FunctionRef) -> bool:
        asked["all"] += 1
        return running[function.name] < 2

    ends: list[tuple[float, str]] = []
    now, jobs = 0.0, 0
    while jobs < 10_000:
        while len(ends) < 1000 and (found := share.next(has_room)) is not None:
            running[found.function.name] += 1
            heapq.heappush(ends, (now + durations[found.function.name], found.function.name))
            jobs += 1
        now, name = heapq.heappop(ends)
        running[name] -= 1
        share.wake(ref(name))
    assert asked["all"] < 10 * jobs
