"""Ports for servers that tests start, some of which are killed and started again where they were."""

from __future__ import annotations

from springtide.cli import ports
from springtide.cli.ports import PortClaims

_CLAIMS = PortClaims()


def free_port() -> int:
    """Given out once, and of those that no outgoing connection can get while its server is away."""
    return ports.free("127.0.0.1", _CLAIMS)
