"""What functions run as: what ``springtide up --provider`` says."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class Runtime(StrEnum):
    PROCESS = "process"
    """Of this machine."""
    CONTAINERS = "containers"
    """Of this machine's Docker or Podman."""
    KUBERNETES = "kubernetes"
    """Pods of a cluster."""


Runtimes = frozenset[Runtime]

PROCESSES: Runtimes = frozenset({Runtime.PROCESS})
BOTH: Runtimes = frozenset({Runtime.PROCESS, Runtime.CONTAINERS})
CHOICES: Mapping[str, Runtimes] = {
    "process": PROCESSES,
    "containers": frozenset({Runtime.CONTAINERS}),
    "process,containers": BOTH,
    "kubernetes": frozenset({Runtime.KUBERNETES}),
}
ON_THIS_MACHINE = frozenset(CHOICES) - {"kubernetes"}
"""As providers name themselves."""
