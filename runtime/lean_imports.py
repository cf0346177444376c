"""Libraries without what they import only where they find it, and we never use: a command line, coloured tracebacks."""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Iterator, Sequence

EAGER = ("httpx", "structlog")
"""They look for these, and so each process of a suite would hold six megabytes of modules that it never runs."""

UNUSED = ("pygments", "rich")


def import_lean() -> None:
    """Import them, before anything else does."""
    with hidden(UNUSED):
        for name in EAGER:
            importlib.import_module(name)


@contextlib.contextmanager
def hidden(names: Sequence[str]) -> Iterator[None]:
    """Until the end these are as if not installed; one that is imported already stays, as it costs nothing more."""
    unseen = [name for name in names if name not in sys.modules]
    for name in unseen:
        sys.modules[name] = None  # type: ignore[assignment]  # the import system's own sign for "there is none"
    try:
        yield
    finally:
        for name in unseen:
            del sys.modules[name]
