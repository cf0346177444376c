"""Whether a function's replicas have walls around them: what its label says, and the least that the suite asks for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum

from springtide.scaler.core.label_table import ISOLATION

MAX_SHOWN = 80
"""Characters of a wrong value that its problem repeats."""


class Isolation(StrEnum):
    SANDBOX = "sandbox"
    """All the walls that the machine allows."""
    NONE = "none"
    """Those of the operating system between processes of one user."""


def isolation(text: str) -> Isolation:
    """Raises ValueError that says what to write instead."""
    if text not in list(Isolation):
        raise ValueError(f"write {' or '.join(Isolation)}")
    return Isolation(text)


def of(labels: Mapping[str, str], default: str) -> Isolation:
    """Of a label that nobody can read, it is the stricter."""
    text = labels.get(ISOLATION, "").strip() or default
    return Isolation.NONE if text == Isolation.NONE else Isolation.SANDBOX


def problems_of(labels: Mapping[str, str]) -> Iterator[str]:
    """With key, value and what to write instead."""
    text = labels.get(ISOLATION, "").strip()
    try:
        if text:
            isolation(text)
    except ValueError as error:
        yield f"{ISOLATION}={text[:MAX_SHOWN]!r}: {error}"
