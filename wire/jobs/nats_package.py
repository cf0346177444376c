"""What speaks with a NATS server, nats-py, is a package of an extra, and need not be there."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from springtide.runtime.errors import Unsupported

REMEDY = "pip install 'springtide[async]'"


@contextlib.contextmanager
def nats_needed(who_needs: str, *, remedy: str = REMEDY) -> Iterator[None]:
    """Around imports of what uses it. Raises Unsupported where it is missing; ``who_needs``: the queue worker needs."""
    try:
        yield
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith("nats"):
            raise
        raise Unsupported(f"{who_needs} the package nats-py; {remedy}") from error
