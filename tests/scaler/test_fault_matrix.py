"""Every load type, and everything that can be wrong with who measures it: no shrink, no growth, and the hold is named.

The last column of each row is what the decision log has to say of it; None where the load stays known all the time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from springtide.scaler.core.vocabulary import Reason
from tests.scaler.fault_stage import TARGETS, Stage, followed

pytestmark = pytest.mark.virtual_time

CALM_S, TROUBLE_S, AFTER_S = 150, 150, 60
"""Calm and trouble are longer than the two minutes for which the loop remembers what was needed."""

Named = tuple[Reason, str] | None


@dataclass(frozen=True)
class Fault:
    """What goes wrong, and what is told of it."""

    name: str
    begin: Callable[[Stage], None]
    named: Named
    end: Callable[[Stage], None]


def of_gateways(name: str, named: Named, **trouble: object) -> Fault:
    """``a_…`` is of the first gateway, ``b_…`` of the second, all else of both."""

    def begin(stage: Stage) -> None:
        for one in stage.gateways:
            for key, value in trouble.items():
                owner, _, rest = key.partition("_")
                if owner not in "ab":
                    setattr(one, key, value)
                elif owner == one.name[0]:
                    setattr(one, rest, value)

    def end(stage: Stage) -> None:
        for one in stage.gateways:
            if not one.lists:  # a function that returns begins anew
                one.begin_anew()
            one.mute, one.every_s, one.back_s, one.partial, one.lists, one.calls = False, 1, 0.0, "", True, None

    return Fault(name, begin, named, end)


def anew(name: str, started: int, lives: str, who: slice, named: Named = None) -> Fault:
    """Counters of ``who`` begin anew, in another life where ``lives`` says so."""

    def begin(stage: Stage) -> None:
        for one in stage.gateways[who]:
            one.begin_anew(started, life=f"{one.name}{lives}" if lives else "")

    return Fault(name, begin, named, lambda _stage: None)


def of_answers(name: str, named: Named) -> Fault:
    return Fault(name, lambda stage: stage.answers.begin(name), named, lambda stage: stage.answers.begin(""))


def our_clock_back(stage: Stage) -> None:
    stage.clock.back_s = 3600.0


NO, STALE, PARTIAL = Reason.NO_DATA, Reason.STALE_DATA, Reason.PARTIAL_DATA
BOTH, FIRST = slice(2), slice(1)
CALLS = (
    of_gateways("errors", (NO, "no gateway is heard: http://gateway-a, http://gateway-b"), mute=True),
    of_gateways("empty", (NO, "no gateway knows this function"), lists=False),
    of_gateways("stale", (PARTIAL, "gateway-a"), partial="a worker does not answer"),
    of_gateways("slow", None, every_s=2),
    of_gateways("one of two gone", (PARTIAL, "gateway-b"), b_mute=True),
    of_gateways("clock of a gateway set back", None, a_back_s=3600.0),
    anew("restarted", 0, "2", BOTH),
    anew("restarted with counters of before", 1000, "2", BOTH),
    anew("counters reset", 0, "", BOTH),
    anew("counters reset to a large number", 900, "", BOTH),
    anew("two that disagree: one begins anew", 0, "2", FIRST),
    anew("two that disagree: one counts back", 900, "", FIRST),
    of_gateways("two that disagree: one is idle, the other silent", (PARTIAL, "gateway-b"), a_calls=0, b_mute=True),
    of_gateways("two that disagree: one stale, one set back", (PARTIAL, "gateway-b"), a_back_s=60.0, b_partial="hangs"),
    of_gateways("two that disagree: one forgot it, the other silent", (NO, "no gateway"), a_lists=False, b_mute=True),
)
BACK = Fault("our clock set back", our_clock_back, (Reason.STARTING, "the clock was set back"), lambda _stage: None)
CPU = (
    of_answers("errors", (NO, "connection refused")),
    of_answers("hangs", (NO, "did not tell within 5 s")),
    of_answers("empty", (NO, "does not name it")),
    of_answers("stale", (NO, "more than 10 s ago")),
    of_answers("slow", None),
    of_answers("restarted", (NO, "counted anew")),
    of_answers("counters reset", (NO, "counted anew")),
    of_answers("one of two gone", (NO, "a node is not known")),
    of_answers("clock set back", (NO, "two looks")),
    of_answers("two that disagree", (NO, "counted anew")),
)
QUEUE = (
    of_answers("errors", (NO, "more than 5 s ago; connection refused")),
    of_answers("hangs", (NO, "did not tell within 3 s")),
    of_answers("empty", (NO, "the queue's server is away")),
    of_answers("no queues", (Reason.UNMEASURED, "no queues here")),
    of_answers("slow", None),
    of_answers("two that disagree", None),
)
PROMQL = (
    of_answers("errors", (NO, "connection refused")),
    of_answers("hangs", (NO, "not answered within 5 s")),
    of_answers("empty", (NO, "found nothing")),
    of_answers("no number", (NO, "not a number")),
    of_answers("slow", None),
    of_answers("restarted", (NO, "found nothing")),
    of_answers("counters reset", None),
    of_answers("two that disagree", (NO, "2 series")),
)
RULE = (
    *(
        of_answers(fault.name, fault.named)
        for fault in PROMQL
        if fault.named is None or "nothing" not in fault.named[1]
    ),
    of_answers("empty", (NO, "no recording rule")),
    of_answers("restarted", (NO, "no recording rule")),
    of_answers("stale", (NO, "more than 75 s old")),
    of_answers("clock set back", (NO, "more than 75 s old")),
)
MATRIX = {"rps": CALLS, "capacity": CALLS, "cpu": CPU, "queue": QUEUE, "promql": PROMQL, "rule": RULE}


def test_every_type_is_in_it() -> None:
    assert MATRIX.keys() == TARGETS.keys()


@pytest.mark.parametrize(
    ("type_", "fault"),
    [
        pytest.param(type_, fault, id=f"{type_}: {fault.name}")
        for type_, row in MATRIX.items()
        for fault in (*row, BACK)
    ],
)
async def test_trouble_with_what_measures_moves_nothing_and_is_named(type_: str, fault: Fault) -> None:
    async with followed(type_) as stage:
        await asyncio.sleep(CALM_S)
        before, told = stage.wanted, len(stage.told.all)
        fault.begin(stage)
        await asyncio.sleep(TROUBLE_S)
        during = [(made.reason, made.detail) for made in stage.told.all[told:]]
        assert stage.wanted == before
        fault.end(stage)
        await asyncio.sleep(AFTER_S)

    assert stage.counts[-1] == before, "it is as before once all is well"
    if fault.named is None:
        assert [reason for reason, _ in during if reason in (NO, STALE, PARTIAL)] == []
    else:
        reason, words = fault.named
        assert [detail for told_as, detail in during if told_as is reason and words in detail] != [], during


@pytest.mark.parametrize("type_", ["rps", "capacity"])
async def test_known_load_grows_beside_a_silent_gateway_by_what_it_needs(type_: str) -> None:
    async with followed(type_) as stage:
        await asyncio.sleep(CALM_S)
        (one, other), told = stage.gateways, len(stage.told.all)
        other.mute = True
        one.calls = 100 * (10 if type_ == "rps" else 1)
        await asyncio.sleep(TROUBLE_S)

    assert 100 <= stage.wanted <= 135, "what it needs, with what a rise that goes on would"
    assert min(stage.counts[1:], default=20) >= 15
    assert {Reason.LOAD_UP, PARTIAL} <= {made.reason for made in stage.told.all[told:]}
