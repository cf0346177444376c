"""The broker put together: one connection, and what is kept over it."""

from __future__ import annotations

from springtide.wire.jobs.bounds import Bounds
from springtide.wire.jobs.nats.bodies import Bodies
from springtide.wire.jobs.nats.connection import Connection
from springtide.wire.jobs.nats.lookup import Lookup
from springtide.wire.jobs.nats.outcomes import Outcomes
from springtide.wire.jobs.nats.requests import Requests
from springtide.wire.jobs.nats.rings import Rings
from springtide.wire.jobs.nats.streams import Streams
from springtide.wire.jobs.settings import BrokerSettings


class Broker:
    """Opens nothing before it is needed. ``name`` is what the server's own lists show of the connection."""

    def __init__(self, settings: BrokerSettings, *, name: str, bounds: Bounds | None = None) -> None:
        self.connection = Connection(settings, name=name)
        self.streams = Streams(self.connection, bounds or Bounds(), replicas=settings.queue_replicas)
        self.requests = Requests(self.connection, self.streams)
        self.rings = Rings(self.connection)
        self.bodies = Bodies(self.connection, self.streams)
        self.outcomes = Outcomes(self.connection, self.streams, self.requests)
        self.lookup = Lookup(self.connection, self.streams, self.requests, self.outcomes)

    def __repr__(self) -> str:
        return f"<Broker over {self.connection!r}>"

    async def aclose(self) -> None:
        await self.connection.aclose()
