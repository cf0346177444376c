"""A provider's stream of functions, followed for ever."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable
from typing import Protocol

from springtide.runtime.errors import SpringtideError, reason_of
from springtide.runtime.outage import Outage
from springtide.wire.endpoint_stream import Event

RETRY_S = 1.0


class EndpointStream(Protocol):
    def watch_endpoints(self) -> AsyncGenerator[Event, None]:
        """A snapshot and then each change, until it breaks: then a SpringtideError."""


async def follow(stream: EndpointStream, take: Callable[[Event], None], outage: Outage) -> None:
    """Give each event to ``take``, connecting again whenever the stream breaks."""
    while True:
        try:
            async with contextlib.aclosing(stream.watch_endpoints()) as events:
                async for event in events:
                    take(event)
                    outage.over()
        except SpringtideError as error:
            outage.failed(reason_of(error))
        await asyncio.sleep(RETRY_S)
