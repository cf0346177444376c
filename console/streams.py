"""Server-sent events: what pages are told without asking."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import asdict

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from console import view
from console.decisions import Decisions
from console.feed import Feed
from console.gateway_api import GatewayApi
from console.health import Probes
from console.view import Json
from console.watch import Watch
from runtime.errors import SpringtideError, TooMany
from scaler.core.vocabulary import FunctionRef

HEARTBEAT_S = 15.0
LEAST_PAUSE_S = 0.2
"""Between two messages to one page, however much happens."""

RETRY_MS = 2000
HEARTBEAT = b": still here\n\n"
LOG_TAIL = 200
MOST_LOG_CHARS = 8_000


def message(event: str, value: object, *, number: int | None = None) -> bytes:
    """One event; ``number`` is what a browser that comes back says it has seen."""
    head = f"id: {number}\n" if number is not None else ""
    return f"{head}event: {event}\ndata: {json.dumps(value, separators=(',', ':'))}\n\n".encode()


class EventStream(Response):
    """Sends what ``source`` yields until it ends, the browser leaves, or the service stops; then closes it."""

    media_type = "text/event-stream"

    def __init__(self, source: AsyncGenerator[bytes, None], stopping: asyncio.Event) -> None:
        super().__init__(headers={"cache-control": "no-store", "x-accel-buffering": "no"})
        del self.headers["content-length"]
        self._source = source
        self._stopping = stopping

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - the framework's
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        ends = [asyncio.create_task(self._stopping.wait()), asyncio.create_task(_left(receive))]
        item = asyncio.ensure_future(anext(self._source))
        try:
            while True:
                # One read stays under way across heartbeats: cancelling it would lose what it was about to return.
                await asyncio.wait([item, *ends], timeout=HEARTBEAT_S, return_when=asyncio.FIRST_COMPLETED)
                if any(task.done() for task in ends):
                    break
                body = item.result() if item.done() else HEARTBEAT
                if item.done():
                    item = asyncio.ensure_future(anext(self._source))
                await send({"type": "http.response.body", "body": body, "more_body": True})
        except (StopAsyncIteration, TooMany):
            pass  # The last place was taken between the question and the first event; the browser asks again.
        finally:
            for task in (item, *ends):
                task.cancel()
            await asyncio.gather(item, *ends, return_exceptions=True)
            await self._source.aclose()
        await send({"type": "http.response.body", "body": b"", "more_body": False})


class Board:
    """The rows of all functions, made once for all pages that are told of them."""

    def __init__(self, watch: Watch, decisions: Decisions, feed: Feed) -> None:
        self._watch = watch
        self._decisions = decisions
        self._feed = feed
        self._made_for = -1
        self._rows: Mapping[str, Json] = {}

    def rows(self) -> Mapping[str, Json]:
        if self._made_for != self._feed.version:
            self._made_for = self._feed.version
            self._rows = {
                key: view.row(info, self._watch, self._decisions) for key, info in self._watch.functions.items()
            }
        return self._rows

    def tick(self, seen: dict[str, Json], only: str | None) -> Json:
        """What differs from ``seen``, which is brought up to date. Functions that went are ``gone``."""
        rows = self.rows()
        if only is not None:
            rows = {only: rows[only]} if only in rows else {}
        changed = [row for key, row in rows.items() if seen.get(key) != row]
        gone = [key for key in seen if key not in rows]
        for key in gone:
            del seen[key]
        seen.update((row["key"], row) for row in changed)
        fresh = view.freshness(self._watch, self._decisions)
        return {"at": self._watch.slot * self._watch.step_s, "rows": changed, "gone": gone, **fresh}


async def board_events(board: Board, feed: Feed) -> AsyncGenerator[bytes, None]:
    """For the list: every step, what changed."""
    with feed.reader():
        yield f"retry: {RETRY_MS}\n\n".encode()
        seen: dict[str, Json] = {}
        while True:
            version = feed.version
            yield message("tick", board.tick(seen, None))
            await _pause(feed, version)


async def function_events(
    board: Board, feed: Feed, decisions: Decisions, watch: Watch, *, key: str, after: int
) -> AsyncGenerator[bytes, None]:
    """For one function's page: its numbers, its decisions after that number, its cold starts."""
    with feed.reader():
        yield f"retry: {RETRY_MS}\n\n".encode()
        seen: dict[str, Json] = {}
        cold_told = 0
        while True:
            version = feed.version
            yield message("tick", board.tick(seen, key))
            if new := [told for told in decisions.after(after) if told.function == key]:
                yield message("decisions", [view.decision(told) for told in new], number=decisions.number)
            after = decisions.number
            if cold := _cold(watch, key, cold_told):
                cold_told = cold[-1]["number"]
                yield message("cold", cold)
            await _pause(feed, version)


async def health_events(probes: Probes, feed: Feed, about: Callable[[], Json]) -> AsyncGenerator[bytes, None]:
    """For the page of the system: every few seconds, everything."""
    with feed.reader():
        yield f"retry: {RETRY_MS}\n\n".encode()
        while True:
            yield message("health", {**asdict(await probes.health()), **about()})
            await asyncio.sleep(5.0)


async def log_events(api: GatewayApi, feed: Feed, ref: FunctionRef) -> AsyncGenerator[bytes, None]:
    """One function's log as it is written; what ends it is told as the last event."""
    with feed.reader():
        lines = api.logs(ref, LOG_TAIL)
        try:
            yield f"retry: {RETRY_MS}\n\n".encode()
            async for line in lines:
                if isinstance(line, dict):
                    text = str(line.get("text", "")).rstrip("\n")[:MOST_LOG_CHARS]
                    shown = {"at": line.get("timestamp"), "instance": line.get("instance"), "text": text}
                    yield message("line", shown)
            yield message("ended", "The log ended.")
        except SpringtideError as error:
            yield message("ended", f"The log cannot be followed: {error}.")
        finally:
            await lines.aclose()


def _cold(watch: Watch, key: str, after: int) -> list[Json]:
    seen = watch.seen.get(key)
    return [view.cold_start(number, cold) for number, cold in seen.cold if number > after] if seen is not None else []


async def _pause(feed: Feed, version: int) -> None:
    await asyncio.sleep(LEAST_PAUSE_S)
    if feed.version == version:
        await feed.news(HEARTBEAT_S)


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
