"""Server-sent events: what pages are told without asking."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import asdict

from starlette.responses import Response

from springtide.console import view
from springtide.console.decisions import Decisions
from springtide.console.feed import Feed
from springtide.console.gateway_api import GatewayApi
from springtide.console.gateway_poller import GatewayPoller
from springtide.console.health import Probes
from springtide.console.queues import Queues
from springtide.console.triggers import Triggers
from springtide.console.view import Json
from springtide.runtime.asgi import Receive, Scope, Send, send_stream
from springtide.runtime.errors import NotFound, SpringtideError, TooMany, Unsupported
from springtide.scaler.core.vocabulary import FunctionRef

HEARTBEAT_S = 3.0
"""Pages take a stream that says nothing three times as long for broken."""

LOG_RETRY_S = 5.0
MIN_PAUSE_S = 0.2
"""Between two messages to one page, however much happens."""

QUEUES_S = 3.0
"""Between two looks at the queues, for one page."""

TRIGGERS_S = 3.0
"""Between two looks at schedules and events, for one page."""

RETRY_MS = 2000
HEARTBEAT = b"event: beat\ndata: 0\n\n"
"""An event, for a comment is not told to scripts."""

LOG_TAIL = 200
MAX_LOG_CHARS = 8_000


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
        try:
            await send_stream(
                receive, send, self._source, stopping=self._stopping, idle_s=HEARTBEAT_S, idle_chunk=HEARTBEAT
            )
        except TooMany:
            # The last place was taken between the question and the first event; the browser asks again.
            await send({"type": "http.response.body", "body": b"", "more_body": False})


class Board:
    """The rows of all functions, made once for all pages that are told of them."""

    def __init__(self, watch: GatewayPoller, decisions: Decisions, feed: Feed) -> None:
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
        if only is not None and not rows and fresh["known"]:
            gone = [only]  # Told each time: a page that comes back would not hear of it otherwise.
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
    board: Board, feed: Feed, decisions: Decisions, watch: GatewayPoller, *, key: str, after: int
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


async def queue_events(queues: Queues, feed: Feed) -> AsyncGenerator[bytes, None]:
    """For the page of the queues: every few seconds, everything."""
    with feed.reader():
        yield f"retry: {RETRY_MS}\n\n".encode()
        while True:
            yield message("queues", await queues.seen())
            await asyncio.sleep(QUEUES_S)


async def trigger_events(triggers: Triggers, feed: Feed, asked: Mapping[str, str]) -> AsyncGenerator[bytes, None]:
    """For the page of schedules and events: every few seconds, where anything is new."""
    with feed.reader():
        yield f"retry: {RETRY_MS}\n\n".encode()
        told: Json | None = None
        while True:
            seen = await triggers.seen(asked)
            if seen != told:
                yield message("triggers", seen)
                told = seen
            await asyncio.sleep(TRIGGERS_S)


async def log_events(api: GatewayApi, feed: Feed, ref: FunctionRef) -> AsyncGenerator[bytes, None]:
    """One function's log as it is written, asked for again when it breaks; what ends it for good is the last event."""
    try:
        with feed.reader():
            while True:
                why = "The log ended"
                lines = api.logs(ref, LOG_TAIL)
                try:
                    await anext(lines, None)
                    # Not before: pages forget what they show, and while nobody answers there is nothing to replace it.
                    yield message("log", "begins")
                    async for line in lines:
                        if isinstance(line, dict):
                            yield _log_line(line)
                except (NotFound, Unsupported):
                    raise
                except SpringtideError as error:
                    why = f"The log cannot be followed: {error}"
                finally:
                    await lines.aclose()
                yield message("broken", f"{why}. Trying again.")
                await asyncio.sleep(LOG_RETRY_S)
    except SpringtideError as error:
        yield message("ended", f"The log cannot be followed: {error}.")


async def joined(*sources: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    """What each of them yields as it comes, until the first of them ends.

    A browser has six connections to one address, so a page has one for everything.
    """
    first = sources[0]
    reads = {asyncio.ensure_future(anext(source)): source for source in sources}
    try:
        while first in reads.values():
            done, _ = await asyncio.wait(reads, return_when=asyncio.FIRST_COMPLETED)
            for read in done:
                source = reads.pop(read)
                try:
                    body = read.result()
                except StopAsyncIteration:
                    continue
                reads[asyncio.ensure_future(anext(source))] = source
                yield body
    finally:
        for read in reads:
            read.cancel()
        await asyncio.gather(*reads, return_exceptions=True)
        for source in sources:
            await source.aclose()


def _log_line(line: Mapping[str, object]) -> bytes:
    text = str(line.get("text", "")).rstrip("\n")[:MAX_LOG_CHARS]
    return message("line", {"at": line.get("timestamp"), "instance": line.get("instance"), "text": text})


def _cold(watch: GatewayPoller, key: str, after: int) -> list[Json]:
    seen = watch.seen.get(key)
    return [view.cold_start(number, cold) for number, cold in seen.cold if number > after] if seen is not None else []


async def _pause(feed: Feed, version: int) -> None:
    await asyncio.sleep(MIN_PAUSE_S)
    if feed.version == version:
        await feed.wait_for_change(HEARTBEAT_S)
