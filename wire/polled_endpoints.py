"""The endpoint stream's events, found out by asking: for providers that push nothing.

A full list every few seconds, and while somebody waits for a function its status, often at first and then less so.
Calls go through the provider's own ``/function/NAME.NAMESPACE/…``, so a function that is ready has one endpoint: the
provider. A poll that fails changes nothing: what was known stays.

Answers may overtake each other. Each is numbered by when it was asked for, and an older one never undoes a newer one.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import replace
from typing import Protocol
from urllib.parse import quote, urlsplit

from springtide.runtime.errors import BadInput, NotFound, SpringtideError, Unavailable
from springtide.scaler.core.ports import Clock
from springtide.scaler.core.vocabulary import Function, FunctionRef
from springtide.wire.endpoint_stream import Changed, Endpoint, Event, FunctionEndpoints, Heartbeat, Removed, Snapshot

MIN_PAUSE_S, MAX_PAUSE_S, PAUSE_SHARE = 0.005, 0.25, 0.1
"""Between status calls of one function: a tenth of the time waited already, so readiness is noticed a tenth late."""

MAX_STATUS_CALLS = 16
"""In flight at once, of all functions together."""

SETTLE_S = 1.0
"""How long 0 replicas is not believed after a wake: providers that read from a cache answer what was before."""


class Catalog(Protocol):
    """What is asked. Both raise errors of our own only."""

    async def list_functions(self) -> Sequence[Function]: ...

    async def read(self, ref: FunctionRef) -> Function: ...


class PolledEndpoints:
    """``watch_endpoints`` as the endpoint stream has it; ``expect`` tells that somebody waits for a function."""

    def __init__(self, catalog: Catalog, provider_url: str, *, clock: Clock, interval_s: float) -> None:
        """Raises BadInput for an address that calls cannot be passed on to."""
        self._catalog = catalog
        self._clock = clock
        self._interval_s = interval_s
        self._host, self._port, self._base_path = _address(provider_url)
        self._known: dict[FunctionRef, FunctionEndpoints] = {}
        self._numbers = itertools.count(1)
        self._asked: dict[FunctionRef, int] = {}
        """The number of the question that each known function is the answer to."""
        self._settled_at: dict[FunctionRef, float] = {}
        self._untold: dict[FunctionRef, None] = {}
        """Functions that changed since the watcher was told."""
        self._listed = False
        """Whether a list came since the watcher was told."""
        self._news, self._look = asyncio.Event(), asyncio.Event()
        self._polls: dict[FunctionRef, asyncio.Task[None]] = {}
        self._waiting: dict[FunctionRef, Callable[[], bool]] = {}
        self._status_calls = asyncio.Semaphore(MAX_STATUS_CALLS)

    def __repr__(self) -> str:
        return f"<PolledEndpoints {len(self._known)} functions, {len(self._polls)} waited for>"

    def expect(self, ref: FunctionRef, desired: int, waiting: Callable[[], bool]) -> None:
        """Watch a function closely until it is ready or ``waiting`` says that nobody waits any more.

        ``desired`` is how many replicas the caller believes are wanted: after a wake it knows before we do.
        """
        known = self._known.get(ref)
        if known is None:
            return
        if known.replicas == 0 < desired:
            self._note(replace(known, replicas=desired, endpoints=()), next(self._numbers))
            self._settled_at[ref] = self._clock.now() + SETTLE_S
        self._waiting[ref] = waiting
        if ref not in self._polls:
            self._polls[ref] = asyncio.create_task(self._poll(ref), name=f"poll {ref}")

    def look_again(self) -> None:
        """List the functions now: something was deployed."""
        self._look.set()

    async def aclose(self) -> None:
        polls = list(self._polls.values())
        for poll in polls:
            poll.cancel()
        await asyncio.gather(*polls, return_exceptions=True)

    async def watch_endpoints(self) -> AsyncGenerator[Event, None]:
        """For one watcher. Ends with Unavailable when the functions cannot be listed; watch again after a pause.

        Functions that somebody waits for are polled all the same, and what comes of it is told to the next watcher.
        """
        listing = asyncio.create_task(self._list_for_ever(), name="list functions")
        listing.add_done_callback(lambda _: self._news.set())
        whole = True
        try:
            while not listing.done():
                await self._news.wait()
                self._news.clear()
                for event in self._events(whole=whole):
                    whole = whole and not isinstance(event, Snapshot)
                    yield event
            listing.result()
        finally:
            listing.cancel()
            await asyncio.gather(listing, return_exceptions=True)

    def _events(self, *, whole: bool) -> list[Event]:
        """What the watcher has not been told; all there is, once there is a list and it has not been told any."""
        listed, self._listed = self._listed, False
        untold, self._untold = self._untold, {}
        if listed and whole:
            return [Snapshot(tuple(self._known.values()))]
        events: list[Event] = [Changed(self._known[ref]) if ref in self._known else Removed(ref) for ref in untold]
        return [*events, Heartbeat()] if listed else events

    # The full list.

    async def _list_for_ever(self) -> None:
        self._listed = False
        while True:
            number = next(self._numbers)
            try:
                functions = await self._catalog.list_functions()
            except Unavailable:
                raise
            except SpringtideError as error:
                raise Unavailable(f"the functions cannot be listed: {error}") from error
            self._take_list(functions, number)
            self._listed = True
            self._news.set()
            await self._next_list()

    async def _next_list(self) -> None:
        try:
            async with asyncio.timeout(self._interval_s):
                await self._look.wait()
        except TimeoutError:
            return
        self._look.clear()

    def _take_list(self, functions: Sequence[Function], number: int) -> None:
        listed = {function.ref for function in functions}
        for ref in [ref for ref in self._known if ref not in listed]:
            self._note_gone(ref, number)
        for function in functions:
            self._take(function, number)

    # One function that somebody waits for.

    async def _poll(self, ref: FunctionRef) -> None:
        """At most one of these runs per function, so it has at most one status call in flight."""
        begun = self._clock.now()
        try:
            await asyncio.sleep(MIN_PAUSE_S)
            while not await self._answered(ref):
                waited_s = self._clock.now() - begun
                await asyncio.sleep(min(max(MIN_PAUSE_S, PAUSE_SHARE * waited_s), MAX_PAUSE_S))
        finally:
            del self._polls[ref], self._waiting[ref]

    async def _answered(self, ref: FunctionRef) -> bool:
        """Ask once; True when there is nothing more to ask for."""
        async with self._status_calls:
            if not self._waiting[ref]():
                return True
            number = next(self._numbers)
            try:
                function = await self._catalog.read(ref)
            except NotFound:
                self._note_gone(ref, number)
            except SpringtideError:
                return False
            else:
                self._take(function, number)
        known = self._known.get(ref)
        # At 0 it must be woken first; who does that tells us.
        return known is None or bool(known.endpoints) or known.replicas == 0

    # What is known.

    def _take(self, function: Function, number: int) -> None:
        ref, scale = function.ref, function.scale
        if scale.desired == 0 and self._clock.now() < self._settled_at.get(ref, 0.0):
            return
        if number > self._asked.get(ref, 0):
            self._settled_at.pop(ref, None)
        # One that is going to zero still counts replicas that answer: they get nothing new.
        ready = scale.desired > 0 and scale.ready > 0
        endpoints = (self._endpoint(ref),) if ready else ()
        self._note(
            FunctionEndpoints(
                ref,
                scale.desired,
                scale.version,
                endpoints,
                labels=dict(function.labels),
                annotations=dict(function.annotations),
                timeout=function.call_timeout,
                learned_wake=function.learned_wake,
                created_at=function.created_at,
                longest_start_s=function.longest_start_s,
            ),
            number,
        )

    def _note(self, function: FunctionEndpoints, number: int) -> None:
        ref = function.ref
        if number < self._asked.get(ref, 0):
            return
        self._asked[ref] = number
        if function != self._known.get(ref):
            self._known[ref] = function
            self._tell(ref)

    def _note_gone(self, ref: FunctionRef, number: int) -> None:
        if ref in self._known and number > self._asked[ref]:
            del self._known[ref], self._asked[ref]
            self._settled_at.pop(ref, None)
            self._tell(ref)

    def _tell(self, ref: FunctionRef) -> None:
        self._untold[ref] = None
        self._news.set()

    def _endpoint(self, ref: FunctionRef) -> Endpoint:
        prefix = f"{self._base_path}/function/{quote(str(ref), safe='')}"
        return Endpoint("provider", self._host, self._port, prefix=prefix)


def _address(provider_url: str) -> tuple[str, int, str]:
    url = urlsplit(provider_url)
    if url.scheme != "http" or not url.hostname:
        raise BadInput(f"provider URL {provider_url!r}: calls can only be passed on to http://HOST:PORT")
    return url.hostname, url.port or 80, url.path.rstrip("/")
