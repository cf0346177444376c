"""Libraries without what they take only where they find it, and we never use: a command line, coloured tracebacks."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import sys
from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import cast

EAGER = ("httpx", "structlog")
UNUSED = ("pygments", "rich")
"""What those take where it is: each suite would hold four megabytes of modules that it never runs."""

SOUGHT = ("sniffio",)
"""What httpcore looks for some six times in each request; where it is not there, each look goes all along the path."""

_ABSENT = cast("ModuleType", None)
"""The import system's own sign for what is not there."""


def import_lean() -> None:
    """Import them, before anything else does."""
    with hidden(UNUSED):
        for name in EAGER:
            importlib.import_module(name)
    for name in SOUGHT:
        if importlib.util.find_spec(name) is None:
            sys.modules[name] = _ABSENT


@contextlib.contextmanager
def hidden(names: Sequence[str]) -> Iterator[None]:
    """Until the end these are as if not installed; one that is imported already stays, as it costs nothing more."""
    unseen = [name for name in names if name not in sys.modules]
    for name in unseen:
        sys.modules[name] = _ABSENT
    try:
        yield
    finally:
        for name in unseen:
            del sys.modules[name]
