"""The table of functions and replicas that the provider pushes, kept up to date by one task.

While the provider is away the last known table stays in use: calls to running functions go on.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Protocol

import structlog

from springtide.gateway.backend_replica import BackendReplica
from springtide.gateway.call_metrics import CallMetrics
from springtide.gateway.route import Route
from springtide.gateway.timeouts import CallLimit
from springtide.runtime.backoff import Backoff
from springtide.runtime.errors import Unavailable, Unsupported
from springtide.runtime.outage import Outage
from springtide.scaler.core.call_timeout import CallTimeout
from springtide.scaler.core.ports import Clock
from springtide.scaler.core.vocabulary import FunctionRef
from springtide.wire.endpoint_stream import Changed, Endpoint, Event, FunctionEndpoints, Heartbeat, Removed, Snapshot

RECONNECT = Backoff(min_s=0.05, max_s=1.0, jitter=0.5)
QUIET_RETRIES = 4

log = structlog.get_logger(__name__)


class EndpointStream(Protocol):
    def watch_endpoints(self) -> AsyncIterator[Event]: ...


class Listener(Protocol):
    """Who is told after the table has changed."""

    def changed(self, route: Route) -> None: ...

    def removed(self, route: Route) -> None: ...


class RouteTable:
    """Routes by function and by every name they may be called by."""

    def __init__(
        self,
        *,
        clock: Clock,
        open_replica: Callable[[Endpoint], BackendReplica],
        call_limit: Callable[[CallTimeout | None], CallLimit],
        namespace: str,
    ) -> None:
        """``call_limit`` is what holds for the calls of a function that says so much of itself."""
        self._clock = clock
        self._call_limit = call_limit
        self._open_replica = open_replica
        self.namespace = namespace
        self._routes: dict[FunctionRef, Route] = {}
        self._names: dict[bytes, Route] = {}
        """Spellings in use. Only of functions that exist, and each has at most three, so this stays small."""
        self._replicas: dict[FunctionRef, dict[Endpoint, BackendReplica]] = {}
        self._waiters: dict[FunctionRef, asyncio.Event] = {}
        """Only of functions just deployed through us, so bounded by the requests under way."""
        self._listener: Listener | None = None
        self.connected = False
        self.first_snapshot = asyncio.Event()

    def __repr__(self) -> str:
        state = "following" if self.connected else "provider away"
        return f"<RouteTable {len(self._routes)} functions, {state}>"

    def __iter__(self) -> Iterator[Route]:
        return iter(list(self._routes.values()))

    def listen(self, listener: Listener) -> None:
        self._listener = listener

    def by_name(self, name: bytes) -> Route | None:
        """The route for a name as it stands in a path: ``f``, ``f.namespace``."""
        route = self._names.get(name)
        if route is None:
            route = self._routes.get(FunctionRef.parse(name.decode("latin-1"), self.namespace))
            if route is not None:
                self._names[name] = route
        return route

    def of(self, ref: FunctionRef) -> Route | None:
        return self._routes.get(ref)

    async def known(self, ref: FunctionRef) -> None:
        """Return once there is a route for ``ref``."""
        while ref not in self._routes:
            waiter = self._waiters.setdefault(ref, asyncio.Event())
            await waiter.wait()

    def lacks(self, ref: FunctionRef) -> bool:
        """Whether it is known that there is no such function."""
        return self.connected and ref not in self._routes

    def apply(self, event: Event) -> None:
        match event:
            case Snapshot(functions):
                self.connected = True
                self.first_snapshot.set()
                listed = {function.ref for function in functions}
                for ref in [ref for ref in self._routes if ref not in listed]:
                    self._remove(ref)
                for function in functions:
                    self._change(function)
            case Changed(function):
                self._change(function)
            case Removed(ref):
                self._remove(ref)
            case Heartbeat():
                pass

    async def follow(self, stream: EndpointStream) -> None:
        """Apply the provider's stream for ever, connecting again whenever it breaks."""
        failures, outage = 0, Outage("no endpoint stream; the last known replicas stay in use")
        while True:
            try:
                async for event in stream.watch_endpoints():
                    self.apply(event)
                    outage.over()
                    failures = 0
            except (Unavailable, Unsupported) as error:
                # Started together, a gateway is often there before its provider: that is not worth a warning yet.
                if self.connected or failures >= QUIET_RETRIES:
                    outage.failed(str(error))
            self.connected = False
            failures += 1
            await asyncio.sleep(RECONNECT.delay_s(failures))

    def _change(self, function: FunctionEndpoints) -> None:
        route = self._routes.get(function.ref) or self._add(function.ref)
        route.describe(function, self._clock.now())
        route.limit = self._call_limit(function.timeout)
        known = self._replicas[function.ref]
        wanted = dict.fromkeys(function.endpoints)
        gone = [known.pop(endpoint) for endpoint in list(known) if endpoint not in wanted]
        for endpoint in wanted:
            if endpoint not in known:
                known[endpoint] = self._open_replica(endpoint)
        for replica in known.values():
            replica.restrict(route.policy.concurrency_limit)
        route.ready = list(known.values())
        # Only now, because who waited for one of them is sent to those that are left.
        for replica in gone:
            replica.retire()
        if self._listener is not None:
            self._listener.changed(route)

    def _add(self, ref: FunctionRef) -> Route:
        route = self._routes[ref] = Route(ref, CallMetrics(last_active=self._clock.wall()))
        self._replicas[ref] = {}
        waiter = self._waiters.pop(ref, None)
        if waiter is not None:
            waiter.set()
        return route

    def _remove(self, ref: FunctionRef) -> None:
        route = self._routes.pop(ref, None)
        if route is None:
            return
        for spelling in [spelling for spelling, named in self._names.items() if named is route]:
            del self._names[spelling]
        route.ready = []
        route.removed = True
        for replica in self._replicas.pop(ref).values():
            replica.retire()
        if self._listener is not None:
            self._listener.removed(route)
