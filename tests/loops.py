"""How an async test is run: on asyncio's own loop, on uvloop or in virtual time, as its closest marker says.

An argument that is an ``@asynccontextmanager``'s is entered before the test and left after it, in the test's own task,
and the test gets what it yields; a fixture that has to be awaited needs nothing more than

    @pytest.fixture
    @asynccontextmanager
    async def served() -> AsyncIterator[Served]: ...
"""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext
from typing import Any, Protocol, runtime_checkable

import pytest
import uvloop

from springtide.runtime.virtual_time import VirtualTimeLoop

DEADLINE_S = 300.0
"""So that a test that would hang fails; no test waits for it, and virtual time has none."""

Test = Callable[..., Awaitable[None]]

LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "virtual_time": VirtualTimeLoop,
    "uvloop": uvloop.new_event_loop,
}
"""By marker."""


@asynccontextmanager
async def _nothing() -> AsyncIterator[None]:
    yield


_Entered = type(_nothing())


def virtual_loop() -> VirtualTimeLoop:
    """The loop of the test that runs, for worlds that need its clock."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop), "this test has no @pytest.mark.virtual_time"
    return loop


def loop_of(item: pytest.Item) -> asyncio.AbstractEventLoop:
    for mark in item.iter_markers():  # the closest first
        if mark.name in LOOPS:
            return LOOPS[mark.name]()
    return asyncio.new_event_loop()


async def call(test: Test, arguments: Mapping[str, Any]) -> None:
    async with AsyncExitStack() as stack:
        for name, value in arguments.items():
            if isinstance(value, _Entered):
                arguments = {**arguments, name: await stack.enter_async_context(value)}
        await test(**arguments)


@runtime_checkable
class LoopOwner(Protocol):
    """An argument that brings the loop the test is to run on."""

    def run_test(self, test: Coroutine[Any, Any, None]) -> None: ...


def run(item: pytest.Item, test: Test, arguments: Mapping[str, Any]) -> None:
    for owner in arguments.values():
        if isinstance(owner, LoopOwner):
            owner.run_test(call(test, arguments))
            return
    loop = arguments.get("loop") or loop_of(item)

    async def bounded() -> None:
        async with nullcontext() if isinstance(loop, VirtualTimeLoop) else asyncio.timeout(DEADLINE_S):
            await call(test, arguments)

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(bounded())


def run_if_async(item: pytest.Function) -> bool | None:
    """What ``pytest_pyfunc_call`` is to answer: true if the test was run here."""
    if inspect.iscoroutinefunction(item.obj):
        run(item, item.obj, {name: item.funcargs[name] for name in item._fixtureinfo.argnames})
        return True
    examples = getattr(item.obj, "hypothesis", None)
    if examples is not None and inspect.iscoroutinefunction(examples.inner_test):
        # Hypothesis calls it for every example, each of which has a loop of its own.
        test = examples.inner_test
        examples.inner_test = functools.wraps(test)(lambda **arguments: run(item, test, arguments))
    return None
