"""What a replica is told and given, as values that whoever starts it has, too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Inherited:
    """Descriptors a replica gets. Everything else that whoever forked it has open is closed."""

    listener: int
    ready: int
    output: int


@dataclass(frozen=True)
class Confinement:
    """What is kept from a replica, by means that this machine has."""

    cgroup: str = ""
    """The folder of a control group to join."""
    memory_bytes: int | None = None
    """Twice this much, and some headroom, is the most it may allocate: a last barrier."""
    limit_processes: bool = False
    """A last barrier there, too, for users other than root."""
    secrets: str = ""
    """The folder that is to be seen where OpenFaaS functions look for their secrets."""
    stage: str = ""
    """An empty folder for building mounts in."""
    read_only: bool = False
    open_files: int = 1024
    """The soft limit that programs expect; that of whoever forks is higher."""


@dataclass(frozen=True)
class Start:
    """Everything that one replica is told."""

    instance: str
    env: Mapping[str, str]
    folder: str
    """Working directory."""
    linger_s: float
    grace_s: float
    handler: str | None = None
    lang: str = ""
    work_folder: str = ""
    """Where a handler's replica makes its own working directory; empty: it runs in ``folder``."""
    confinement: Confinement = field(default_factory=Confinement)
