"""A fleet whose engine may be away at the start: until it is there, functions are what their records say."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Generic

import structlog

from springtide.provider.endpoint_feed import EndpointFeed
from springtide.provider.machine.endpoints import endpoints_of
from springtide.provider.machine.ports import Deployment, Fleet, Measurable, Program
from springtide.provider.machine.records import FunctionRecord
from springtide.provider.spec import Usage
from springtide.runtime.backoff import Backoff
from springtide.runtime.errors import SpringtideError, Unavailable
from springtide.runtime.service import BackgroundTask
from springtide.scaler.core.vocabulary import FunctionRef, NoData, Scale
from springtide.wire.processor_use import ProcessorUse

ENGINE_TIMEOUT_S = 5.0
"""What others wait for at the start, where an engine takes a request and says nothing."""
AGAIN = Backoff(0.5, 5.0)

_log = structlog.get_logger()


class Unstarted(Generic[Program]):
    """A function of which nothing is known but what was asked for."""

    def __init__(
        self, record: FunctionRecord, program: Program | None, *, problem: str, publish: Callable[[], None]
    ) -> None:
        self.record, self.program, self.explained_problem = record, program, problem
        self.replicas: Mapping[str, Measurable] = {}
        self.retired = False
        self._publish = publish

    @property
    def scale(self) -> Scale:
        return Scale(self.record.replicas, 0, self.record.version)

    def change(self, record: FunctionRecord, program: Program | None) -> None:
        self.record, self.program = record, program
        self._publish()


class AwaitedFleet(Generic[Program]):
    """``inner`` as soon as it can start; wishes of meanwhile are then its own."""

    def __init__(self, inner: Fleet[Program]) -> None:
        self._inner = inner
        self._waiting: dict[FunctionRef, Unstarted[Program]] | None = None
        """None once ``inner`` has started."""
        self._problem = ""
        self._task = BackgroundTask("waiting for the container engine")

    def __repr__(self) -> str:
        return f"<AwaitedFleet {'waiting for' if self._waiting is not None else 'of'} {self._inner!r}>"

    @property
    def feed(self) -> EndpointFeed:
        return self._inner.feed

    @property
    def deployments(self) -> Mapping[FunctionRef, Deployment[Program]]:
        return self._inner.deployments if self._waiting is None else self._waiting

    def all(self) -> Sequence[Deployment[Program]]:
        return self._inner.all() if self._waiting is None else list(self._waiting.values())

    def usage_of(self, ref: FunctionRef) -> Usage | None:
        return self._inner.usage_of(ref) if self._waiting is None else None

    async def processor_use(self) -> Mapping[FunctionRef, ProcessorUse]:
        if self._waiting is None:
            return await self._inner.processor_use()
        return {ref: NoData(self._problem) for ref in self._waiting}

    def memory_use(self) -> Mapping[FunctionRef, float]:
        return self._inner.memory_use() if self._waiting is None else {}

    def add(self, record: FunctionRecord, program: Program) -> None:
        if self._waiting is None:
            self._inner.add(record, program)
        else:
            self._place(self._waiting, record, program)

    def remove(self, ref: FunctionRef) -> None:
        if self._waiting is None:
            self._inner.remove(ref)
        else:
            del self._waiting[ref]
            self.feed.remove(ref)

    # Life.

    async def unrecorded(self, known: Collection[FunctionRecord]) -> Iterable[FunctionRecord]:
        try:
            async with asyncio.timeout(ENGINE_TIMEOUT_S):
                return await self._inner.unrecorded(known)
        except TimeoutError:
            self._problem = "the container engine does not answer"
        except Unavailable as error:
            self._problem = str(error)
        return ()

    async def start(self, records: Sequence[FunctionRecord]) -> None:
        if not self._problem:
            try:
                await self._inner.start(records)
            except Unavailable as error:
                self._problem = str(error)
            else:
                return
        _log.error(
            "the container engine is away; functions that are containers wait for it",
            functions=len(records),
            why=self._problem,
        )
        self._waiting = {}
        for record in records:
            self._place(self._waiting, record, None)
        self._task.start(self._wait_for_it(self._waiting))

    def _place(
        self, waiting: dict[FunctionRef, Unstarted[Program]], record: FunctionRecord, program: Program | None
    ) -> None:
        one = Unstarted(record, program, problem=self._problem, publish=lambda: self._publish(one))
        waiting[record.ref] = one
        self._publish(one)

    def _publish(self, one: Unstarted[Program]) -> None:
        self.feed.publish(endpoints_of(one.record, (), problem=one.explained_problem, lasting=False, next_start=None))

    async def _wait_for_it(self, waiting: dict[FunctionRef, Unstarted[Program]]) -> None:
        failures = 1
        while True:
            await asyncio.sleep(AGAIN.delay_s(failures))
            records = [one.record for one in waiting.values()]
            try:
                for record in await self._inner.unrecorded(records):
                    self._place(waiting, record, None)  # Its record is saved: it is not found a second time.
                await self._inner.start([one.record for one in waiting.values()])
                break
            except SpringtideError as error:
                failures += 1
                if str(error) != self._problem:
                    self._problem = str(error)
                    _log.error("the container engine is away", why=self._problem)
        self._waiting = None
        self._hand_over(waiting)
        _log.info("the container engine is there", functions=len(self._inner.deployments))

    def _hand_over(self, waiting: Mapping[FunctionRef, Unstarted[Program]]) -> None:
        """What was asked for while it started."""
        for ref, deployment in list(self._inner.deployments.items()):
            wanted = waiting.get(ref)
            if wanted is None or wanted.record.uid != deployment.record.uid:
                self._inner.remove(ref)
        for ref, one in waiting.items():
            deployment_there = self._inner.deployments.get(ref)
            if deployment_there is not None:
                if deployment_there.record is not one.record:
                    deployment_there.change(one.record, one.program or deployment_there.program)
            elif one.program is not None:
                self._inner.add(one.record, one.program)

    async def stop(self) -> None:
        await self._task.stop()
        await self._inner.stop()

    async def wait(self) -> None:
        if self._waiting is not None:
            await self._task.wait()
        await self._inner.wait()
