"""Where the endpoint table comes from: pushed by a provider that can, or else polled from it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Callable
from typing import Protocol

import structlog

from springtide.runtime.errors import Unsupported
from springtide.scaler.core.vocabulary import FunctionRef
from springtide.wire.endpoint_stream import Event
from springtide.wire.polled_endpoints import PolledEndpoints

log = structlog.get_logger(__name__)


class Readiness(Protocol):
    """Who is told what callers wait for, so that a provider which pushes nothing is asked for it."""

    def expect(self, ref: FunctionRef, desired: int, waiting: Callable[[], bool]) -> None:
        """Callers wait for a replica; ``waiting`` tells whether they still do. May be told again and again."""

    def look_again(self) -> None:
        """A function was deployed."""


class Pushed:
    """Readiness comes by itself."""

    def expect(self, ref: FunctionRef, desired: int, waiting: Callable[[], bool]) -> None:
        pass

    def look_again(self) -> None:
        pass


class Stream(Protocol):
    def watch_endpoints(self) -> AsyncGenerator[Event, None]: ...


class EndpointSource:
    """Asks for the stream first; a provider that has none is polled from then on."""

    def __init__(self, pushed: Stream, poll: Callable[[], PolledEndpoints]) -> None:
        """``poll`` is called once, and only for a provider that pushes nothing."""
        self._pushed = pushed
        self._poll = poll
        self._polled: PolledEndpoints | None = None

    def __repr__(self) -> str:
        return f"<EndpointSource {self._polled or 'pushed'}>"

    async def aclose(self) -> None:
        if self._polled is not None:
            await self._polled.aclose()

    async def watch_endpoints(self) -> AsyncGenerator[Event, None]:
        if self._polled is None:
            try:
                async with contextlib.aclosing(self._pushed.watch_endpoints()) as events:
                    async for event in events:
                        yield event
            except Unsupported as error:
                log.info("the provider is polled, and calls go through it", why=str(error))
                self._polled = self._poll()
        if self._polled is not None:
            async with contextlib.aclosing(self._polled.watch_endpoints()) as events:
                async for event in events:
                    yield event

    def expect(self, ref: FunctionRef, desired: int, waiting: Callable[[], bool]) -> None:
        if self._polled is not None:
            self._polled.expect(ref, desired, waiting)

    def look_again(self) -> None:
        if self._polled is not None:
            self._polled.look_again()
