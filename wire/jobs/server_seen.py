"""What is seen of a broker from outside: values, for those who have no client of it."""

from __future__ import annotations

from dataclasses import dataclass


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
