"""How many files this process may have open: each connection is one."""

from __future__ import annotations

import resource

import structlog

SPARE = 256
"""For everything that is not a caller's connection, those to replicas of a quiet gateway included."""

log = structlog.get_logger(__name__)


def raise_limit(max_connections: int) -> None:
    """Use all that we are allowed, and say so if it is not enough for so many callers."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard != resource.RLIM_INFINITY and hard < max_connections + SPARE:
        log.warning(
            "fewer callers than max_connections can be connected: a process may have only so many files open; "
            "raise the limit (ulimit -Hn, LimitNOFILE=) or lower max_connections",
            max_connections=max_connections,
            open_files=hard,
        )
