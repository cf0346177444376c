"""What a function's replicas shall be on one machine: what its label says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum

from springtide.runtime.errors import BadInput
from springtide.scaler.core.label_table import RUNTIME

MAX_SHOWN = 80
"""Characters of a wrong value that its problem repeats."""


class Runtime(StrEnum):
    PROCESS = "process"
    CONTAINER = "container"


def asked(labels: Mapping[str, str]) -> Runtime | None:
    """None where the label does not say. Raises BadInput with key, value and what to write instead."""
    text = labels.get(RUNTIME, "").strip()
    if not text:
        return None
    if text not in set(Runtime):
        raise BadInput(f"{RUNTIME}={text[:MAX_SHOWN]!r}: write {' or '.join(Runtime)}")
    return Runtime(text)


def problems_of(labels: Mapping[str, str]) -> Iterator[str]:
    try:
        asked(labels)
    except BadInput as error:
        yield str(error)


def check_only(there_is: Runtime, labels: Mapping[str, str]) -> None:
    """Where all functions are one thing. Raises BadInput where another one is asked for."""
    if (wanted := asked(labels)) not in (None, there_is):
        raise BadInput(
            f"{RUNTIME}={wanted}: every function is a {there_is} here; remove the label, or start the suite with "
            "`springtide up --provider process,containers`, which needs Docker or Podman"
        )
