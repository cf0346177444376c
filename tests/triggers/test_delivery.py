"""What an answer means for an event, and how long it is tried."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest

from springtide.scaler.core.vocabulary import FunctionRef
from springtide.triggers.delivery import (
    MAX_LOST,
    MAX_UNKNOWN,
    NO_QUEUE_WARNING,
    CallAnswer,
    Delivery,
    Outcome,
    verdict,
)
from springtide.triggers.gateway_requests import NO_QUEUE_S, Queue
from springtide.wire.events.delivery_mode import DeliveryMode
from springtide.wire.events.event import Event
from tests.fakes.events import MemoryGateway, ref
from tests.loops import virtual_loop

ASYNC, SYNC = DeliveryMode.ASYNC, DeliveryMode.SYNC
EVENT = Event(topic="orders", body=b"one", id="1", source="/s", type="t")


@pytest.mark.parametrize(
    ("status", "internal", "stored", "answered"),
    [
        (202, False, Outcome.STORED, Outcome.ANSWERED),
        (200, False, Outcome.STORED, Outcome.ANSWERED),
        (0, False, None, None),
        (400, False, Outcome.REFUSED, Outcome.FAILED),
        (401, False, None, Outcome.FAILED),
        (404, False, None, Outcome.FAILED),
        (408, False, None, Outcome.FAILED),
        (413, False, Outcome.REFUSED, Outcome.FAILED),
        (422, False, Outcome.REFUSED, Outcome.FAILED),
        (429, False, None, Outcome.FAILED),
        (429, True, None, None),
        (431, False, Outcome.REFUSED, Outcome.FAILED),
        (500, False, None, Outcome.FAILED),
        (500, True, None, Outcome.FAILED),
        (502, True, None, None),
        (502, False, None, Outcome.FAILED),
        (503, False, None, Outcome.FAILED),
        (503, True, None, None),
        (504, True, None, None),
    ],
)
def test_answer_decides(status: int, internal: bool, stored: Outcome | None, answered: Outcome | None) -> None:
    answer = CallAnswer(status, internal)

    assert verdict(answer, ASYNC, attempt=1) is stored
    assert verdict(answer, SYNC, attempt=1) is answered


def test_an_event_that_loses_replicas_is_given_up_and_a_gateway_that_is_busy_is_not() -> None:
    assert verdict(CallAnswer(502, internal=True), SYNC, attempt=MAX_LOST) is Outcome.FAILED
    assert verdict(CallAnswer(0), SYNC, attempt=MAX_LOST) is Outcome.FAILED
    assert verdict(CallAnswer(503, internal=True), SYNC, attempt=10_000) is None
    assert verdict(CallAnswer(503), ASYNC, attempt=10_000) is None
    assert verdict(CallAnswer(0), ASYNC, attempt=10_000) is None
    assert verdict(CallAnswer(404), ASYNC, attempt=MAX_UNKNOWN) is Outcome.REFUSED


class Wanting:
    """Implements ``delivery.Subscribers`` of functions that want everything."""

    def __init__(self, **functions: DeliveryMode) -> None:
        self.functions = {ref(name): mode for name, mode in functions.items()}

    def wanting(self, _: tuple[str, ...]) -> Mapping[FunctionRef, DeliveryMode]:
        return self.functions

    def wants(self, function: FunctionRef, _: tuple[str, ...]) -> bool:
        return function in self.functions


def delivery(gateway: MemoryGateway, wanting: Wanting, retried: Callable[[], None] = lambda: None) -> Delivery:
    queue = Queue(virtual_loop().clock, warning=NO_QUEUE_WARNING)
    return Delivery(gateway, wanting, queue, connector="test-connector", retried=retried)


@pytest.mark.virtual_time
async def test_each_function_is_called_as_it_asks_for_and_once() -> None:
    gateway = MemoryGateway()

    told = await delivery(gateway, Wanting(bill=ASYNC, ship=SYNC)).deliver(EVENT, content_type="text/plain")

    assert {one.function.name: (one.outcome, one.attempts, one.status) for one in told} == {
        "bill": (Outcome.STORED, 1, 202),
        "ship": (Outcome.ANSWERED, 1, 200),
    }
    assert {(call.function, call.mode) for call in gateway.calls} == {("bill", ASYNC), ("ship", SYNC)}


@pytest.mark.virtual_time
async def test_a_function_that_is_not_there_at_once_holds_no_other_back() -> None:
    gateway, refused = MemoryGateway(), itertools.repeat(CallAnswer(503, internal=True))
    gateway.answers = lambda call: next(refused) if call.function == "bill" else None
    delivering = asyncio.create_task(
        delivery(gateway, Wanting(bill=ASYNC, ship=ASYNC)).deliver(EVENT, content_type="text/plain")
    )

    await asyncio.sleep(3600.0)
    assert [call.function for call in gateway.jobs.values()] == ["ship"]
    assert 240 < len(gateway.calls) < 1000, "one try in 4 to 15 s"

    gateway.answers = lambda _: None
    told = await delivering
    assert [one.outcome for one in told] == [Outcome.STORED, Outcome.STORED]


@pytest.mark.virtual_time
async def test_a_function_that_is_removed_meanwhile_is_gone() -> None:
    gateway, wanting = MemoryGateway(), Wanting(bill=ASYNC)
    gateway.answers = lambda _: CallAnswer(404, text="no such function")
    delivering = asyncio.create_task(delivery(gateway, wanting).deliver(EVENT, content_type="text/plain"))
    await asyncio.sleep(1.0)
    del wanting.functions[ref("bill")]

    [told] = await delivering

    assert told.outcome is Outcome.GONE


@pytest.mark.virtual_time
async def test_without_a_queue_functions_are_called_at_once_until_there_is_one() -> None:
    gateway, loop = MemoryGateway(), asyncio.get_running_loop()
    gateway.queue = False
    delivering = delivery(gateway, Wanting(bill=ASYNC))

    [told] = await delivering.deliver(EVENT, content_type="text/plain")
    assert (told.outcome, told.mode, told.attempts) == (Outcome.ANSWERED, SYNC, 1)

    gateway.queue = True
    began = loop.time()
    while not gateway.jobs:
        await delivering.deliver(replace(EVENT, id=str(loop.time())), content_type="text/plain")
        await asyncio.sleep(1.0)
    assert loop.time() - began == pytest.approx(NO_QUEUE_S + 1, abs=1)


@pytest.mark.virtual_time
async def test_every_try_has_the_same_key() -> None:
    gateway, retries = MemoryGateway(), 0
    answers = iter([CallAnswer(503), CallAnswer(0), CallAnswer(500)])
    gateway.answers = lambda _: next(answers, None)

    def retried() -> None:
        nonlocal retries
        retries += 1

    await delivery(gateway, Wanting(bill=ASYNC), retried).deliver(EVENT, content_type="text/plain")

    keys = {call.key for call in gateway.calls}
    assert (len(gateway.calls), len(keys), retries) == (4, 1, 3)
