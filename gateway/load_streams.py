"""``/system/load``: any number of readers of one feed. Who reads slowly is told the newest, not all there was."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from springtide.gateway.load_counts import LoadFeed
from springtide.runtime.concurrency_limit import ConcurrencyLimit
from springtide.runtime.line_stream import LineStream
from springtide.runtime.routes import Routes
from springtide.wire.load_stream import PATH, End, Load, LoadLine, encode

MAX_LOAD_STREAMS = 8
"""Of one worker: each scaler reads one of one worker of each gateway."""

SNAPSHOT_DEADLINE_S = 2.0


class _Reader:
    """``names`` are the functions it has not been told of since they changed; None: of none at all."""

    def __init__(self) -> None:
        self.names: set[str] | None = None
        self.news = asyncio.Event()


class LoadStreams:
    """Follows the feed as long as there is a reader."""

    def __init__(self, feed: LoadFeed) -> None:
        self._feed = feed
        self._readers: set[_Reader] = set()
        self._known: dict[str, Load] = {}
        self._last: LoadLine | None = None
        self._following: asyncio.Task[None] | None = None
        self._ended = self._gone = False
        self.stopping = asyncio.Event()
        """Set when streams are to break off: the worker leaves, the gateway does not."""

    def __repr__(self) -> str:
        return f"<LoadStreams {len(self._readers)} readers, {len(self._known)} functions>"

    async def lines(self) -> AsyncGenerator[LoadLine | End, None]:
        """For one reader: everything that is known, then what has changed since it asked last, at most once a line."""
        reader = _Reader()
        self._readers.add(reader)
        if self._last is not None or self._ended:
            reader.news.set()
        if self._following is None and not self._ended:
            self._following = asyncio.create_task(self._follow(), name="load feed")
        try:
            while not self._gone:
                await reader.news.wait()
                reader.news.clear()
                if self._last is not None and not self._gone:
                    yield self._line(reader, self._last)
                if self._ended:
                    yield End()
                    return
        finally:
            self._readers.discard(reader)
            if not self._readers:
                await self._stop_following()

    def end(self) -> None:
        """The gateway ends: tell every reader so."""
        self._ended = True
        self._wake()

    def leave(self) -> None:
        """This process ends, and another one of the gateway goes on."""
        if self._ended:
            return
        self._gone = True
        self.stopping.set()
        self._wake()

    async def stop(self) -> None:
        self.leave()
        await self._stop_following()

    async def _follow(self) -> None:
        async with contextlib.aclosing(self._feed.follow()) as lines:
            async for line in lines:
                self._take(line)
        self.end()

    def _take(self, line: LoadLine) -> None:
        self._last = line
        for name, load in line.functions.items():
            if load is None:
                self._known.pop(name, None)
            else:
                self._known[name] = load
        for reader in self._readers:
            if reader.names is not None:
                reader.names.update(line.functions)
        self._wake()

    def _line(self, reader: _Reader, last: LoadLine) -> LoadLine:
        names, reader.names = reader.names, set()
        functions: dict[str, Load | None] = {**self._known} if names is None else {n: self._known.get(n) for n in names}
        return LoadLine(last.at, functions, last.gateway, last.partial)

    def _wake(self) -> None:
        for reader in self._readers:
            reader.news.set()

    async def _stop_following(self) -> None:
        following, self._following = self._following, None
        self._known, self._last = {}, None
        if following is not None:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)


def add_load(routes: Routes, streams: LoadStreams) -> None:
    places = ConcurrencyLimit(MAX_LOAD_STREAMS, "streams of the load")

    @routes.get(PATH)
    async def load(request: Request) -> Response:
        if (request.query_params.get("watch") or "").lower() in ("", "0", "false"):
            return await _snapshot(streams)
        places.check()
        return LineStream(streams.lines(), encode, stopping=streams.stopping, place=places.place())


async def _snapshot(streams: LoadStreams) -> Response:
    async with contextlib.aclosing(streams.lines()) as lines:
        try:
            async with asyncio.timeout(SNAPSHOT_DEADLINE_S):
                async for line in lines:
                    return Response(encode(line), media_type="application/json")
        except TimeoutError:
            return PlainTextResponse(f"the workers did not tell their load within {SNAPSHOT_DEADLINE_S:g} s", 503)
    return PlainTextResponse("this worker of the gateway ends; ask again", 503)
