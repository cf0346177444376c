"""The endpoints of every function as the provider pushes them, for the invoke proxy to pick from."""

from __future__ import annotations

import asyncio

import structlog

from springtide.provider.api.misspelt_labels import MisspeltLabels
from springtide.provider.ports import EndpointSource
from springtide.runtime.errors import SpringtideError
from springtide.runtime.outage import Outage
from springtide.scaler.core.vocabulary import FunctionRef
from springtide.wire.endpoint_stream import FunctionEndpoints, merge

RETRY_S = 1.0

log = structlog.get_logger(__name__)


class EndpointTable:
    """Follows one source from ``start`` to ``stop``; keeps what it knows while the source is unavailable."""

    def __init__(self, source: EndpointSource) -> None:
        self._source = source
        self._known: dict[FunctionRef, FunctionEndpoints] = {}
        self._misspelt = MisspeltLabels()
        self._tried = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<EndpointTable {len(self._known)} functions>"

    def of(self, ref: FunctionRef) -> FunctionEndpoints | None:
        """What is known of the function; None when there is none."""
        return self._known.get(ref)

    async def start(self) -> None:
        """Return once the first snapshot is in, or the source turned out to be unavailable."""
        self._task = asyncio.create_task(self._follow(), name="provider-api endpoints")
        tried = asyncio.create_task(self._tried.wait())
        await asyncio.wait([self._task, tried], return_when=asyncio.FIRST_COMPLETED)
        tried.cancel()
        if self._task.done():
            self._task.result()

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def wait(self) -> None:
        """Raise when following failed in a way that trying again does not mend."""
        assert self._task is not None
        await asyncio.shield(self._task)

    async def _follow(self) -> None:
        outage = Outage("endpoint watch broke")
        while True:
            try:
                async for event in self._source.watch_endpoints():
                    outage.over()
                    self._known = merge(self._known, [event])
                    self._misspelt.look(event)
                    self._tried.set()
            except SpringtideError as error:
                outage.failed(str(error), retry_s=RETRY_S)
                self._tried.set()
            await asyncio.sleep(RETRY_S)
