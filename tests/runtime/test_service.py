from __future__ import annotations

import asyncio
import contextlib
import os
import signal

import pytest

from springtide.runtime.errors import Unavailable
from springtide.runtime.service import BackgroundTask, Opened, first_end, run, stop_signals


class Part:
    """A service that notes what is done to it in a list shared with the others."""

    def __init__(self, name: str, notes: list[str], *, fails: Exception | None = None) -> None:
        self.name = name
        self.ended = asyncio.Event()
        self.error: Exception | None = None
        self._notes, self._fails = notes, fails

    async def start(self) -> None:
        self._notes.append(f"start {self.name}")
        if self._fails is not None:
            raise self._fails

    async def stop(self) -> None:
        self._notes.append(f"stop {self.name}")

    async def wait(self) -> None:
        await self.ended.wait()
        if self.error is not None:
            raise self.error


async def test_services_start_in_order_and_stop_in_reverse() -> None:
    notes: list[str] = []

    until = asyncio.Event()
    until.set()
    await run([Part("a", notes), Part("b", notes)], until=until)

    assert notes == ["start a", "start b", "stop b", "stop a"]


async def test_service_that_cannot_start_stops_those_before_it_and_is_told() -> None:
    notes: list[str] = []

    async def main() -> None:
        parts = [Part("a", notes), Part("b", notes, fails=Unavailable("port in use")), Part("c", notes)]
        await run(parts, until=asyncio.Event())

    with pytest.raises(Unavailable, match="port in use"):
        await main()

    assert notes == ["start a", "start b", "stop b", "stop a"]


async def test_service_that_fails_ends_the_others_and_its_error_is_raised_after() -> None:
    notes: list[str] = []

    async def main() -> None:
        parts = [Part("a", notes), Part("b", notes)]
        parts[0].error = ZeroDivisionError("a bug")
        parts[0].ended.set()
        await run(parts, until=asyncio.Event())

    with pytest.raises(ZeroDivisionError):
        await main()

    assert notes == ["start a", "start b", "stop b", "stop a"]


async def test_service_that_ends_by_itself_ends_the_others() -> None:
    notes: list[str] = []

    parts = [Part("a", notes), Part("b", notes)]
    parts[1].ended.set()
    await run(parts, until=asyncio.Event())

    assert notes[2:] == ["stop b", "stop a"]


async def test_cancellation_stops_everything_and_is_not_swallowed() -> None:
    notes: list[str] = []

    running = asyncio.create_task(run([Part("a", notes)], until=asyncio.Event()))
    await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    assert notes == ["start a", "stop a"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_signal_asks_for_the_end_and_handlers_are_taken_back(number: signal.Signals) -> None:
    before = signal.getsignal(number)

    until = asyncio.Event()
    with stop_signals(until):
        os.kill(os.getpid(), number)
        async with asyncio.timeout(60):
            await until.wait()

    assert signal.getsignal(number) == (signal.default_int_handler if number is signal.SIGINT else before)


async def test_first_of_several_ends_the_wait_and_what_it_raises_is_raised() -> None:
    left = asyncio.Event()

    async def goes_on() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            left.set()

    async def fails() -> None:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        await first_end(goes_on(), fails())

    assert left.is_set()


async def test_background_task_outlives_who_waits_for_it_and_stops_quietly() -> None:
    task, begun = BackgroundTask("work"), asyncio.Event()

    async def work() -> None:
        begun.set()
        await asyncio.Event().wait()

    task.start(work())
    waiting = asyncio.create_task(task.wait())
    await begun.wait()
    waiting.cancel()
    await asyncio.wait([waiting])
    assert repr(task) == "<BackgroundTask 'work' running>"

    await task.stop()
    assert repr(task) == "<BackgroundTask 'work' ended>"


async def test_what_was_opened_is_closed_in_reverse_also_when_the_start_fails() -> None:
    closed: list[str] = []

    async def opening(stack: contextlib.AsyncExitStack) -> None:
        stack.callback(closed.append, "first")
        stack.callback(closed.append, "second")
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        await Opened().start(opening)

    assert closed == ["second", "first"]
