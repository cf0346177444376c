"""What is seen of a broker from outside: values, for those who have no client of it."""

from __future__ import annotations

from dataclasses import dataclass

WRITE_ERROR = "write error"
"""In its own words, of a stream that is not written to before it is started anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamSeen:
    name: str
    messages: int
    stored_bytes: int
    replicas: int
    leaderless: bool
    """It takes nothing: most of its copies are away."""
    behind: int
    """Copies that are away, or have not caught up."""
    first_at: float = 0.0
    """When its oldest message was stored, in seconds since 1970; 0 if there is none."""
    last_number: int = 0
    """Of the newest message that it ever had; they are numbered from 1."""
    lost_bytes: int | None = None
    """That its server found to be unreadable since it was started; None: not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSeen:
    id: str
    """Another one after each start."""
    version: str
    max_payload_bytes: int
    stored_bytes: int
    max_stored_bytes: int | None
    """None: no limit of the account. The server has one of its own."""
    streams: tuple[StreamSeen, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Monitoring:
    """What a server's monitoring port says."""

    server_id: str
    clustered: bool
    sync_always: bool
    sync_interval_s: float
    stored_bytes: int
    max_stored_bytes: int
    trouble: str
    """Of its streams, in its own words; empty: none."""

    @property
    def cannot_write(self) -> bool:
        """To one of its streams, at least."""
        return WRITE_ERROR in self.trouble


@dataclass(frozen=True, slots=True)
class BrokerSeen:
    server: ServerSeen
    monitoring: Monitoring | None
    """None: there is no port to ask, or it is another server's."""
    unanswered: bool = False
    """It left a write of ours unanswered, and has answered none since."""

    @property
    def stores(self) -> bool:
        """As far as is known."""
        return not (self.unanswered or (self.monitoring is not None and self.monitoring.cannot_write))
