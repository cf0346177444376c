"""Which replicas take calls: pushed to gateways at ``/system/endpoints``, and followed here for the invoke proxy."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from starlette.requests import Request
from starlette.responses import Response

from springtide.provider.api.misspelt_labels import MisspeltLabels
from springtide.provider.api.request_values import only, yes_or_no
from springtide.provider.ports import EndpointSource
from springtide.runtime.errors import SpringtideError
from springtide.runtime.line_stream import LineStream
from springtide.runtime.outage import Outage
from springtide.runtime.routes import Routes
from springtide.runtime.service import BackgroundTask, first_end
from springtide.scaler.core.vocabulary import FunctionRef
from springtide.wire.endpoint_stream import Event, FunctionEndpoints, Heartbeat, encode, merge

RETRY_S = 1.0


class EndpointFollower:
    """Follows one source from ``start`` to ``stop``; keeps what it knows while the source is unavailable."""

    def __init__(self, source: EndpointSource) -> None:
        self._source = source
        self._known: dict[FunctionRef, FunctionEndpoints] = {}
        self._misspelt = MisspeltLabels()
        self._tried = asyncio.Event()
        self._task = BackgroundTask("provider-api endpoints")

    def __repr__(self) -> str:
        return f"<EndpointFollower {len(self._known)} functions>"

    def of(self, ref: FunctionRef) -> FunctionEndpoints | None:
        """What is known of the function; None when there is none."""
        return self._known.get(ref)

    async def start(self) -> None:
        """Return once the first snapshot is in, or the source turned out to be unavailable."""
        self._task.start(self._follow())
        await first_end(self._task.wait(), self._tried.wait())

    async def stop(self) -> None:
        await self._task.stop()

    async def wait(self) -> None:
        """Raise when following failed in a way that trying again does not mend."""
        await self._task.wait()

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


def router(source: EndpointSource, stopping: asyncio.Event, *, heartbeat_s: float) -> Routes:
    routes = Routes()

    @routes.get("/system/endpoints")
    async def endpoints(request: Request) -> Response:
        only(request, "watch")
        if not yes_or_no(request, "watch"):
            return LineStream(_snapshot(source), encode, stopping=stopping)
        return LineStream(
            source.watch_endpoints(), encode, stopping=stopping, idle_s=heartbeat_s, idle_line=encode(Heartbeat())
        )

    return routes


async def _snapshot(source: EndpointSource) -> AsyncIterator[Event]:
    async for event in source.watch_endpoints():
        yield event
        return
